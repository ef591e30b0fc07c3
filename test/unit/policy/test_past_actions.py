# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a controller gives its network as the past: its own commands of this epoch, as training reads demonstrations."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dp_ros.action.chunk import ActionChunk
from dp_ros.contract import Arm, Contract, Embodiment, Joint, Timing
from dp_ros.data.demonstrations import Demonstrations
from dp_ros.data.episode import Episode
from dp_ros.observation.observation import Observation
from dp_ros.policy.checkpoint import load_checkpoint, observation_tensors, save_checkpoint
from dp_ros.policy.commanded_past import CommandedPast
from dp_ros.policy.config import ControlConfig, DiffusionConfig
from dp_ros.policy.modes import make_controller
from dp_ros.policy.policy import past_tokens
from dp_ros.policy.testing import tiny_policy

PERIOD = 40_000_000
CONTRACT = Contract(
    name='toy',
    embodiment=Embodiment(arms=(Arm(name='arm', joints=(Joint(name='a'), Joint(name='b'))),)),
    cameras=(),
    timing=Timing(obs_horizon=1, pred_horizon=8, action_horizon=2, period_ns=PERIOD),
)
START = 1_764_000_000_000_000_000
CONTROLS = [
    ControlConfig(),
    ControlConfig(buffer_start='denoise', evaluations=2),
    ControlConfig(mode='chunk', evaluations=2, execute=5),
    ControlConfig(mode='truncated'),
]


@pytest.fixture(scope='module')
def policy():
    return tiny_policy(CONTRACT, past_tokens=2)


def observation(stamp_ns, seed=0):
    return Observation(stamp_ns=stamp_ns, ages_ns={}, **CONTRACT.example(seed))


def demonstrations(stamps_ns, commands):
    rows = np.zeros((len(stamps_ns), 1, 2), np.float32)
    return Demonstrations(
        CONTRACT,
        [
            Episode(
                stamps_ns=stamps_ns,
                proprio=rows,
                images={},
                image_index={},
                command_stamps_ns=stamps_ns,
                commands=commands.astype(np.float32),
            )
        ],
    )


def chunk_of(windows, row, stamp_ns):
    return ActionChunk(stamp_ns, PERIOD, CONTRACT.joint_names, windows.actions[row].numpy())


@pytest.mark.parametrize('every', [1, 2, 3])
def test_a_policy_that_acts_as_the_demonstrator_has_the_past_of_its_training_bit_for_bit(every):
    stamps_ns = START + np.arange(20) * PERIOD
    data = demonstrations(stamps_ns, np.random.default_rng(0).normal(size=(20, 2)))
    windows = data.windows(torch.arange(20), past=4)
    past = CommandedPast(4, PERIOD)
    assert past.before(START) is None and not windows.past_valid[0].any()
    for tick in range(0, 20, every):
        if tick:
            rows, valid = past.before(int(stamps_ns[tick]))
            assert valid.tolist() == windows.past_valid[tick].tolist()
            assert (rows[valid] == windows.past[tick].numpy()[valid]).all()
        past.follow(chunk_of(windows, tick, int(stamps_ns[tick])))


def test_late_ticks_are_asked_about_the_moments_that_training_asks_about():
    stamps_ns = START + np.cumsum(np.random.default_rng(1).integers(PERIOD // 2, 3 * PERIOD, 12))
    ramp = (stamps_ns - START)[:, None] * 1e-9 * np.array([0.5, -2.0])
    windows = demonstrations(stamps_ns, ramp).windows(torch.arange(12), past=4)
    past = CommandedPast(4, PERIOD)
    for tick in range(9):  # the last chunks hold the end of the demonstration
        if tick:
            rows, valid = past.before(int(stamps_ns[tick]))
            assert valid.tolist() == windows.past_valid[tick].tolist()
            np.testing.assert_allclose(rows[valid], windows.past[tick].numpy()[valid], atol=1e-5)
        past.follow(chunk_of(windows, tick, int(stamps_ns[tick])))
    assert windows.past_valid.any() and not windows.past_valid[:9].all()


@pytest.mark.parametrize('control', CONTROLS, ids=lambda c: f'{c.mode}-{c.buffer_start}')
def test_a_controller_gives_what_it_commanded_in_this_epoch(policy, control):
    controller = make_controller(policy, 1, control)
    seen = []
    hook = policy.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[2].past))
    stamp_ns, commanded = START, []
    for k in range(4):
        seen.clear()
        chunk = controller.tick(observation(stamp_ns, k))
        known = np.array(commanded[-4:])
        for past in seen:
            missing = 4 - len(known)
            assert past.valid_BK.tolist() == [[missing < 2, missing < 4]] if len(known) else [[False] * 2]
            if missing == 0:
                wanted = past_tokens(
                    policy.config.network,
                    policy.config.diffusion,
                    policy.action,
                    torch.from_numpy(known)[None],
                    torch.ones(1, 4, dtype=torch.bool),
                )
                assert torch.equal(past.x_BKP, wanted.x_BKP)
        commanded += list(chunk.positions[: controller.tick_ns // PERIOD])
        stamp_ns += controller.tick_ns
    controller.reset()
    seen.clear()
    controller.tick(observation(stamp_ns))
    hook.remove()
    assert seen and not any(past.valid_BK.any() for past in seen), 'an epoch knows nothing of the one before'


def test_the_past_changes_what_is_done_and_its_end_weighs_in(policy):
    context = [
        policy.encode(**CONTRACT.example(), past=(np.full((4, 2), 0.01 * k), np.ones(4, bool)))
        for k in range(2)
    ]
    x_BTP, sigma_BT = torch.zeros(1, 4, 4), torch.ones(1, 4)
    with torch.inference_mode():
        first, second = (policy.denoise(c)(x_BTP, sigma_BT)[0, 0] for c in context)
    assert (first - second).abs().min() > 1e-6


def test_relative_pasts_move_with_the_robot(policy):
    relative = replace(
        policy, config=replace(policy.config, diffusion=DiffusionConfig(relative_actions=True))
    )
    pose, past = np.float32([[0.25, -0.5]]), np.random.default_rng(0).normal(size=(4, 2))
    here, there = (
        relative.encode(pose + by, {}, past=(past + by, np.ones(4, bool))).past.x_BKP
        for by in (np.float32(0.0), np.float32(1.0))
    )
    torch.testing.assert_close(here, there, atol=1e-4, rtol=0)
    absolute = policy.encode(pose, {}, past=(past, np.ones(4, bool))).past.x_BKP
    assert not torch.allclose(here, absolute)


def test_the_golden_sample_of_a_checkpoint_holds_a_past(policy, tmp_path):
    golden = observation_tensors(**CONTRACT.example())
    save_checkpoint(tmp_path / 'none', policy, golden, '# toy\n')
    golden |= {'past.actions': torch.full((4, 2), 0.02), 'past.valid': torch.ones(4, dtype=torch.bool)}
    save_checkpoint(tmp_path / 'some', policy, golden, '# toy\n')
    read = load_checkpoint(tmp_path / 'some')
    assert read.config.network.past_tokens == 2
    from safetensors.torch import load_file

    none, some = (load_file(tmp_path / name / 'golden.safetensors')['expected'] for name in ('none', 'some'))
    assert not torch.allclose(none, some)


def test_no_past_tokens_cost_and_change_nothing():
    plain = tiny_policy(CONTRACT)
    assert plain.network.past is None
    assert not [name for name in plain.network.state_dict() if name.startswith('past')]
    controller = make_controller(plain)
    controller.tick(observation(START))
    assert controller._past.before(START + PERIOD) is None


def test_experts_work_with_a_past():
    policy = tiny_policy(CONTRACT, past_tokens=2, experts=3)
    planned, live = make_controller(policy, 1), make_controller(policy, 1)
    live.plan = None
    for k in range(3):
        seen = observation(START + k * planned.tick_ns, k)
        np.testing.assert_allclose(planned.tick(seen).positions, live.tick(seen).positions, atol=1e-6)
