# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The tables and the page of an ablation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dp_ros.evaluation.family_plot import RatePlot, RatePoint, svg
from dp_ros.evaluation.pages import render_page
from dp_ros.evaluation.statistics import paired_comparison, paired_difference

DISTURBED = ', disturbed'
HEADINGS = (
    'row',
    'success',
    'less the first row, paired',
    'only first / only this, p',
    'episodes',
    'evaluations a call, an action',
    'mean largest reward',
    'step',
    'loss, buffer',
    'parameters, active',
    'tick p50, ms',
)
RECOVERY_HEADINGS = (
    'row',
    'undisturbed',
    'disturbed',
    'disturbed less undisturbed, paired',
    'object moved in',
    'recovered of these',
    'seconds to success p50, p95',
)


@dataclass(frozen=True)
class RowResult:
    """A row with what came out.

    Attributes:
        name, model: see FamilyRow; the name of a disturbed row ends so.
        figures: of evaluation.rollout.summary.
        evaluations: network evaluations of a call: a tick of streaming, or a chunk.
        per_action: network evaluations for each executed action.
        step: training steps of the weights.
        loss: validation figures of the model, where it is at its end.
        parameters: name to count, such as total and active.
        in_curve: whether it is a point of its model's curve over evaluations.
        choice: what validation seeds chose among, see choice.py; empty where nothing was chosen.
    """

    name: str
    model: str
    figures: dict[str, Any]
    evaluations: int
    per_action: float
    step: int
    loss: dict[str, float]
    parameters: dict[str, int]
    in_curve: bool = True
    choice: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """The average over tasks, which is the success rate where there is one."""
        return float(self.figures.get('average_success_rate', self.figures['success_rate']))

    @property
    def wins(self) -> list[bool]:
        """By task and seed."""
        return [bool(seed['success']) for seed in self.figures['seeds']]

    @property
    def success(self) -> str:
        """Over all episodes, with its interval."""
        return _rate(self.figures['success_rate'], self.figures['success_interval'])


def cells(rows: Sequence[RowResult]) -> list[list[str]]:
    """The lines of the table (HEADINGS); success is over all episodes, pairs are those of the same task and seed."""
    first = rows[0].wins
    lines = []
    for row in rows:
        pair, seeds = paired_comparison(first, row.wins), row.figures['seeds']
        tick = sum(stage['p50'] for stage in row.figures['latency_ms'].values())
        lines.append(
            [
                row.name,
                row.success,
                _difference(first, row.wins) if row is not rows[0] else '',
                f'{pair.only_first} / {pair.only_second}, {pair.p_value:.2g}',
                str(len(seeds)),
                f'{row.evaluations}, {row.per_action:.2f}',
                ', '.join([f'{sum(seed["max_reward"] for seed in seeds) / len(seeds):.3f}', *_means(row)]),
                str(row.step),
                f'{row.loss["loss_buffer"]:.4f}' if 'loss_buffer' in row.loss else '',
                f'{row.parameters["total"]:,}, {row.parameters["active"]:,}',
                f'{tick:.1f}',
            ]
        )
    return lines


def recovery_cells(rows: Sequence[RowResult]) -> list[list[str]]:
    """Each disturbed row beside the undisturbed one of the same kind, if there is one (RECOVERY_HEADINGS)."""
    by_name = {row.name: row for row in rows}
    lines = []
    for row in rows:
        twin = by_name.get(row.name.removesuffix(DISTURBED))
        if 'recovery' not in row.figures:
            continue
        found = row.figures['recovery']
        share = found['recovered'] / found['moved'] if found['moved'] else 0.0
        lines.append(
            [
                row.name.removesuffix(DISTURBED),
                twin.success if twin else '',
                row.success,
                _difference(twin.wins, row.wins) if twin else '',
                str(found['moved']),
                _rate(share, found['interval']),
                f'{found["seconds"]["p50"]:.2f}, {found["seconds"]["p95"]:.2f}' if found['recovered'] else '',
            ]
        )
    return lines


def task_cells(rows: Sequence[RowResult]) -> list[list[str]]:
    """Rates by task, a column a row; empty where there is one task only."""
    tasks = rows[0].figures.get('tasks', {})
    return [[task, *(f'{row.figures["tasks"][task]["success_rate"]:.2f}' for row in rows)] for task in tasks]


def choice_cells(rows: Sequence[RowResult]) -> list[list[str]]:
    """What validation seeds chose among: model, candidate, success, evaluations an action, whether it was chosen."""
    lines = []
    for row in {row.model: row for row in rows if row.choice}.values():
        for changes, found in zip(row.choice['candidates'], row.choice['found'], strict=True):
            words = ', '.join(f'{key} {value}' for key, value in changes.items()) or 'as trained'
            chosen = 'chosen' if changes == row.choice['chosen'] else ''
            rate = _rate(found['rate'], found['interval'])
            lines.append([row.model, words, rate, f'{found["evaluations_per_action"]:.2f}', chosen])
    return lines


def sections(rows: Sequence[RowResult]) -> list[tuple[str, tuple[str, ...], list[list[str]]]]:
    """All tables that have lines: heading, columns, lines."""
    tables: list[tuple[str, tuple[str, ...], list[list[str]]]] = [
        ('', HEADINGS, cells(rows)),
        ('Recovery after a disturbance', RECOVERY_HEADINGS, recovery_cells(rows)),
        (
            'Chosen on validation seeds',
            ('model', 'control', 'success', 'evaluations an action', ''),
            choice_cells(rows),
        ),
        ('By task', ('task', *(row.name for row in rows)), task_cells(rows)),
    ]
    return [table for table in tables if table[2]]


def markdown(rows: Sequence[RowResult]) -> str:
    """All tables."""
    blocks = []
    for heading, columns, lines in sections(rows):
        block = [f'## {heading}', ''] if heading else []
        block += [f'| {" | ".join(line)} |' for line in (columns, *lines)]
        block.insert(len(block) - len(lines), '|---' * len(columns) + '|')
        blocks.append('\n'.join(block) + '\n')
    return '\n'.join(blocks)


def plots(rows: Sequence[RowResult]) -> list[RatePlot]:
    """Success over network evaluations and over training steps, one curve a model."""
    by_step: dict[str, list[RatePoint]] = {}
    by_evaluations: dict[str, list[RatePoint]] = {}
    for row in rows:
        low, high = row.figures['success_interval']
        if row.name == row.model or row.name == f'{row.model}, step {row.step}':
            by_step.setdefault(row.model, []).append(RatePoint(row.step, row.rate, low, high))
        if row.in_curve:
            by_evaluations.setdefault(row.model, []).append(RatePoint(row.per_action, row.rate, low, high))
    both = [
        RatePlot(
            'evaluations',
            'Success over network evaluations',
            'evaluations an executed action',
            by_evaluations,
        ),
        RatePlot('steps', 'Success over training', 'steps', by_step),
    ]
    return [plot for plot in both if plot.curves]


def page(title: str, about: str, rows: Sequence[RowResult]) -> str:
    """Self-contained HTML with plots and tables."""
    return render_page(
        'family_page.html.jinja',
        title=title,
        about=about,
        plots=[svg(plot) for plot in plots(rows)],
        sections=sections(rows),
        rows=rows,
    )


def _means(row: RowResult) -> list[str]:
    """What the benchmark scores besides, as means over the episodes."""
    return [
        f'{key.removeprefix("mean_").replace("_", " ")} {value:.3f}'
        for key, value in row.figures.items()
        if key.startswith('mean_')
    ]


def _rate(rate: float, interval: Sequence[float]) -> str:
    return f'{rate:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]'


def _difference(first: Sequence[bool], second: Sequence[bool]) -> str:
    value, low, high = paired_difference(first, second)
    return f'{value:+.3f} [{low:+.3f}, {high:+.3f}]'
