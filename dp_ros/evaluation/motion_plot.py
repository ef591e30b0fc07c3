# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The picture of ``dp_ros bench motion``: what each recipe makes a controller command, under one curve's eyes."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dp_ros.errors import StoreError
from dp_ros.evaluation.motion_bench import RULES
from dp_ros.evaluation.motion_recipes import recipe
from dp_ros.evaluation.motion_run import Run, drive
from dp_ros.evaluation.motion_streams import MOTION_NS, ROUGH, Disturbance, Setting
from dp_ros.evaluation.panels import COMMANDED, GRID, INK, MEASURED, SOFT, text
from dp_ros.whole_file import whole_file

SHOWN = ('window', 'point-now', 'point-next', 'chunk-velocities', 'chunk-desired', 'forward')
LOUD = (190, 40, 30)
# Drawn at twice the size and halved: lines and letters of OpenCV look better so.
SCALE = 2
WIDTH, HEADER, ROW, FOOTER = 1000, 62, 104, 30
LEFT, GAP, RIGHT, TOP, BOTTOM = 236, 56, 14, 10, 8
SPAN_S = (1.6, 3.2)
MOST_V = 4.0
DECADES = (0, 5)

Array = npt.NDArray[np.floating[Any]]
Image = npt.NDArray[np.uint8]


def write_plot(path: Path, setting: Setting, seed: int) -> None:
    """Velocities and accelerations of the recipes under jazzy's rules, over a piece of the motion, as a PNG.

    Raises:
        StoreError: the file cannot be written.
    """
    image = draw(setting, seed)
    done, encoded = cv2.imencode(
        '.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9]
    )
    if not done:
        raise StoreError(f'{path}: the picture could not be encoded')
    with whole_file(path, 'the plot') as beside:
        beside.write_bytes(encoded.tobytes())


def draw(setting: Setting, seed: int) -> Image:
    """The picture, (H, W, 3) uint8 RGB."""
    height = HEADER + len(SHOWN) * ROW + FOOTER
    image: Image = np.full((height * SCALE, WIDTH * SCALE, 3), 255, np.uint8)
    width = (WIDTH - LEFT - GAP - RIGHT) // 2
    columns = (LEFT, LEFT + width + GAP)
    _write(image, 'What the joint trajectory controller commands at 500 Hz', (16, 24), 0.56, INK, 2)
    _write(
        image,
        'blue: the motion that is meant; jazzy rules, replans at 10 Hz, transport delay 0-30 ms, jitter 10 ms; '
        'a model, not a robot',
        (16, 44),
        0.4,
        SOFT,
    )
    _write(image, 'velocity, rad/s, cut off at 4', (columns[0], HEADER - 2), 0.4, INK)
    _write(image, 'acceleration without its sign, rad/s2, logarithmic', (columns[1], HEADER - 2), 0.4, INK)
    for i, key in enumerate(SHOWN):
        way = recipe(key)
        rules = RULES['jazzy'].with_parameters(interpolate_from_desired_state=way.from_desired)
        run = drive(setting, rules, way.stream(setting, ROUGH, 1, seed, Disturbance()), way.forward)
        top = HEADER + i * ROW
        _row(image, setting, run, way.words, i == 0, top, columns, width)
    for left in columns:
        for second in np.arange(SPAN_S[0], SPAN_S[1] + 0.01, 0.4):
            x = left + (second - SPAN_S[0]) / (SPAN_S[1] - SPAN_S[0]) * width
            _write(image, f'{second:.1f} s', (min(round(x) - 12, WIDTH - 34), height - 14), 0.36, SOFT)
    small = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA)
    # Fewer shades make a PNG of half the size, and no eye sees them.
    return np.minimum((small.astype(np.uint16) + 12) // 24 * 24, 255).astype(np.uint8)


def _row(
    image: Image,
    setting: Setting,
    run: Run,
    words: str,
    ours: bool,
    top: int,
    columns: tuple[int, int],
    width: int,
) -> None:
    h = setting.control_ns * 1e-9
    # The first joint; a difference stands at the middle of what it spans.
    v = np.diff(run.commands[:, 0]) / h
    a = np.diff(run.commands[:, 0], 2) / h**2
    t = (run.times_ns - MOTION_NS) * 1e-9
    tone = MEASURED if ours else LOUD
    _write(image, words, (16, top + 40), 0.42, INK, 1, LEFT - 60)
    _write(image, f'peaks {_figure(np.abs(v).max())} rad/s,', (16, top + 60), 0.38, tone)
    _write(image, f'{_figure(np.abs(a).max())} rad/s2', (16, top + 76), 0.38, tone)

    def linear(values: Array) -> Array:
        return np.asarray(0.5 - np.clip(values / MOST_V, -1.0, 1.0) / 2.0, np.float64)

    def logarithmic(values: Array) -> Array:
        low, high = DECADES
        with np.errstate(divide='ignore'):
            share = (np.log10(np.abs(values)) - low) / (high - low)
        return np.asarray(1.0 - np.clip(share, 0.0, 1.0), np.float64)

    speeds = [(value, f'{value:.0f}') for value in (-MOST_V, 0.0, MOST_V)]
    decades = [(10.0**n, f'{10**n}') for n in range(DECADES[0], DECADES[1] + 1)]
    for left, place, values, times, meant, marks in (
        (columns[0], linear, v, t[:-1] + h / 2, run.velocities, speeds),
        (columns[1], logarithmic, a, t[1:-1], run.accelerations, decades),
    ):
        box = (left, top + TOP, width, ROW - TOP - BOTTOM)
        for value, label in marks:
            y = float(place(np.array([value]))[0])
            _line(image, box, np.array(SPAN_S), np.array([y, y]), GRID, 1)
            _write(image, label, (left - 8 - 7 * len(label), round(box[1] + y * box[3]) + 4), 0.34, SOFT)
        if not ours:
            _line(image, box, t, place(meant[:, 0]), COMMANDED, 1)
        _line(image, box, times, place(values), tone, 2)


def _line(
    image: Image,
    box: tuple[int, int, int, int],
    times: Array,
    shares: Array,
    colour: tuple[int, int, int],
    weight: int,
) -> None:
    left, top, width, height = box
    seen = (times >= SPAN_S[0] - 1e-9) & (times <= SPAN_S[1] + 1e-9)
    x = left + (times[seen] - SPAN_S[0]) / (SPAN_S[1] - SPAN_S[0]) * width
    y = top + shares[seen] * height
    points = np.round(np.stack([x, y], axis=1) * SCALE * 16).astype(np.int32)
    cv2.polylines(image, [points], False, colour, weight, cv2.LINE_AA, 4)


def _write(
    image: Image,
    words: str,
    at: tuple[int, int],
    size: float,
    colour: tuple[int, int, int],
    weight: int = 1,
    width: int | None = None,
) -> None:
    wide = None if width is None else width * SCALE
    text(
        image,
        words,
        (at[0] * SCALE, at[1] * SCALE),
        size * SCALE,
        colour,
        weight * SCALE - (weight == 1),
        wide,
    )


def _figure(value: float) -> str:
    return f'{value:.2f}' if value < 100 else f'{value:,.0f}'
