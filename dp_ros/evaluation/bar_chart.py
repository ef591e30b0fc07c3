# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Horizontal bars as an SVG file: what takes how long, on a linear or a logarithmic axis."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from dp_ros.evaluation.plots import ticks
from dp_ros.whole_file import whole_file

WIDTH, LEFT, RIGHT, TOP, ROW, BOTTOM = 760, 300, 90, 44, 24, 30
OURS, OTHERS = '#1f5fbf', '#9aa5b1'


def write_bars(
    path: Path,
    title: str,
    bars: Sequence[tuple[str, float, bool]],
    unit: str,
    logarithmic: bool = False,
) -> None:
    """Draw one bar a row, with its value.

    Args:
        path: the SVG file.
        title: heading.
        bars: name, value (positive on a logarithmic axis) and whether it stands out; from top to bottom.
        unit: of the values.
        logarithmic: the axis begins at the power of ten below the least value.

    Raises:
        StoreError: the file cannot be written.
    """
    largest = max(value for _, value, _ in bars)
    low, high = 0.0, largest
    if logarithmic:
        low = math.floor(math.log10(min(value for _, value, _ in bars)) - 1e-9)
        high = math.log10(largest)
    span = (high - low) or 1.0

    def place(value: float) -> float:
        at = math.log10(value) if logarithmic else value
        return LEFT + (at - low) / span * (WIDTH - LEFT - RIGHT)

    height = TOP + len(bars) * ROW + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="13"><rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    marks = (
        [10.0**k for k in range(int(low), math.floor(high) + 1)]
        if logarithmic
        else ticks(low, high or 1.0, 5)
    )
    for mark in marks:
        x = place(mark)
        parts.append(f'<path stroke="#dde3ea" d="M{x:.1f} {TOP - 6}V{height - BOTTOM + 4}"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{height - 10}" text-anchor="middle" fill="#5a6675">{mark:g} {unit}</text>'
        )
    for row, (name, value, loud) in enumerate(bars):
        y = TOP + row * ROW
        x = place(value)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect x="{LEFT}" y="{y}" width="{x - LEFT:.1f}" height="{ROW - 6}" fill="{OURS if loud else OTHERS}"/>'
        )
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 14}">{value:.3g} {unit}</text>')
    parts.append('</svg>\n')
    with whole_file(path, 'the plot') as beside:
        beside.write_text('\n'.join(parts))
