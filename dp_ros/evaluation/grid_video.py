# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Many episodes at once as a video: one tile each, framed green or red from its end on."""

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dp_ros.errors import StoreError
from dp_ros.evaluation.record import EpisodeRecord, RunRecord
from dp_ros.evaluation.video import BAD, GOOD, HOLD_S, frame_rate, open_video
from dp_ros.whole_file import whole_file

TILE = 128
MOST_TILES = 100
_FRAME = 4

Image = NDArray[np.uint8]


def write_grid_video(path: Path, record: RunRecord) -> None:
    """Write one mp4 in which all episodes run side by side, at the robot's own speed.

    Of more than MOST_TILES, the first ones of every task are shown, tasks in the order of the run.

    Raises:
        StoreError: no episode has frames, or the file cannot be written.
        ConfigError: the extra ``sim``, which brings ffmpeg, is not installed.
    """
    path = Path(path)
    episodes = shown([e for e in record.episodes if e.frames])
    if not episodes:
        raise StoreError(f'{path}: no episode of the run has camera frames')
    columns = math.ceil(math.sqrt(len(episodes)))
    rows = math.ceil(len(episodes) / columns)
    rate = frame_rate(episodes)
    canvas = np.zeros((rows * TILE, columns * TILE, 3), np.uint8)
    count = max(len(e.frames) for e in episodes)
    with whole_file(path, 'the video') as beside:
        writer = open_video(beside, rate, (columns * TILE, rows * TILE))
        try:
            for moment in range(count + round(HOLD_S * rate)):
                for number, episode in enumerate(episodes):
                    if moment < len(episode.frames):
                        row, column = divmod(number, columns)
                        corner = canvas[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
                        corner[:] = tile(episode, moment)
                writer.send(canvas)
        finally:
            writer.close()


def shown(episodes: list[EpisodeRecord]) -> list[EpisodeRecord]:
    """At most MOST_TILES episodes, as many of each task as of the others."""
    tasks = list(dict.fromkeys(e.task for e in episodes))
    each = max(1, MOST_TILES // max(1, len(tasks)))
    return [e for task in tasks for e in [x for x in episodes if x.task == task][:each]][:MOST_TILES]


def tile(episode: EpisodeRecord, moment: int) -> Image:
    """Frame ``moment`` of an episode, (TILE, TILE, 3); the last one is framed in the colour of the result."""
    picture = cv2.resize(episode.frames[moment].decode(), (TILE, TILE), interpolation=cv2.INTER_AREA)
    if moment == len(episode.frames) - 1:
        colour = GOOD if episode.success else BAD
        cv2.rectangle(picture, (0, 0), (TILE - 1, TILE - 1), colour, _FRAME)
    return np.asarray(picture, np.uint8)
