# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The table and the plots of an ablation."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from dp_ros.evaluation.plots import ticks
from dp_ros.evaluation.statistics import paired_comparison

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480, 300, 48, 12, 30, 40
COLOURS = ('#0b6e99', '#c2410c', '#4d7c0f', '#7e22ce', '#b45309', '#0f766e', '#be123c', '#475569')


@dataclass(frozen=True)
class RowResult:
    """A row with what came out.

    Attributes:
        name, model: see FamilyRow.
        figures: of evaluation.rollout.summary.
        evaluations: network evaluations of a call: a tick of streaming, or a chunk.
        per_action: network evaluations for each executed action.
        step: training steps of the weights.
        loss: validation figures of the model, where it is at its end.
        parameters: name to count, such as total and active.
    """

    name: str
    model: str
    figures: dict[str, Any]
    evaluations: int
    per_action: float
    step: int
    loss: dict[str, float]
    parameters: dict[str, int]

    @property
    def rate(self) -> float:
        """The average over tasks, which is the success rate where there is one."""
        return float(self.figures.get('average_success_rate', self.figures['success_rate']))


def markdown(rows: Sequence[RowResult]) -> str:
    """A table; success is over all episodes, and pairs are those of the same task and seed."""
    first = [seed['success'] for seed in rows[0].figures['seeds']]
    lines = [
        '| row | success | episodes | mean largest reward | evaluations a call, an action | step | loss, buffer | '
        'parameters, active | tick p50, ms | only first / only this, p |',
        '|---|---|---|---|---|---|---|---|---|---|',
    ]
    for row in rows:
        figures = row.figures
        low, high = figures['success_interval']
        seeds = figures['seeds']
        pair = paired_comparison(first, [seed['success'] for seed in seeds])
        reward = sum(seed['max_reward'] for seed in seeds) / len(seeds)
        loss = f'{row.loss["loss_buffer"]:.4f}' if 'loss_buffer' in row.loss else ''
        tick = sum(stage['p50'] for stage in figures['latency_ms'].values())
        lines.append(
            f'| {row.name} | {figures["success_rate"]:.3f} [{low:.3f}, {high:.3f}] | {len(seeds)} | {reward:.3f} '
            f'| {row.evaluations}, {row.per_action:.2f} | {row.step} | {loss} '
            f'| {row.parameters["total"]:,}, {row.parameters["active"]:,} | {tick:.1f} '
            f'| {pair.only_first} / {pair.only_second}, {pair.p_value:.2g} |'
        )
    tasks = rows[0].figures.get('tasks', {})
    if tasks:
        lines += [
            '',
            '| task | ' + ' | '.join(row.name for row in rows) + ' |',
            '|---' * (len(rows) + 1) + '|',
        ]
        for task in tasks:
            rates = (f'{row.figures["tasks"][task]["success_rate"]:.2f}' for row in rows)
            lines.append(f'| {task} | ' + ' | '.join(rates) + ' |')
    return '\n'.join(lines) + '\n'


def rate_plot(title: str, unit: str, curves: dict[str, list[tuple[float, RowResult]]]) -> str:
    """Success with Wilson intervals over x, one curve a model, as a self-contained SVG of its own."""
    xs = [x for points in curves.values() for x, _ in points]
    low, high = min(xs), max(xs)
    span = (high - low) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        left = LEFT + 10 + (x - low) / span * (WIDTH - LEFT - RIGHT - 20)
        return left, HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 16 * len(curves)}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-weight="bold">{escape(title)}</text>',
    ]
    for y in (0.0, 0.25, 0.5, 0.75, 1.0):
        _, top = at(low, y)
        parts.append(f'<path d="M{LEFT} {top:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{top + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in ticks(low, high, 5) if high > low else [low]:
        parts.append(
            f'<text x="{at(x, 0)[0]:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:g}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(unit)}</text>'
    )
    for number, (name, points) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = sorted(points, key=lambda point: point[0])
        path = ' '.join(f'{a:.1f},{b:.1f}' for a, b in (at(x, row.rate) for x, row in points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, row in points:
            a, b = at(x, row.rate)
            bottom, top = (at(x, y)[1] for y in row.figures['success_interval'])
            parts.append(f'<path d="M{a:.1f} {bottom:.1f}V{top:.1f}" stroke="{colour}"/>')
            parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>')
        y = HEIGHT + 16 * number + 8
        parts.append(f'<path d="M{LEFT} {y - 4}h18" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + 24}" y="{y}">{escape(name)}</text>')
    parts.append('</svg>')
    return ''.join(parts)
