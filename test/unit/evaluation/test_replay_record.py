# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A replay record comes back from the disk as it was, and a damaged one says so."""

import dataclasses

import numpy as np
import pytest
from synthetic_replay import NAMES, ROWS, synthetic_replay

from dp_ros.errors import StoreError
from dp_ros.evaluation.replay_record import ReplayRecord


def assert_equal(a, b):
    for f in dataclasses.fields(a):
        left, right = getattr(a, f.name), getattr(b, f.name)
        if isinstance(left, np.ndarray):
            np.testing.assert_array_equal(left, right)
        elif f.name == 'ticks':
            for x, y in zip(left, right, strict=True):
                assert_equal(x, y)
        elif f.name == 'curves':
            assert_equal(left, right)
        else:
            assert left == right, f.name


@pytest.mark.parametrize('ticks', [0, 1, 7])
def test_it_comes_back_as_it_was(tmp_path, ticks):
    record = synthetic_replay(ticks=ticks)
    rng = np.random.default_rng(0)
    for i, tick in enumerate(record.ticks):
        if i % 2 == 0:
            tick.full = rng.normal(size=(ROWS, len(NAMES)))
        if i % 3 == 1:
            tick.spread = rng.normal(size=(i + 1, ROWS, len(NAMES)))
        tick.known[i % ROWS :] = False
    record.save(tmp_path / 'replay.npz')
    again = ReplayRecord.load(tmp_path / 'replay.npz')
    assert_equal(record, again)
    assert [p.name for p in tmp_path.iterdir()] == ['replay.npz']


def test_latency_ends_with_the_sum_of_the_stages():
    latency = synthetic_replay(ticks=3).latency_ms()
    assert list(latency) == ['observe', 'network', 'total']
    np.testing.assert_allclose(latency['total'], np.add(latency['observe'], latency['network']))


def test_shapes_that_do_not_fit_are_refused_by_name(tmp_path):
    record = synthetic_replay(ticks=2)
    record.ticks[1].recorded = np.zeros((3, 3))
    with pytest.raises(StoreError, match=rf'recorded of the tick at {record.ticks[1].stamp_ns} ns'):
        record.save(tmp_path / 'replay.npz')
    record = synthetic_replay(ticks=2, scale=np.ones(2))
    with pytest.raises(StoreError, match='2 scales'):
        record.save(tmp_path / 'replay.npz')
    assert not list(tmp_path.iterdir())


def test_a_damaged_or_foreign_file_is_an_error_that_names_it(tmp_path):
    path = tmp_path / 'replay.npz'
    with pytest.raises(StoreError, match='no such replay record'):
        ReplayRecord.load(path)
    synthetic_replay(ticks=2).save(path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(StoreError, match=r'replay.npz: damaged'):
        ReplayRecord.load(path)
    np.savez(path, meta=np.frombuffer(b'{}', np.uint8))
    with pytest.raises(StoreError, match='not a replay record'):
        ReplayRecord.load(path)
