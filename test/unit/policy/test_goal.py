# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Goals of a policy: which it takes, what guidance makes of them, and what a checkpoint keeps."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dp_ros.contract import Contract
from dp_ros.diffusion.denoiser import per_token
from dp_ros.diffusion.guidance import guided
from dp_ros.errors import CheckpointError, ConfigError, GoalError
from dp_ros.observation.observation import Observation
from dp_ros.policy import goal as goal_module
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.config import ControlConfig, PolicyConfig
from dp_ros.policy.goal import Goal, Instructions
from dp_ros.policy.modes import make_controller
from dp_ros.policy.testing import tiny_checkpoint, tiny_policy
from dp_ros.share import share_path

PLAIN = Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))
CONTRACT = replace(PLAIN, goals=('instruction', 'image'))
BUTTON, DRAWER = Goal(instruction='push the button'), Goal(instruction='open the drawer')
MODES = (ControlConfig(), ControlConfig(mode='chunk', evaluations=3, schedule='karras'))


@pytest.fixture(scope='module')
def policy():
    return tiny_policy(CONTRACT)


@pytest.fixture
def no_language_model(monkeypatch):
    monkeypatch.setattr(goal_module, 'is_installed', lambda: False)


def picture(seed=0):
    size = CONTRACT.cameras[0].size
    return Goal(image=np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8))


def observation():
    example = CONTRACT.example(seed=3)
    return Observation(stamp_ns=10**9, proprio=0.1 * example['proprio'], images=example['images'], ages_ns={})


def chunk(policy, goal, **control):
    controller = make_controller(policy, control=replace(control.pop('base', MODES[0]), **control))
    controller.set_goal(goal)
    controller.reset(5)
    return controller.tick(observation()).positions


@pytest.mark.parametrize('base', MODES, ids=['streaming', 'chunk'])
def test_every_goal_gives_a_chunk_of_its_own(policy, base):
    chunks = [chunk(policy, g, base=base) for g in (BUTTON, DRAWER, picture(1), picture(2))]
    for i, one in enumerate(chunks):
        for other in chunks[:i]:
            assert np.abs(one - other).max() > 1e-7
    np.testing.assert_array_equal(chunk(policy, BUTTON, base=base), chunks[0])


@pytest.mark.parametrize('base', MODES, ids=['streaming', 'chunk'])
def test_guidance_0_is_the_null_branch_and_1_the_goal_s(policy, base):
    free = chunk(policy, None, base=base, goal_free=True)
    np.testing.assert_array_equal(chunk(policy, BUTTON, base=base, guidance=0.0), free)
    np.testing.assert_array_equal(chunk(policy, None, base=base, guidance=0.0), free)
    np.testing.assert_array_equal(chunk(policy, None, base=base, goal_free=True, guidance=2.0), free)
    wanted = chunk(policy, BUTTON, base=base)
    np.testing.assert_array_equal(chunk(policy, BUTTON, base=base, guidance=1.0), wanted)
    # Just beside 0 and 1 both branches are computed, and the result is the same.
    for guidance, limit in ((1e-9, free), (1 + 1e-9, wanted)):
        np.testing.assert_allclose(chunk(policy, BUTTON, base=base, guidance=guidance), limit, atol=1e-6)


@torch.inference_mode()
def test_guidance_is_linear_in_its_strength(policy):
    goals_RD = policy.goal_tokens(BUTTON, 1.5)
    seen = observation()
    context = policy.encode(seen.proprio, seen.images, goal_RD=goals_RD)
    branches = policy.denoise(context)
    x_BTP, sigma = torch.randn(1, policy.network.num_tokens, policy.network.token_dim), torch.tensor(0.7)
    goal, null = branches(x_BTP.repeat(2, 1, 1), per_token(sigma, x_BTP.repeat(2, 1, 1)))
    got = policy.denoise(context, 1.5)(x_BTP, per_token(sigma, x_BTP))
    torch.testing.assert_close(got[0], null + 1.5 * (goal - null), atol=1e-6, rtol=0)
    assert (goal - null).abs().max() > 1e-4


def test_one_branch_is_computed_where_one_is_enough(policy):
    for guidance, rows in ((0.0, 1), (1.0, 1), (2.0, 2)):
        assert len(policy.goal_tokens(BUTTON, guidance)) == rows
    calls = []

    def count(x_BTP, sigma_BT):
        calls.append(len(x_BTP))
        return x_BTP

    guided(count, 2.0)(torch.zeros(1, 4, 2), torch.ones(1, 4))
    assert calls == [2]


def test_a_policy_without_a_goal_waits_and_says_for_what(policy):
    controller = make_controller(policy)
    assert controller.waits_for_goal
    with pytest.raises(GoalError, match=r'needs a goal \(instruction or image\) and has none'):
        controller.tick(observation())
    controller.set_goal(BUTTON)
    assert not controller.waits_for_goal
    before = controller.epoch
    controller.set_goal(DRAWER)
    assert controller.epoch == before + 1
    controller.set_goal(None)
    assert controller.waits_for_goal


def test_a_refused_goal_changes_nothing(policy):
    controller = make_controller(policy)
    controller.set_goal(BUTTON)
    epoch = controller.epoch
    with pytest.raises(GoalError, match='a goal image must be'):
        controller.set_goal(Goal(image=np.zeros((4, 4, 3), np.uint8)))
    assert controller.goal is BUTTON
    assert controller.epoch == epoch


def test_kinds_that_the_contract_lacks_are_refused():
    text_only = tiny_policy(replace(PLAIN, goals=('instruction',)))
    with pytest.raises(GoalError, match=r"takes goals of kinds \('instruction',\), got image"):
        make_controller(text_only).set_goal(picture())
    with pytest.raises(GoalError, match='takes goals of kinds none'):
        make_controller(tiny_policy(PLAIN)).set_goal(BUTTON)
    with pytest.raises(GoalError, match='takes no goals'):
        make_controller(tiny_policy(PLAIN), control=ControlConfig(guidance=2.0))


def test_without_goal_dropout_there_is_no_null_branch(policy):
    trained = replace(policy, config=replace(policy.config, null_goal=False))
    make_controller(trained).set_goal(BUTTON)
    for change in ({'guidance': 2.0}, {'guidance': 0.0}, {'goal_free': True}):
        with pytest.raises(GoalError, match='goal_dropout 0'):
            make_controller(trained, control=ControlConfig(**change))


@pytest.mark.parametrize('change', [{'guidance': -1.0}, {'guidance': float('nan')}, {'schedule': 'linear'}])
def test_illegal_control_is_refused(change):
    with pytest.raises(ConfigError, match=f'control.{next(iter(change))} must be'):
        ControlConfig(**change)


def test_a_goal_is_one_thing():
    for fields in ({}, {'instruction': ' '}, {'instruction': 'a', 'image': picture().image}):
        with pytest.raises(GoalError):
            Goal(**fields)


def test_instructions_are_found_whatever_their_case(policy, no_language_model):
    known = policy.instructions
    assert torch.equal(known.vector(' Open the\nDRAWER '), known.vectors_MG[1])
    with pytest.raises(GoalError, match=r"known, the nearest first: 'open the drawer', 'push the button'"):
        known.vector('open a drawer')


def test_a_checkpoint_keeps_instructions_and_goals(tmp_path, policy, no_language_model):
    loaded = load_checkpoint(tiny_checkpoint(tmp_path / 'c', CONTRACT))
    assert loaded.instructions.texts == policy.instructions.texts
    assert torch.equal(loaded.instructions.vectors_MG, policy.instructions.vectors_MG)
    assert loaded.config.null_goal
    for goal in (BUTTON, picture()):
        # The weights are rounded to float16, so that a loaded policy equals a loaded policy.
        assert np.abs(chunk(loaded, goal) - chunk(policy, goal)).max() < 1e-3
    (tmp_path / 'c' / 'instructions.safetensors').write_bytes(b'x' * 100)
    with pytest.raises(CheckpointError, match=r"SHA-256 differs .*'instructions.safetensors'"):
        load_checkpoint(tmp_path / 'c')


def test_a_damaged_goal_encoder_does_not_reproduce_the_golden_sample(tmp_path, monkeypatch):
    from dp_ros.model.goals import GoalEncoder

    tiny_checkpoint(tmp_path / 'c', CONTRACT)
    whole = GoalEncoder.forward
    monkeypatch.setattr(GoalEncoder, 'forward', lambda self, goals: -whole(self, goals))
    with pytest.raises(CheckpointError, match='golden sample is off'):
        load_checkpoint(tmp_path / 'c')


def test_bytes_that_are_no_table_are_refused():
    table = Instructions(('a',), torch.ones(1, 384))
    again = Instructions.from_bytes(table.to_bytes())
    assert again.texts == table.texts
    assert torch.equal(again.vectors_MG, table.vectors_MG)
    with pytest.raises(ValueError, match='2 texts'):
        Instructions.from_bytes(Instructions(('a', 'b'), torch.ones(1, 384)).to_bytes())


def test_configurations_from_before_goals_load():
    old = PolicyConfig().to_dict()
    del old['null_goal'], old['control']['guidance'], old['control']['goal_free'], old['network']['goal_film']
    old['network']['goal_dim'] = 0
    assert PolicyConfig.from_dict(old) == PolicyConfig()
    old['network']['goal_dim'] = 3
    with pytest.raises(ConfigError, match='goal_dim'):
        PolicyConfig.from_dict(old)
