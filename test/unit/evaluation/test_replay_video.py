# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The video of a replay shows each chunk over what was commanded then and later."""

import numpy as np
import pytest
from synthetic_replay import SCALE, motion, synthetic_replay

from dp_ros.errors import StoreError
from dp_ros.evaluation.panels import CHUNK, COMMANDED
from dp_ros.evaluation.replay_analysis import analyse
from dp_ros.evaluation.replay_video import as_run, replay_frames, write_replay_video
from dp_ros.evaluation.video import CAMERA_WIDTH, HEIGHT, WIDTH

pytest.importorskip('imageio_ffmpeg', reason='the extra `sim` is not installed')


def columns(image, colour):
    """Columns of the first plot (of the left half of the plots) that hold a colour."""
    plots = image[60:, CAMERA_WIDTH:]
    half = plots[:, : plots.shape[1] // 2].astype(int)
    return np.argwhere(np.abs(half - colour).max(axis=-1) <= 3)[:, 1]


def test_the_recording_goes_on_where_the_chunk_does():
    analysis = analyse(synthetic_replay(lambda t: motion(t) + 0.3 * SCALE, ticks=30))
    pictures = [image.copy() for image in replay_frames(analysis, as_run(analysis.record))]
    assert len(pictures) == 30 and pictures[0].shape == (HEIGHT, WIDTH, 3)
    middle = pictures[15]
    now = 0.5 * (WIDTH - CAMERA_WIDTH) * 2.0 / 3.4
    assert columns(middle, CHUNK).max() > now
    assert columns(middle, COMMANDED).max() > columns(middle, CHUNK).max()


def test_episodes_follow_each_other_and_the_file_is_whole(tmp_path):
    analysis = analyse(synthetic_replay(ticks=8, episodes=2))
    run = as_run(analysis.record)
    assert [len(e.frames) for e in run.episodes] == [4, 4]
    seen = []
    write_replay_video(tmp_path / 'replay.mp4', analysis, lambda done, total: seen.append((done, total)))
    assert seen == [(i, 8) for i in range(1, 9)]
    assert [p.name for p in tmp_path.iterdir()] == ['replay.mp4']


def test_without_pictures_there_is_no_video(tmp_path):
    with pytest.raises(StoreError, match='no camera pictures'):
        write_replay_video(tmp_path / 'replay.mp4', analyse(synthetic_replay(ticks=3, frames={})))
    assert not list(tmp_path.iterdir())
