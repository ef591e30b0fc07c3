# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A full denoise may take a part of the trained noise range; what is trained and what streams stays as it is."""

from dataclasses import replace

import pytest
import torch

from dp_ros.contract import Arm, Contract, Embodiment, Joint, Timing
from dp_ros.errors import CheckpointError, ConfigError
from dp_ros.observation.observation import Observation
from dp_ros.policy.checkpoint import load_checkpoint, replace_config
from dp_ros.policy.config import ControlConfig
from dp_ros.policy.modes import make_controller
from dp_ros.policy.testing import tiny_checkpoint, tiny_policy

CONTRACT = Contract(
    name='toy',
    embodiment=Embodiment(arms=(Arm(name='arm', joints=(Joint(name='a'), Joint(name='b'))),)),
    cameras=(),
    timing=Timing(obs_horizon=1, pred_horizon=8, action_horizon=2, period_ns=40_000_000),
)
CHUNK = ControlConfig(mode='chunk', evaluations=3, execute=4)


@pytest.fixture(scope='module')
def policy():
    return tiny_policy(CONTRACT)


def levels_asked(policy, control):
    asked = []
    hook = policy.network.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[1][0]))
    make_controller(policy, control=control).tick(Observation(0, **CONTRACT.example(), ages_ns={}))
    hook.remove()
    return torch.stack(asked)


@pytest.mark.parametrize('schedule', ['exponential', 'karras'])
def test_a_full_denoise_stays_within_its_range(policy, schedule):
    control = replace(CHUNK, schedule=schedule, sigma_min=0.2, sigma_max=2.0)
    asked_ST = levels_asked(policy, control)
    assert asked_ST.shape == (3, 4)
    assert asked_ST[0].tolist() == pytest.approx([2.0] * 4)
    assert asked_ST.min() >= 0.2 - 1e-6
    if schedule == 'karras':  # comes down to the end of the range itself
        assert asked_ST[-1, 0] == pytest.approx(0.2)


def test_no_range_is_the_trained_one_bit_for_bit(policy):
    plain = levels_asked(policy, CHUNK)
    whole = replace(CHUNK, sigma_min=policy.levels.sigma_min, sigma_max=policy.levels.sigma_max)
    assert torch.equal(levels_asked(policy, whole), plain)
    assert plain[0, 0] == policy.levels.sigma_max


def test_streaming_rests_on_the_trained_levels_whatever_the_range(policy):
    narrow = ControlConfig(sigma_max=1.0)
    assert torch.equal(levels_asked(policy, narrow), levels_asked(policy, ControlConfig()))


@pytest.mark.parametrize(
    'change', [{'sigma_max': 6.0}, {'sigma_min': 0.01}, {'sigma_min': 2.0, 'sigma_max': 1.0}]
)
def test_a_range_beyond_training_is_refused(policy, change):
    with pytest.raises(ConfigError, match=r'within the trained range 0\.02 to 5'):
        make_controller(policy, control=replace(CHUNK, **change))


def test_evaluations_an_executed_action_count_all_that_is_computed():
    assert CHUNK.evaluations_per_action(2) == 3 / 4
    assert replace(CHUNK, execute=0).evaluations_per_action(2) == 3 / 2
    assert replace(CHUNK, sampler='heun').evaluations_per_action(2) == 5 / 4
    assert replace(CHUNK, guidance=1.5).evaluations_per_action(2) == 6 / 4
    assert ControlConfig(sampler='heun').evaluations_per_action(4) == 1 / 4
    with pytest.raises(ConfigError, match=r'control\.sigma_max must be finite and at least 0'):
        ControlConfig(sigma_max=-1.0)


def test_a_checkpoints_control_can_be_replaced_and_nothing_else(tmp_path):
    path = tiny_checkpoint(tmp_path / 'toy', CONTRACT)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    config = load_checkpoint(path).config
    replace_config(path, replace(config, control=CHUNK, provenance={'why': 'a test'}))
    after = load_checkpoint(path).config
    assert (after.control, after.provenance) == (CHUNK, {'why': 'a test'})
    changed = {name for name, blob in before.items() if (path / name).read_bytes() != blob}
    assert changed == {'config.json', 'manifest.json'}
    with pytest.raises(CheckpointError, match='only control and provenance'):
        replace_config(path, replace(config, diffusion=replace(config.diffusion, sigma_max=9.0)))
