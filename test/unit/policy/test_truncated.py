# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A truncated start: what is left of the plan, noised, and denoised by what is seen now."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dp_ros.contract import Arm, Contract, Embodiment, Joint, Timing
from dp_ros.errors import ConfigError
from dp_ros.observation.observation import Observation
from dp_ros.policy.config import ControlConfig, DiffusionConfig
from dp_ros.policy.modes import make_controller
from dp_ros.policy.policy import Policy
from dp_ros.policy.sampling import ChunkPolicy, TruncatedPolicy
from dp_ros.policy.testing import tiny_policy

PERIOD = 40_000_000
CONTRACT = Contract(
    name='toy',
    embodiment=Embodiment(arms=(Arm(name='arm', joints=(Joint(name='a'), Joint(name='b'))),)),
    cameras=(),
    timing=Timing(obs_horizon=1, pred_horizon=8, action_horizon=2, period_ns=PERIOD),
)
TRUNCATED = ControlConfig(mode='truncated', restart_sigma=0.5)


@pytest.fixture(scope='module')
def policy():
    return tiny_policy(CONTRACT)


def observation(stamp_ns=0, pose=(0.0, 0.0)):
    return Observation(stamp_ns, np.array([pose], np.float32), {}, ages_ns={})


def levels_asked(policy, controller, *stamps):
    """Of every tick: the noise levels of its evaluations, which must be those of all tokens."""
    out = []
    for stamp_ns in stamps:
        asked = []
        hook = policy.network.register_forward_pre_hook(lambda module, inputs, a=asked: a.append(inputs[1]))
        controller.tick(observation(stamp_ns))
        hook.remove()
        assert all(len(sigma.unique()) == 1 for sigma in asked)
        out.append([float(sigma.flatten()[0]) for sigma in asked])
    return out


def test_the_first_chunk_of_an_epoch_is_a_full_denoise(policy):
    truncated, full = (
        make_controller(policy, 3, TRUNCATED),
        ChunkPolicy(policy, 3, evaluations=policy.levels.count),
    )
    for _ in range(2):
        np.testing.assert_array_equal(
            truncated.tick(observation()).positions, full.tick(observation()).positions
        )
        truncated.reset()
        full.reset()


def test_the_others_cost_what_is_asked_for_and_begin_at_its_noise(policy):
    controller = make_controller(policy, control=replace(TRUNCATED, evaluations=2))
    first, second, third = levels_asked(policy, controller, 0, 2 * PERIOD, 4 * PERIOD)
    assert len(first) == policy.levels.count
    assert first[0] == policy.levels.sigma_max
    assert second == third
    assert len(second) == 2
    assert second[0] == pytest.approx(0.5)


def test_after_a_pause_longer_than_the_chunk_nothing_is_left_of_it(policy):
    controller = make_controller(policy, control=TRUNCATED)
    counts = [
        len(asked) for asked in levels_asked(policy, controller, 0, 7 * PERIOD, 15 * PERIOD, 10 * PERIOD)
    ]
    assert counts == [policy.levels.count, 1, policy.levels.count, policy.levels.count]


@pytest.mark.parametrize('relative', [False, True])
def test_what_is_left_moves_on_with_time_and_stays_where_it_is_in_space(relative, monkeypatch):
    policy = tiny_policy(CONTRACT)
    if relative:
        policy = Policy(
            CONTRACT,
            replace(policy.config, diffusion=DiffusionConfig(relative_actions=True)),
            policy.network,
            policy.proprio,
            policy.action,
            policy.device,
        )
    controller = make_controller(policy, control=replace(TRUNCATED, restart_sigma=0.021))
    first = controller.tick(observation(0, (0.1, -0.1))).positions
    monkeypatch.setattr(Policy, 'denoise', lambda *_: lambda x_BTP, sigma_BT: x_BTP)
    # Not a whole number of ticks later, from another pose, and not quite on a row.
    second = controller.tick(observation(3 * PERIOD + PERIOD // 5, (0.3, 0.2))).positions
    left = np.concatenate([first[3:], np.repeat(first[-1:], 3, axis=0)])
    noise = 0.021 * policy.action.std.numpy()
    assert np.abs(second - left).max() < 5 * noise.max()
    assert not np.array_equal(second, left)


@pytest.mark.parametrize('restart', [0.3, 1.0])
def test_how_fast_a_plan_is_given_up(policy, restart, monkeypatch):
    """Gaussian actions of spread s around what is seen: a tick keeps s² / (s² + r²) of what was planned before."""
    spread = 0.8
    seen = torch.tensor(0.0)

    def denoise(x_BTP, sigma_BT):
        keep_BT1 = (spread**2 / (spread**2 + sigma_BT**2))[..., None]
        return seen + keep_BT1 * (x_BTP - seen)

    monkeypatch.setattr(Policy, 'denoise', lambda *_: denoise)
    control = replace(TRUNCATED, restart_sigma=restart)
    plans = []
    for seed in range(400):
        controller = make_controller(policy, seed, control)
        seen = torch.tensor(0.0)
        tokens = [policy.to_tokens(torch.tensor(controller.tick(observation()).positions), torch.zeros(2))]
        seen = torch.tensor(3.0)  # the object has moved
        for _ in range(2):
            chunk = controller.tick(observation())
            tokens.append(policy.to_tokens(torch.tensor(chunk.positions), torch.zeros(2)))
        plans.append(torch.stack(tokens).mean(dim=(1, 2)))
    old, after_one, after_two = torch.stack(plans).mean(dim=0).tolist()
    keep = spread**2 / (spread**2 + restart**2)
    assert old == pytest.approx(0.0, abs=0.05)
    assert after_one == pytest.approx(3 * (1 - keep), abs=0.05)
    assert after_two == pytest.approx(3 * (1 - keep**2), abs=0.05)


@pytest.mark.parametrize('restart', [5.5, 0.02])
def test_noise_beyond_training_is_refused(policy, restart):
    with pytest.raises(
        ConfigError, match=r'control\.restart_sigma must lie within the trained range 0\.02 to 5'
    ):
        make_controller(policy, control=replace(TRUNCATED, restart_sigma=restart))


def test_no_noise_is_refused():
    with pytest.raises(ConfigError, match=r'control\.restart_sigma must be finite and above 0, got 0'):
        ControlConfig(restart_sigma=0)


def test_it_ticks_when_what_it_executes_is_over(policy):
    assert TruncatedPolicy(policy).tick_ns == 2 * PERIOD
    assert make_controller(policy, control=replace(TRUNCATED, execute=3)).tick_ns == 3 * PERIOD
    assert TRUNCATED.evaluations_per_action(2) == 0.5
