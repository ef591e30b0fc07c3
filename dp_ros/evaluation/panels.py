# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The joint plots of the video: past commands and measurements, the chunk ahead, drawn by OpenCV for speed."""

import cv2
import numpy as np
from numpy.typing import NDArray

from dp_ros.evaluation.record import EpisodeRecord, RunRecord

INK, SOFT, GRID = (28, 36, 48), (90, 102, 117), (221, 227, 234)
COMMANDED, MEASURED, CHUNK = (31, 95, 191), (30, 145, 80), (224, 123, 0)
WASH = (245, 247, 250)

PAST_S, FUTURE_S = 2.0, 1.4
PANEL_HEIGHT = 100
_LEGEND, _GAP, _LABEL = 30, 6, 18
# OpenCV draws at sixteenths of a pixel, or the lines would tremble from frame to frame.
_SHIFT = 4
_LEAST_SPAN = {'rad': 0.1, 'm': 0.005, '1': 0.1}

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]


def text(
    image: Image,
    words: str,
    at: tuple[int, int],
    size: float,
    colour: tuple[int, int, int],
    weight: int = 1,
    width: int | None = None,
) -> None:
    """Write one line with its left baseline at ``at``; shrunk to ``width`` pixels where it would be wider."""
    if width is not None:
        (wide, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, weight)
        size = min(size, size * width / max(1, wide))
    cv2.putText(image, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, weight, cv2.LINE_AA)


class JointPanels:
    """Plots of one episode, two columns (the first half of the joints beside the second), now in the middle.

    Args:
        record: names and units of the joints.
        episode: whose curves are drawn.
        width: pixels of the image that :meth:`draw` gets.
        height: likewise.
        foresight: draw what was commanded later too, where a recording tells it.
    """

    def __init__(
        self, record: RunRecord, episode: EpisodeRecord, width: int, height: int, foresight: bool = False
    ):
        self._record, self._episode, self._foresight = record, episode, foresight
        count = len(record.joint_names)
        self._rows = max(1, -(-count // 2))
        self._cell = ((width - 3 * _GAP) // 2, (height - _LEGEND - _GAP) // self._rows - _GAP)
        self._ranges = [self._range(j) for j in range(count)]
        self._chunk_stamps = np.asarray([c.stamp_ns for c in episode.chunks], np.int64)
        self._ground = self._draw_ground(width, height)

    def draw(self, image: Image, now_ns: int) -> None:
        """Draw the plots at ROS time ``now_ns`` into ``image`` (height, width, 3), in place."""
        image[:] = self._ground
        newest = int(np.searchsorted(self._chunk_stamps, now_ns, side='right')) - 1
        first, last = np.searchsorted(self._episode.times_ns, (now_ns - int(PAST_S * 1e9), now_ns + 1))
        past = slice(max(0, int(first) - 1), int(last))
        times = self._episode.times_ns[past] - now_ns
        shown = past
        if self._foresight:
            until = np.searchsorted(self._episode.times_ns, now_ns + int(FUTURE_S * 1e9))
            shown = slice(past.start, int(until))
        commanded, command_times = self._episode.commanded[shown], self._episode.times_ns[shown] - now_ns
        for j in range(len(self._record.joint_names)):
            plot = self._cell_of(image, j)[_LABEL:]
            if self._foresight:  # below the chunk, which is to be seen beside it
                self._line(plot, command_times, commanded[:, j], j, COMMANDED, 2)
            if newest >= 0:
                chunk = self._episode.chunks[newest]
                ahead = chunk.stamp_ns + self._record.period_ns * np.arange(
                    len(chunk.positions), dtype=np.int64
                )
                self._line(plot, ahead - now_ns, chunk.positions[:, j], j, CHUNK, 2)
            if not self._foresight:
                self._line(plot, command_times, commanded[:, j], j, COMMANDED, 2)
            self._line(plot, times, self._episode.measured[past, j], j, MEASURED, 1)

    def _cell_of(self, image: Image, j: int) -> Image:
        column, row = divmod(j, self._rows)
        width, height = self._cell
        left, top = _GAP + column * (width + _GAP), _LEGEND + row * (height + _GAP)
        return image[top : top + height, left : left + width]

    def _draw_ground(self, width: int, height: int) -> Image:
        """What no frame changes, drawn once: legend, grounds, names, ranges, the line of now."""
        ground = np.full((height, width, 3), 255, np.uint8)
        x = _GAP
        for words, colour in (('commanded', COMMANDED), ('measured', MEASURED), ('predicted chunk', CHUNK)):
            cv2.line(ground, (x, 16), (x + 22, 16), colour, 2, cv2.LINE_AA)
            text(ground, words, (x + 28, 20), 0.42, INK)
            x += 140
        for j, (name, unit) in enumerate(
            zip(self._record.joint_names, self._record.joint_units, strict=True)
        ):
            cell = self._cell_of(ground, j)
            cell[:] = WASH
            wide = cell.shape[1]
            now_x = round(wide * PAST_S / (PAST_S + FUTURE_S))
            cv2.line(cell, (now_x, _LABEL), (now_x, cell.shape[0]), GRID, 1)
            low, high = self._ranges[j]
            text(cell, name, (4, 13), 0.38, INK)
            text(cell, f'{low:.3g} .. {high:.3g} {unit}', (wide - 118, 13), 0.34, SOFT, 1, 114)
        return ground

    def _line(
        self, plot: Image, ns: NDArray[np.int64], values: Floats, j: int, colour: tuple[int, ...], weight: int
    ) -> None:
        good = np.isfinite(values)
        if good.sum() < 2:
            return
        height, width = plot.shape[:2]
        low, high = self._ranges[j]
        x = (ns[good] / 1e9 + PAST_S) / (PAST_S + FUTURE_S) * width
        y = height - 4 - (values[good] - low) / (high - low) * (height - 8)
        points = np.rint(np.stack([x, y], axis=1) * 2**_SHIFT).astype(np.int32)
        cv2.polylines(plot, [points], False, colour, weight, cv2.LINE_AA, _SHIFT)

    def _range(self, j: int) -> tuple[float, float]:
        episode = self._episode
        parts = [
            episode.commanded[:, j],
            episode.measured[:, j],
            *(c.positions[:, j] for c in episode.chunks),
        ]
        values = np.concatenate(parts)
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
        short = max(0.0, _LEAST_SPAN[self._record.joint_units[j]] - (high - low)) / 2
        return low - short, high + short
