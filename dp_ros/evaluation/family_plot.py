# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Success over something, with intervals, one curve a model: as SVG for a page, and as PNG for everything else."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dp_ros.errors import StoreError
from dp_ros.evaluation.panels import GRID, INK, SOFT, text
from dp_ros.evaluation.plots import ticks
from dp_ros.whole_file import whole_file

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, KEY = 480, 300, 48, 12, 30, 40, 18
COLOURS = ('#0b6e99', '#c2410c', '#4d7c0f', '#7e22ce', '#b45309', '#0f766e', '#be123c', '#475569')
# The PNG is drawn at twice the size: lines and letters of OpenCV look better so.
SCALE = 2

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class RatePoint:
    """A success rate with its 95 % interval at ``x``."""

    x: float
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class RatePlot:
    """Curves by name; every point counts, in any order.

    Attributes:
        name: of a file.
        title: heading.
        unit: what x is.
        curves: name to at least one point.
    """

    name: str
    title: str
    unit: str
    curves: Mapping[str, Sequence[RatePoint]]

    @property
    def height(self) -> int:
        """With the key below."""
        return HEIGHT + KEY * len(self.curves)

    def place(self, x: float, rate: float) -> tuple[float, float]:
        """Where a point stands in the picture."""
        low, high = self._range
        left = LEFT + 10 + (x - low) / ((high - low) or 1.0) * (WIDTH - LEFT - RIGHT - 20)
        return left, HEIGHT - BOTTOM - rate * (HEIGHT - TOP - BOTTOM)

    def ticks(self) -> list[float]:
        """Of x."""
        low, high = self._range
        return ticks(low, high, 5) if high > low else [low]

    @property
    def _range(self) -> tuple[float, float]:
        xs = [point.x for points in self.curves.values() for point in points]
        return min(xs), max(xs)


def svg(plot: RatePlot) -> str:
    """A self-contained SVG that scales with its place."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {plot.height}" role="img" '
        f'aria-label="{escape(plot.title)}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-weight="bold">{escape(plot.title)}</text>',
    ]
    for rate in (0.0, 0.25, 0.5, 0.75, 1.0):
        _, y = plot.place(0.0, rate)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{rate:g}</text>')
    for value in plot.ticks():
        x, _ = plot.place(value, 0.0)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:g}</text>')
    parts.append(
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(plot.unit)}</text>'
    )
    for number, (name, points) in enumerate(plot.curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = sorted(points, key=lambda point: point.x)
        path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in (plot.place(p.x, p.rate) for p in points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in points:
            (x, y), (_, bottom), (_, top) = (
                plot.place(point.x, r) for r in (point.rate, point.low, point.high)
            )
            parts.append(f'<path d="M{x:.1f} {bottom:.1f}V{top:.1f}" stroke="{colour}"/>')
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        y = HEIGHT + KEY * number + 8
        parts.append(f'<path d="M{LEFT} {y - 4}h18" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + 24}" y="{y}">{escape(name)}</text>')
    parts.append('</svg>')
    return ''.join(parts)


def write_png(path: Path, plots: Sequence[RatePlot]) -> None:
    """The plots side by side.

    Raises:
        StoreError: the file cannot be written.
    """
    image = picture(plots)
    done, encoded = cv2.imencode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise StoreError(f'{path}: the picture could not be encoded')
    with whole_file(path, 'the plots') as beside:
        beside.write_bytes(encoded.tobytes())


def picture(plots: Sequence[RatePlot]) -> Image:
    """The plots side by side, (H, W, 3) uint8 RGB."""
    height = max(plot.height for plot in plots)
    image: Image = np.full((SCALE * height, SCALE * WIDTH * len(plots), 3), 255, np.uint8)
    for number, plot in enumerate(plots):
        _draw(image[:, SCALE * WIDTH * number : SCALE * WIDTH * (number + 1)], plot)
    return image


def _draw(image: Image, plot: RatePlot) -> None:
    def at(x: float, y: float) -> tuple[int, int]:
        return round(SCALE * x), round(SCALE * y)

    def write(words: str, x: float, y: float, colour: tuple[int, int, int], share: float = 0.0) -> None:
        (wide, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * SCALE, 1)
        text(image, words, at(x - share * wide / SCALE, y), 0.45 * SCALE, colour, 1, SCALE * WIDTH - 20)

    write(plot.title, LEFT, 18, INK)
    for rate in (0.0, 0.25, 0.5, 0.75, 1.0):
        _, y = plot.place(0.0, rate)
        cv2.line(image, at(LEFT, y), at(WIDTH - RIGHT, y), GRID, 1)
        write(f'{rate:g}', LEFT - 6, y + 4, SOFT, 1.0)
    for value in plot.ticks():
        write(f'{value:g}', plot.place(value, 0.0)[0], HEIGHT - BOTTOM + 16, SOFT, 0.5)
    write(plot.unit, (LEFT + WIDTH) / 2, HEIGHT - 6, SOFT, 0.5)
    for number, (name, points) in enumerate(plot.curves.items()):
        code = COLOURS[number % len(COLOURS)]
        red, green, blue = (int(code[i : i + 2], 16) for i in (1, 3, 5))
        colour = (red, green, blue)
        points = sorted(points, key=lambda point: point.x)
        middles = [at(*plot.place(point.x, point.rate)) for point in points]
        for one, other in itertools.pairwise(middles):
            cv2.line(image, one, other, colour, 3, cv2.LINE_AA)
        for point, middle in zip(points, middles, strict=True):
            low, high = (at(*plot.place(point.x, rate)) for rate in (point.low, point.high))
            cv2.line(image, low, high, colour, 2)
            cv2.circle(image, middle, 3 * SCALE, colour, -1, cv2.LINE_AA)
        y = HEIGHT + KEY * number + 8
        cv2.line(image, at(LEFT, y - 4), at(LEFT + 18, y - 4), colour, 4)
        write(name, LEFT + 24, y, INK)
