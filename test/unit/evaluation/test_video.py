# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The video shows the camera, the curves and the chunk, plays at the robot's speed, and every player can read it."""

import re
import subprocess

import numpy as np
import pytest
from synthetic_record import synthetic_run

from dp_ros.errors import StoreError
from dp_ros.evaluation.panels import CHUNK, COMMANDED
from dp_ros.evaluation.video import BAD, CAMERA_WIDTH, GOOD, HEIGHT, WIDTH, frame_rate, frames, write_video

imageio_ffmpeg = pytest.importorskip('imageio_ffmpeg', reason='the extra `sim` is not installed')


def has_colour(image, colour):
    return bool((np.abs(image.astype(int) - colour).max(axis=-1) <= 3).any())


def test_the_camera_is_on_the_left_and_the_curves_on_the_right():
    image = next(frames(synthetic_run((True,)))).copy()
    assert image.shape == (HEIGHT, WIDTH, 3)
    left, right = image[:, :CAMERA_WIDTH], image[:, CAMERA_WIDTH:]
    assert (np.abs(left.astype(int) - (38, 60, 60)).max(axis=-1) <= 6).mean() > 0.4, (
        'the camera fills its place'
    )
    assert has_colour(right, CHUNK)
    assert not has_colour(left, CHUNK)


def test_the_past_grows_while_the_chunk_stays_ahead_of_now():
    pictures = [image[:, CAMERA_WIDTH:].copy() for image in frames(synthetic_run((True,)))]
    blue = [(np.abs(p.astype(int) - COMMANDED).max(axis=-1) <= 3).sum() for p in pictures]
    assert blue[len(blue) // 2] > 2 * blue[1]
    half = pictures[-1].shape[1] // 2
    orange = np.argwhere(np.abs(pictures[-1][60:, :half].astype(int) - CHUNK).max(axis=-1) <= 3)[:, 1]
    past_s, future_s = 2.0, 1.4
    now_x = half * past_s / (past_s + future_s)
    # The newest chunk begins at most one tick (0.16 s) before now.
    assert orange.min() > now_x - half * 0.25 / (past_s + future_s)


@pytest.mark.parametrize(('success', 'colour'), [(True, GOOD), (False, BAD)])
def test_the_last_picture_tells_the_result_and_stays(success, colour):
    pictures = [image.copy() for image in frames(synthetic_run((success,)), hold=3)]
    assert len(pictures) == 50 + 3
    bottom = HEIGHT - 100
    assert not has_colour(pictures[-4][bottom:, :CAMERA_WIDTH], colour)
    assert all(has_colour(p[bottom:, :CAMERA_WIDTH], colour) for p in pictures[-3:])


def test_it_plays_at_the_robots_speed_in_a_common_format(tmp_path):
    run, path, seen = synthetic_run((True, False)), tmp_path / 'out' / 'rollout.mp4', []
    assert frame_rate(run.episodes) == pytest.approx(25.0)
    write_video(path, run, lambda done, total: seen.append((done, total)))
    assert [p.name for p in path.parent.iterdir()] == ['rollout.mp4']
    assert seen == [(i, 160) for i in range(1, 161)]
    told = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), '-i', str(path)], capture_output=True, text=True
    ).stderr
    assert re.search(r'Video: h264 .*yuv420p.* 1280x720.* 25 fps', told), told
    assert 'Duration: 00:00:06.40' in told


def test_episodes_without_frames_are_left_out():
    run = synthetic_run((True, True))
    run.episodes[0].frames = []
    assert len([0 for _ in frames(run)]) == 50


def test_a_run_without_frames_is_refused(tmp_path):
    run = synthetic_run((True,))
    run.episodes[0].frames = []
    with pytest.raises(StoreError, match='no episode of the run has camera frames'):
        write_video(tmp_path / 'rollout.mp4', run)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_frame_is_refused_and_leaves_nothing(tmp_path):
    run = synthetic_run((True,))
    frame = run.episodes[0].frames[20]
    run.episodes[0].frames[20] = type(frame)(frame.stamp_ns, frame.jpeg[:10])
    with pytest.raises(StoreError, match=f'frame at {frame.stamp_ns} ns: not a JPEG image'):
        write_video(tmp_path / 'rollout.mp4', run)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(StoreError, match=r'rollout\.mp4: cannot write the video'):
        write_video(tmp_path / 'file' / 'rollout.mp4', synthetic_run((True,)))
