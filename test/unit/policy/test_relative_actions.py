# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Actions that count from the measured pose: chunks stay absolute, whatever moves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dp_ros.contract import Contract
from dp_ros.contract.embodiment import Arm, Embodiment, Joint
from dp_ros.diffusion.rolling_buffer import RollingBuffer
from dp_ros.observation.observation import Observation
from dp_ros.policy.checkpoint import load_checkpoint, observation_tensors, save_checkpoint
from dp_ros.policy.normalizer import Normalizer
from dp_ros.policy.sampling import ChunkPolicy
from dp_ros.policy.streaming import StreamingPolicy
from dp_ros.policy.testing import tiny_policy

CONTRACT = Contract.from_json(Path(__file__).parents[3] / 'config' / 'contracts' / 'aloha_transfer_cube.json')
MOVES = np.array(CONTRACT.embodiment.displaceable)


@pytest.fixture
def policy():
    made = tiny_policy(CONTRACT)
    diffusion = replace(made.config.diffusion, relative_actions=True)
    action = Normalizer(torch.linspace(-0.1, 0.1, 14).double(), torch.linspace(0.02, 0.3, 14).double())
    return replace(made, config=replace(made.config, diffusion=diffusion), action=action)


def test_only_joints_of_arms_with_a_length_or_an_angle_count_from_the_pose():
    assert list(MOVES) == [True] * 6 + [False] + [True] * 6 + [False]
    names = [f'pose_{k}' for k in range(9)]
    joints = tuple(Joint(name=name, unit=unit) for name, unit in zip(names, 'mmm111111', strict=True))
    hand = Arm(name='arm', joints=joints, gripper=Joint(name='gripper', unit='m'))
    assert Embodiment(arms=(hand,)).displaceable == (True,) * 3 + (False,) * 7


def test_tokens_round_trip_from_any_origin(policy):
    actions = torch.randn(2, 32, 14, dtype=torch.float64)
    origin = policy.origin(torch.randn(14))
    tokens = policy.to_tokens(actions, origin)
    torch.testing.assert_close(policy.to_actions(tokens, origin), actions, atol=1e-6, rtol=1e-5)


def test_a_moved_buffer_means_the_same_actions_and_keeps_its_noise(policy):
    here, there = policy.origin(torch.zeros(14)), policy.origin(torch.linspace(-0.5, 0.5, 14))
    tokens = policy.to_tokens(torch.randn(1, 32, 14, dtype=torch.float64), here)
    moved = RollingBuffer(tokens, policy.levels).plus(policy.moved_tokens(there - here)).x_BTP
    before, after = policy.to_actions(tokens, here), policy.to_actions(moved, there)
    torch.testing.assert_close(after, before, atol=1e-6, rtol=1e-5)
    noisy = RollingBuffer(tokens + 3.0, policy.levels).plus(policy.moved_tokens(there - here)).x_BTP
    torch.testing.assert_close(noisy - moved, torch.full_like(moved, 3.0), atol=1e-4, rtol=0)


@pytest.mark.parametrize('make', [StreamingPolicy, ChunkPolicy])
def test_what_is_learned_at_one_place_is_done_at_another(policy, make):
    """A network that does not look at the joints: where the arms are moved, the chunks move with them."""
    last = policy.network.proprio_encoder.mlp[-1]
    torch.nn.init.zeros_(last.weight)
    shift = (np.linspace(0.1, 0.7, 14) * MOVES).astype(np.float32)
    first, second = make(policy, seed=1), make(policy, seed=1)
    for k in range(4):
        seen = CONTRACT.example(k)
        one = Observation(stamp_ns=k, ages_ns={}, **seen)
        two = replace(one, proprio=one.proprio + shift)
        moved = second.tick(two).positions - first.tick(one).positions
        np.testing.assert_allclose(moved, np.broadcast_to(shift, moved.shape), atol=2e-5)


def test_a_checkpoint_keeps_it(policy, tmp_path):
    save_checkpoint(tmp_path / 'made', policy, observation_tensors(**CONTRACT.example()), '# test\n')
    loaded = load_checkpoint(tmp_path / 'made')
    assert loaded.config.diffusion.relative_actions
    seen = Observation(stamp_ns=0, ages_ns={}, **CONTRACT.example(3))
    np.testing.assert_allclose(
        StreamingPolicy(loaded).tick(seen).positions, StreamingPolicy(policy).tick(seen).positions, atol=2e-3
    )
