# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Policies in motion: seeds, epochs, normalisation."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dp_ros.contract import Contract
from dp_ros.errors import ConfigError, ContractError
from dp_ros.observation.observation import Observation
from dp_ros.policy.config import PolicyConfig
from dp_ros.policy.modes import make_controller
from dp_ros.policy.normalizer import Normalizer
from dp_ros.policy.policy import fold, unfold
from dp_ros.policy.sampling import ChunkPolicy, TruncatedPolicy
from dp_ros.policy.streaming import StreamingPolicy
from dp_ros.policy.testing import tiny_policy

CONTRACT = Contract.from_json(Path(__file__).parents[3] / 'config' / 'contracts' / 'aloha_transfer_cube.json')


@pytest.fixture(scope='module')
def policy():
    return tiny_policy(CONTRACT)


def observation(seed=0, stamp_ns=1_000_000_000):
    example = CONTRACT.example(seed)
    return Observation(stamp_ns=stamp_ns, ages_ns={}, **example)


def test_decode_inverts_encode(policy):
    actions = torch.randn(3, 32, 14, dtype=torch.float64)
    origin = policy.origin(torch.randn(14))
    assert not origin.any(), 'absolute unless an experiment says otherwise'
    again = policy.to_actions(policy.to_tokens(actions, origin), origin)
    torch.testing.assert_close(again, actions, atol=1e-7, rtol=1e-5)
    tokens = torch.randn(2, 8, 56)
    torch.testing.assert_close(fold(unfold(tokens, 4), 4), tokens)


def test_normaliser_standardises_and_has_a_floor():
    values = (
        torch.randn(500, 14, dtype=torch.float64) * torch.linspace(0.001, 2.0, 14, dtype=torch.float64) + 3.0
    )
    normalizer = Normalizer.fit(CONTRACT, values)
    encoded = normalizer.encode(values)
    torch.testing.assert_close(encoded.mean(dim=0), torch.zeros(14), atol=1e-4, rtol=0)
    assert (encoded.std(dim=0) <= 1.0 + 1e-4).all()
    assert encoded[:, 0].std() < 0.1, 'a joint that hardly moves must not be blown up'
    torch.testing.assert_close(normalizer.decode(encoded), values, atol=1e-5, rtol=0)


@pytest.mark.parametrize('make', [StreamingPolicy, ChunkPolicy, TruncatedPolicy])
def test_same_seed_same_chunk(policy, make):
    first, second = make(policy, seed=3), make(policy, seed=3)
    for _ in range(3):
        a, b = first.tick(observation()), second.tick(observation())
        assert np.array_equal(a.positions, b.positions)
    other = make(policy, seed=4).tick(observation())
    assert not np.array_equal(make(policy, seed=3).tick(observation()).positions, other.positions)


def test_chunk_is_absolute_in_time_and_names_its_origin(policy):
    chunk = StreamingPolicy(policy).tick(observation(stamp_ns=123))
    assert (chunk.stamp_ns, chunk.period_ns) == (123, CONTRACT.timing.period_ns)
    assert chunk.positions.shape == (CONTRACT.timing.pred_horizon, 14)
    assert chunk.joint_names == CONTRACT.joint_names
    assert chunk.contract_hash == CONTRACT.hash


@pytest.mark.parametrize('start', ['hold', 'denoise', 'noise'])
def test_reset_starts_a_new_epoch_and_really_empties_the_buffer(policy, start):
    fresh = StreamingPolicy(policy, seed=5, buffer_start=start)
    wanted = [fresh.tick(observation(1)).positions for _ in range(2)]
    used = StreamingPolicy(policy, seed=5, buffer_start=start)
    for k in range(4):
        used.tick(observation(k))
    used.reset()
    later = used.tick(observation(1))
    assert (later.epoch, later.seq) == (2, 0)
    assert not np.array_equal(later.positions, wanted[0]), 'another epoch draws other noise'
    used.reset(seed=5)  # back to the first epoch: nothing of the past may remain
    again = [used.tick(observation(1)) for _ in range(2)]
    assert [c.epoch for c in again] == [1, 1]
    assert [c.seq for c in again] == [0, 1]
    for got, expected in zip(again, wanted, strict=True):
        assert np.array_equal(got.positions, expected)


def test_more_evaluations_cost_more_network_calls(policy, monkeypatch):
    calls = []
    original = policy.network.forward
    monkeypatch.setattr(policy.network, 'forward', lambda *a: calls.append(1) or original(*a))
    for evaluations in (1, 3):
        controller = StreamingPolicy(policy, evaluations=evaluations)
        controller.tick(observation())
        calls.clear()
        controller.tick(observation())
        assert len(calls) == evaluations
    calls.clear()
    ChunkPolicy(policy, evaluations=5).tick(observation())
    assert len(calls) == 5


def test_inputs_are_not_changed(policy):
    seen = observation()
    before = seen.proprio.copy(), seen.images['top'].copy()
    StreamingPolicy(policy).tick(seen)
    assert np.array_equal(seen.proprio, before[0])
    assert np.array_equal(seen.images['top'], before[1])


def test_observation_that_does_not_fit_lists_every_difference(policy):
    seen = observation()
    wrong = replace(seen, proprio=seen.proprio[:, :13], images={'side': seen.images['top']})
    with pytest.raises(
        ContractError, match=r'proprio: expected \(1, 14\), got \(1, 13\); image .top.: expected'
    ):
        StreamingPolicy(policy).tick(wrong)


def test_controller_comes_from_the_checkpoint(policy):
    assert isinstance(make_controller(policy), StreamingPolicy)
    chunked = replace(policy.config.control, mode='chunk', evaluations=5, execute=16)
    controller = make_controller(policy, control=chunked)
    assert isinstance(controller, ChunkPolicy)
    assert controller.tick_ns == 16 * CONTRACT.timing.period_ns


def test_config_is_strict_and_round_trips(policy):
    data = json.loads(json.dumps(policy.config.to_dict()))
    assert PolicyConfig.from_dict(data) == policy.config
    with pytest.raises(ConfigError, match=r'config.network: unknown keys \[.widht.\]; legal'):
        PolicyConfig.from_dict({'network': {'widht': 3}})
    with pytest.raises(ConfigError, match=r'config.network.width: expected int, got .big.'):
        PolicyConfig.from_dict({'network': {'width': 'big'}})
    with pytest.raises(ConfigError, match=r'buffer_start must be one of'):
        PolicyConfig.from_dict({'control': {'buffer_start': 'warm'}})
