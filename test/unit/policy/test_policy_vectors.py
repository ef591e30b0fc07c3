# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Measured vectors from a store through training into a checkpoint and a chunk."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dp_ros.contract import Arm, Contract, Embodiment, Joint, Timing, Vector
from dp_ros.data.demonstrations import Demonstrations
from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import ContractError, StoreError
from dp_ros.observation.observation import Observation
from dp_ros.policy.checkpoint import load_checkpoint, save_checkpoint
from dp_ros.policy.normalizer import VECTOR_STD_FLOOR, Normalizer
from dp_ros.policy.streaming import StreamingPolicy
from dp_ros.policy.testing import tiny_checkpoint, tiny_policy
from dp_ros.training.data import golden_observation
from dp_ros.training.experiment import Experiment
from dp_ros.training.loop import train
from dp_ros.training.model_card import model_card

CONTRACT = Contract(
    name='tracked',
    embodiment=Embodiment(arms=(Arm(name='arm', joints=(Joint(name='a'), Joint(name='g', unit='1'))),)),
    cameras=(),
    timing=Timing(obs_horizon=2, pred_horizon=8, action_horizon=2, period_ns=40_000_000),
    vectors=(Vector(name='cube', dim=3), Vector(name='goal', dim=1)),
)


def episode(seed: int, frames: int = 20) -> Episode:
    rng = np.random.default_rng(seed)
    return Episode.regular(
        CONTRACT.timing,
        stamps_ns=np.arange(frames) * CONTRACT.timing.period_ns,
        proprio=rng.normal(size=(frames, 2)).astype(np.float32),
        actions=rng.normal(size=(frames, 2)).astype(np.float32),
        images={},
        vectors={v.name: rng.normal(size=(frames, v.dim)).astype(np.float32) for v in CONTRACT.vectors},
        metadata={'seed': str(seed)},
    )


@pytest.fixture
def store(tmp_path):
    with EpisodeStore.create(tmp_path / 'store', CONTRACT, {}) as store:
        for seed in range(3):
            store.append(episode(seed))
    return EpisodeStore.open(tmp_path / 'store')


def test_windows_hold_what_was_stored(store):
    data = Demonstrations(CONTRACT, store)
    windows = data.windows(torch.tensor([0, 1, 25]))
    made = episode(1)
    assert windows.vectors['cube'].shape == (3, 2, 3)
    np.testing.assert_array_equal(windows.vectors['cube'][2], made.vectors['cube'][5])
    np.testing.assert_array_equal(made.vectors['goal'][5, 0], made.vectors['goal'][4, 1])


def test_an_episode_without_its_vectors_is_refused(store):
    with pytest.raises(StoreError, match=r'vectors.cube is missing'):
        replace(episode(0), vectors={'goal': episode(0).vectors['goal']}).check(CONTRACT, 'here')
    broken = episode(0)
    broken.vectors['cube'][3, 1, 2] = np.inf
    with pytest.raises(StoreError, match=r'vectors.cube holds values that are not finite'):
        broken.check(CONTRACT, 'here')


def test_a_constant_number_of_a_vector_stays_near_zero():
    values = torch.randn(50, 3)
    values[:, 1] = 0.4
    normalizer = Normalizer.fit_vector(values)
    assert normalizer.std[1] == VECTOR_STD_FLOOR
    assert abs(float(normalizer.encode(torch.tensor([0.0, 0.401, 0.0]))[1])) < 0.11


def test_every_number_reaches_the_chunk_and_a_wrong_shape_is_named():
    policy = tiny_policy(CONTRACT)
    example = CONTRACT.example(1)

    def chunk(**changes):
        seen = Observation(stamp_ns=1, ages_ns={}, **(example | changes))
        return StreamingPolicy(policy, seed=3).tick(seen).positions

    before = chunk()
    for name, values in example['vectors'].items():
        for number in range(values.shape[1]):
            changed = values.copy()
            changed[0, number] += 1.0
            after = chunk(vectors=example['vectors'] | {name: changed})
            assert np.abs(after - before).max() > 1e-9, (name, number)
    with pytest.raises(ContractError, match=r"vector 'goal': expected \(2, 1\), got None"):
        chunk(vectors={'cube': example['vectors']['cube']})


def test_checkpoint_round_trip(tmp_path):
    policy = load_checkpoint(tiny_checkpoint(tmp_path / 'tiny', CONTRACT))
    assert policy.contract == CONTRACT
    assert list(policy.vectors) == ['cube', 'goal']
    seen = Observation(stamp_ns=1, ages_ns={}, **CONTRACT.example(3))
    wanted = StreamingPolicy(tiny_policy(CONTRACT), seed=1).tick(seen).positions
    np.testing.assert_allclose(StreamingPolicy(policy, seed=1).tick(seen).positions, wanted, atol=2e-3)


def test_training_from_vectors_alone_ends_in_a_checkpoint(store, tmp_path):
    experiment = Experiment.from_dict(
        {
            'name': 'tracked',
            'store': str(store.path),
            'network': {'width': 16, 'depth': 1, 'heads': 2, 'actions_per_token': 2},
            'training': {'steps': 3, 'batch_size': 8, 'validation_episodes': 1, 'precision': 'fp32'},
        }
    )
    result = train(experiment, tmp_path / 'run')
    torch.testing.assert_close(
        result.policy.vectors['cube'].mean, result.data.training.vectors['cube'][:, -1].double().mean(dim=0)
    )
    card = model_card(experiment, result.policy, {})
    assert '| vectors | cube (3), goal (1) |' in card
    save_checkpoint(tmp_path / 'out', result.policy, golden_observation(result.data), card)
    assert load_checkpoint(tmp_path / 'out').vectors.keys() == {'cube', 'goal'}
