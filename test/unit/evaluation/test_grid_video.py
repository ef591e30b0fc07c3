# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Many episodes as tiles of one video."""

import numpy as np
import pytest

from dp_ros.errors import StoreError
from dp_ros.evaluation.grid_video import MOST_TILES, TILE, shown, tile, write_grid_video
from dp_ros.evaluation.record import EpisodeRecord, FrameRecord, RunRecord
from dp_ros.evaluation.video import BAD, GOOD


def episode(task='a', success=True, frames=3):
    picture = np.full((64, 64, 3), 100, np.uint8)
    blank = np.zeros((0, 1))
    return EpisodeRecord(
        0, success, success, 0.0, 0, np.zeros(0, np.int64), blank, blank, task=task,
        frames=[FrameRecord.encode(k * 50_000_000, picture) for k in range(frames)],
    )  # fmt: skip


def test_every_task_is_shown_as_often_as_the_others():
    found = shown([episode(task, frames=1) for task in 'abc' for _ in range(50)])
    assert len(found) <= MOST_TILES
    assert {task: sum(e.task == task for e in found) for task in 'abc'} == dict.fromkeys(
        'abc', MOST_TILES // 3
    )


@pytest.mark.parametrize(('success', 'colour'), [(True, GOOD), (False, BAD)])
def test_the_last_frame_tells_the_result(success, colour):
    made = episode(success=success)
    assert tuple(tile(made, 2)[0, 0]) == colour
    assert (np.abs(tile(made, 1).astype(int) - 100) < 5).all()
    assert tile(made, 0).shape == (TILE, TILE, 3)


def test_a_file_is_written_or_refused(tmp_path):
    run = RunRecord('grid', ('j',), ('m',), 50_000_000, episodes=[episode(frames=k + 1) for k in range(3)])
    pytest.importorskip('imageio_ffmpeg')
    write_grid_video(tmp_path / 'grid.mp4', run)
    assert (tmp_path / 'grid.mp4').stat().st_size > 500
    run.episodes = [episode(frames=0)]
    with pytest.raises(StoreError, match='no episode of the run has camera frames'):
        write_grid_video(tmp_path / 'none.mp4', run)
