# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Small line plots as SVG text: no drawing library, no fonts to ship, sharp at any width."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 320, 168
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 24, 20

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trace:
    """One line of a panel: ``x`` (N,), ``y`` (N,), and the CSS class that colours it."""

    x: Floats
    y: Floats
    style: str


def panel(title: str, unit: str, traces: Sequence[Trace], least_span: float) -> str:
    """One plot with axes, as an ``<svg>`` element that scales with its container.

    Args:
        title: heading of the plot.
        unit: unit of y; x is in seconds.
        traces: lines in drawing order; at least one with at least one point.
        least_span: smallest height of the y axis, so that noise on a still joint does not fill the panel.
    """
    x_low, x_high = _span(np.concatenate([t.x for t in traces]), 1e-3)
    y_low, y_high = _span(np.concatenate([t.y for t in traces]), least_span)
    margin = 0.05 * (y_high - y_low)
    y_low, y_high = y_low - margin, y_high + margin

    def place_x(x: Floats) -> Floats:
        return LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def place_y(y: Floats) -> Floats:
        return HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg class="panel" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text class="title" x="{LEFT}" y="15">{escape(title)}</text>',
        f'<text class="unit" x="{WIDTH - RIGHT}" y="15">{escape(unit)}</text>',
    ]
    for value in ticks(y_low, y_high, 4):
        y = float(place_y(np.float64(value)))
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="y" x="{LEFT - 5}" y="{y + 3.5:.1f}">{_label(value)}</text>')
    for value in ticks(x_low, x_high, 5):
        x = float(place_x(np.float64(value)))
        parts.append(tick_label(x, f'{_label(value)} s'))
    for trace in traces:
        parts.append(
            f'<polyline class="{trace.style}" points="{_points(place_x(trace.x), place_y(trace.y))}"/>'
        )
    parts.append('</svg>')
    return ''.join(parts)


def tick_label(x: float, text: str) -> str:
    """A label below the x axis, centred at ``x`` or as near to it as the panel's edge allows."""
    # Half the width of a figure of 11 px.
    furthest = WIDTH - 2 - 3.2 * len(text)
    return f'<text class="x" x="{min(x, furthest):.1f}" y="{HEIGHT - 6}">{text}</text>'


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` + 1 round values within [low, high]: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _span(values: Floats, least: float) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    short = max(0.0, least - (high - low)) / 2
    return low - short, high + short


def _points(xs: Floats, ys: Floats) -> str:
    pairs: Iterable[tuple[float, float]] = zip(xs.tolist(), ys.tolist(), strict=True)
    return ' '.join(f'{x:.1f},{y:.1f}' for x, y in pairs if math.isfinite(y))


def _label(value: float) -> str:
    return f'{value:.6g}'.replace('-', '\N{MINUS SIGN}')
