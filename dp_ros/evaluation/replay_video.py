# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A replay as a video: the camera on the left, and beside it each chunk over what was commanded then and later."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dp_ros.errors import StoreError
from dp_ros.evaluation.panels import INK, SOFT, JointPanels, text
from dp_ros.evaluation.record import ChunkRecord, EpisodeRecord, RunRecord
from dp_ros.evaluation.replay_analysis import Analysis
from dp_ros.evaluation.replay_record import ReplayRecord
from dp_ros.evaluation.video import CAMERA_WIDTH, HEIGHT, WIDTH, draw_camera, frame_rate, open_video
from dp_ros.whole_file import whole_file

Image = NDArray[np.uint8]


def write_replay_video(
    path: Path, analysis: Analysis, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write all episodes into one mp4 (H.264, yuv420p), at the speed of the recording.

    Args:
        path: the .mp4 file; written whole or not at all.
        analysis: of a replay whose record has pictures.
        progress: called with (pictures written, pictures in all).

    Raises:
        StoreError: the record has no pictures of its first camera, or the file cannot be written.
        ConfigError: the extra ``sim``, which brings ffmpeg, is not installed.
    """
    path = Path(path)
    run = as_run(analysis.record)
    if not any(e.frames for e in run.episodes):
        raise StoreError(f'{path}: the replay has no camera pictures')
    total = sum(len(e.frames) for e in run.episodes)
    with whole_file(path, 'the video') as beside:
        writer = open_video(beside, frame_rate([e for e in run.episodes if e.frames]))
        try:
            for done, image in enumerate(replay_frames(analysis, run), start=1):
                writer.send(np.ascontiguousarray(image))
                if progress is not None:
                    progress(done, total)
        finally:
            writer.close()


def as_run(record: ReplayRecord) -> RunRecord:
    """Episodes of the bag with the pictures of the first camera, as the plots of a run want them."""
    camera = next(iter(record.frames), '')
    episodes = []
    for number in dict.fromkeys(t.episode for t in record.ticks):
        ticks = [t for t in record.ticks if t.episode == number]
        first, last = ticks[0].stamp_ns, ticks[-1].stamp_ns + record.tick_ns
        end = last + record.horizon * record.period_ns
        curves = record.curves
        inside = (curves.stamps_ns >= first - record.period_ns) & (curves.stamps_ns < end)
        episodes.append(
            EpisodeRecord(
                seed=number,
                success=False,
                strict_success=False,
                max_reward=0.0,
                steps=len(ticks),
                times_ns=curves.stamps_ns[inside],
                measured=curves.measured[inside],
                commanded=curves.commanded[inside],
                chunks=[ChunkRecord(t.stamp_ns, t.chunk) for t in ticks],
                frames=[f for f in record.frames.get(camera, ()) if first <= f.stamp_ns < last],
            )
        )
    return RunRecord(
        title=record.title,
        joint_names=record.joint_names,
        joint_units=record.joint_units,
        period_ns=record.period_ns,
        camera=camera,
        episodes=episodes,
    )


def replay_frames(analysis: Analysis, run: RunRecord) -> Iterator[Image]:
    """Pictures (HEIGHT, WIDTH, 3) uint8 RGB; one array is drawn over and over: copy a picture to keep it."""
    record = analysis.record
    stamps, error = analysis.ticks.stamps_ns, analysis.policy.whole.by_tick
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    for episode in run.episodes:
        panels = JointPanels(run, episode, WIDTH - CAMERA_WIDTH, HEIGHT, foresight=True)
        start = episode.chunks[0].stamp_ns
        for frame in episode.frames:
            image.fill(255)
            draw_camera(image, frame.decode())
            earlier = np.flatnonzero((stamps <= frame.stamp_ns) & (analysis.ticks.episode == episode.seed))
            text(image, f'{Path(record.bag).name}: {record.title}', (16, 34), 0.62, INK, 2, CAMERA_WIDTH - 32)
            where = (
                f'episode {episode.seed}, camera {run.camera}, t = {(frame.stamp_ns - start) / 1e9:5.2f} s'
            )
            text(image, where, (16, 62), 0.5, SOFT, 1, CAMERA_WIDTH - 32)
            if len(earlier) and np.isfinite(error[earlier[-1]]):
                words = f'newest chunk: {error[earlier[-1]]:.2f} std off, RMS over all joints'
                text(image, words, (16, 84), 0.5, INK, 1, CAMERA_WIDTH - 32)
            panels.draw(image[:, CAMERA_WIDTH:], frame.stamp_ns)
            yield image
