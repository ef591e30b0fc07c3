# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Every experiment file loads, takes ten training steps, and serves a chunk from the checkpoint that follows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.observation.observation import Observation
from dp_ros.policy.checkpoint import load_checkpoint, save_checkpoint
from dp_ros.policy.goal import Goal
from dp_ros.policy.modes import make_controller
from dp_ros.training.data import golden_observation
from dp_ros.training.experiment import Experiment
from dp_ros.training.loop import train

CONFIG = Path(__file__).parents[3] / 'config'
FILES = sorted((CONFIG / 'experiments').glob('*.yaml'))
# A store has the name of its contract, but for those whose contract serves several.
CONTRACTS = {
    'metaworld_mt10': 'metaworld',
    'metaworld_mt50': 'metaworld',
    'metaworld_mt10_state': 'metaworld_state',
    'metaworld_mt50_state': 'metaworld_state',
}
INSTRUCTION = 'put the ring over the peg'  # its embedding ships in config/instructions


def episode(contract, seed, frames=6):
    rng = np.random.default_rng(seed)
    joints = len(contract.joint_names)

    def numbers(width):
        return rng.normal(size=(frames, width)).astype(np.float32)

    return Episode.regular(
        contract.timing,
        stamps_ns=np.arange(frames) * contract.timing.period_ns,
        proprio=numbers(joints),
        actions=numbers(joints),
        images={c.name: rng.integers(0, 256, (frames, *c.size, 3), dtype=np.uint8) for c in contract.cameras},
        vectors={v.name: numbers(v.dim) for v in contract.vectors},
        privileged=numbers(3),
        metadata={'instruction': INSTRUCTION},
    )


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_it_trains_and_serves(path, tmp_path):
    experiment = Experiment.from_yaml(path)
    store = Path(experiment.store).name
    contract = Contract.from_json(CONFIG / 'contracts' / f'{CONTRACTS.get(store, store)}.json')
    with EpisodeStore.create(tmp_path / 'store', contract, {}) as made:
        for seed in range(3):
            made.append(episode(contract, seed))
    training = replace(experiment.training, steps=10, batch_size=2, validation_episodes=1)
    tiny = replace(experiment, store=str(tmp_path / 'store'), training=training)
    result = train(tiny, tmp_path / 'run')
    assert all(np.isfinite(value) for value in result.figures.values())
    save_checkpoint(tmp_path / 'checkpoint', result.policy, golden_observation(result.data), '# ten steps\n')
    controller = make_controller(load_checkpoint(tmp_path / 'checkpoint'))
    served = controller.policy.contract
    if served.goals:
        controller.set_goal(Goal(instruction=INSTRUCTION))
    chunk = controller.tick(Observation(stamp_ns=10**9, ages_ns={}, **served.example()))
    assert chunk.positions.shape == (served.timing.pred_horizon, len(served.joint_names))
    assert np.isfinite(chunk.positions).all()
