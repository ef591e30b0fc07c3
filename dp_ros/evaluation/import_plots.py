# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The small plots of an import report: histograms, and ranges of joints against their limits."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from dp_ros.evaluation.plots import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, tick_label, ticks

BINS = 24


def histogram(title: str, unit: str, values: Sequence[float]) -> str:
    """How many episodes have which value, as an ``<svg>`` element that scales with its container; empty for none."""
    numbers = np.asarray(values, np.float64)
    if not len(numbers):
        return ''
    low, high = float(numbers.min()), float(numbers.max())
    if high - low < 1e-9 * max(1.0, abs(high)):
        half = 0.05 * abs(high) or 0.5
        low, high = low - half, high + half
    counts, edges = np.histogram(numbers, BINS, (low, high))
    most = int(counts.max())
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    parts = [
        f'<svg class="panel" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text class="title" x="{LEFT}" y="15">{escape(title)}</text>',
        f'<text class="unit" x="{WIDTH - RIGHT}" y="15">{escape(unit)}</text>',
    ]
    for value in (v for v in ticks(0.0, float(most), 4) if v == int(v)):
        y = HEIGHT - BOTTOM - value / most * tall
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="y" x="{LEFT - 5}" y="{y + 3.5:.1f}">{value:g}</text>')
    for value in ticks(low, high, 4):
        x = LEFT + (value - low) / (high - low) * wide
        parts.append(tick_label(x, f'{value:.6g}'))
    for count, edge in zip(counts.tolist(), edges.tolist(), strict=False):
        if count:
            x, height = LEFT + (edge - low) / (high - low) * wide, max(1.0, count / most * tall)
            parts.append(
                f'<rect class="pile" x="{x + 0.5:.1f}" y="{HEIGHT - BOTTOM - height:.1f}" '
                f'width="{wide / BINS - 1:.1f}" height="{height:.1f}"/>'
            )
    return ''.join([*parts, '</svg>'])


def range_bar(joint: dict[str, Any]) -> dict[str, Any]:
    """Where the ranges of a joint lie, in percent of a bar: ``limits``, ``commanded``, ``measured`` as (left, width).

    Args:
        joint: as :meth:`dp_ros.evaluation.data_summary.JointSummary.figures` says it.
    """
    ranges = {which: (joint[which]['min'], joint[which]['max']) for which in ('commanded', 'measured')}
    if joint['limits']:
        ranges['limits'] = tuple(joint['limits'])
    low, high = min(a for a, _ in ranges.values()), max(b for _, b in ranges.values())
    span = (high - low) or 1.0
    low, span = low - 0.04 * span, 1.08 * span
    return {
        name: (f'{100 * (a - low) / span:.1f}', f'{max(0.8, 100 * (b - a) / span):.1f}')
        for name, (a, b) in ranges.items()
    }
