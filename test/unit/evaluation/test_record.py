# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A run record comes back as it was written, or is refused with a reason."""

import dataclasses
import resource

import numpy as np
import pytest
from synthetic_record import synthetic_run

from dp_ros.errors import StoreError
from dp_ros.evaluation.record import FrameRecord, RunRecord


def test_save_then_load_is_equal(tmp_path):
    run = synthetic_run()
    run.save(tmp_path / 'deep' / 'run.npz')
    back = RunRecord.load(tmp_path / 'deep' / 'run.npz')
    assert [p.name for p in (tmp_path / 'deep').iterdir()] == ['run.npz']
    for field in dataclasses.fields(RunRecord):
        if field.name != 'episodes':
            assert getattr(back, field.name) == getattr(run, field.name), field.name
    for old, new in zip(run.episodes, back.episodes, strict=True):
        for field in dataclasses.fields(old):
            a, b = getattr(old, field.name), getattr(new, field.name)
            if field.name == 'chunks':
                assert [c.stamp_ns for c in a] == [c.stamp_ns for c in b]
                assert all(np.array_equal(c.positions, d.positions) for c, d in zip(a, b, strict=True))
            elif isinstance(a, np.ndarray):
                assert a.dtype == b.dtype and np.array_equal(a, b), field.name
            else:
                assert a == b, field.name


def test_an_episode_without_chunks_and_frames_survives(tmp_path):
    run = synthetic_run((False,))
    run.episodes[0].chunks, run.episodes[0].frames = [], []
    run.save(tmp_path / 'run.npz')
    back = RunRecord.load(tmp_path / 'run.npz').episodes[0]
    assert back.chunks == []
    assert back.frames == []


def test_a_run_without_episodes_survives(tmp_path):
    run = synthetic_run(())
    run.save(tmp_path / 'run.npz')
    assert RunRecord.load(tmp_path / 'run.npz') == run


def test_frames_keep_their_colours():
    image = np.zeros((32, 48, 3), np.uint8)
    image[:, :24] = (200, 30, 10)
    back = FrameRecord.encode(7, image, quality=95).decode()
    assert back.shape == image.shape
    # Away from the edge between the halves JPEG keeps flat colours within a few levels.
    assert np.abs(back[:, :16].astype(int) - (200, 30, 10)).max() < 8


def test_latencies_of_all_episodes_are_joined():
    run = synthetic_run()
    assert list(run.latency_ms()) == ['encode', 'network', 'total']
    assert len(run.latency_ms()['total']) == sum(len(e.chunks) for e in run.episodes)


def test_mismatched_arrays_are_refused_by_name_and_leave_no_file(tmp_path):
    run = synthetic_run()
    run.episodes[1].commanded = run.episodes[1].commanded[:, :-1]
    with pytest.raises(StoreError, match=r'episode 1: commanded has shape \(100, 13\), expected \(100, 14\)'):
        run.save(tmp_path / 'run.npz')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('keep', [0, 10, 5000])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = tmp_path / 'run.npz'
    synthetic_run().save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StoreError, match='damaged run record'):
        RunRecord.load(path)


def test_a_missing_or_foreign_file_is_refused(tmp_path):
    with pytest.raises(StoreError, match='no such run record'):
        RunRecord.load(tmp_path / 'none.npz')
    np.savez(tmp_path / 'other.npz', a=np.zeros(3))
    with pytest.raises(StoreError, match='damaged run record'):
        RunRecord.load(tmp_path / 'other.npz')


def test_a_full_disk_is_an_error_and_leaves_the_old_file(tmp_path):
    path = tmp_path / 'run.npz'
    synthetic_run((True,)).save(path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Writes beyond this fail half-way, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(StoreError, match=r'run\.npz: cannot write the run record'):
            synthetic_run((True, True)).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ['run.npz']
