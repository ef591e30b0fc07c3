# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros inspect STORE``: ranges against limits, lag, stillness and what is there twice."""

import numpy as np
import pytest
import yaml
from bag_maker import example_binding_data, example_contract

from dp_ros.cli.main import main
from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore

CONTRACT = example_contract()


def episode(scale, still_s=0.0, lag_s=0.1):
    times = np.arange(0, 4, 0.04)

    def way(t):
        return scale * np.sin(3 * np.maximum(t - still_s, 0))[:, None] * [1.0, 1.0, 0.1]

    command_s = np.arange(0, 4, 0.005)
    return Episode(
        stamps_ns=np.rint(times * 1e9).astype(np.int64),
        proprio=np.repeat(way(times - lag_s)[:, None], 2, axis=1).astype(np.float32),
        images={'top': np.random.default_rng(0).integers(0, 256, (1, 12, 16, 3), dtype=np.uint8)},
        image_index={'top': np.zeros((100, 2), np.int32)},
        command_stamps_ns=np.rint(command_s * 1e9).astype(np.int64),
        commands=way(command_s).astype(np.float32),
    )


@pytest.fixture
def store(tmp_path):
    with EpisodeStore.create(tmp_path / 'store', CONTRACT, {}) as made:
        for one in (episode(0.2), episode(0.5), episode(0.2, still_s=2.0), episode(0.5)):
            made.append(one)
    data = example_binding_data()
    data['arms']['left']['joints']['left_j1']['position'] = [-0.3, 0.3]
    (tmp_path / 'binding.yaml').write_text(yaml.safe_dump(data))
    return tmp_path / 'store'


def test_a_store_tells_what_its_data_are_like(store, capsys):
    assert main(['inspect', str(store), '--binding', str(store.parent / 'binding.yaml')]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(line for line in lines if line.startswith('  left_j1'))
    assert '-0.5000 to +0.5000 rad' in first
    assert '-0.3000 to +0.3000' in first
    assert ' 100 ms' in first
    share = float(first.split()[-2])
    assert 20 < share < 40, 'half of the episodes leave the limits for more than half of the time'
    assert next(line for line in lines if line.startswith('  left_j2')).endswith('never')
    assert any(line.startswith('rate') and '25.00 Hz' in line for line in lines)
    still = next(line for line in lines if line.startswith('nothing moves'))
    assert float(still.split()[2]) == pytest.approx(100 * 2 / 16, abs=3)
    assert 'odd: episodes 1 and 3 are equal' in lines
    assert any(
        'nothing moves for more than 1 s at the beginning: in 1 episodes (2)' in line for line in lines
    )


def test_without_a_binding_there_are_no_limits(store, capsys):
    assert main(['inspect', str(store)]) == 0
    text = capsys.readouterr().out
    assert 'limits' not in text
    assert 'left_j1' in text
