# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Everything that the report and its JSON say about one replay, computed once."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from dp_ros.evaluation.replay_baselines import NearestDemonstration, hold, last_velocity
from dp_ros.evaluation.replay_grippers import GripperFigures, grippers
from dp_ros.evaluation.replay_metrics import (
    Errors,
    Seams,
    Spread,
    Ticks,
    errors,
    pooled,
    seams,
    spread,
    worst_ticks,
)
from dp_ros.evaluation.replay_record import Floats, ReplayRecord
from dp_ros.evaluation.statistics import percentiles

POLICY, FULL, BASELINE = 'policy', 'full', 'baseline'
MOST_WORST = 4
WORST_APART_NS = 2_000_000_000
# Errors that differ by less than this factor are called equal: a few episodes tell no more.
TIE = 1.05


@dataclass(frozen=True, eq=False)
class Row:
    """One way to predict, and how far off it is.

    Attributes:
        name: for people.
        kind: POLICY (what the checkpoint does live), FULL (full sampling beside it), BASELINE.
        executed: errors over the rows that are in force until the next tick.
        whole: errors over the whole chunk.
    """

    name: str
    kind: str
    executed: Errors
    whole: Errors


@dataclass(frozen=True, eq=False)
class Analysis:
    """One record and its figures.

    Attributes:
        record: the record.
        ticks: its ticks as arrays.
        rows: the policy first, then full sampling, then the baselines.
        seams: where one chunk replaces another; full_seams: likewise under full sampling, None without it.
        grippers, spread: see their modules.
        worst: indices of the worst moments, the worst first.
    """

    record: ReplayRecord
    ticks: Ticks
    rows: list[Row]
    seams: Seams
    full_seams: Seams | None
    grippers: list[GripperFigures]
    spread: Spread | None
    worst: list[int]

    @property
    def policy(self) -> Row:
        """What the checkpoint does live."""
        return self.rows[0]

    @property
    def best_baseline(self) -> Row | None:
        """The baseline with the smallest error over executed rows; None where nothing is known."""
        known = [r for r in self.rows if r.kind == BASELINE and math.isfinite(r.executed.overall)]
        return min(known, key=lambda r: r.executed.overall, default=None)

    @property
    def verdict(self) -> tuple[bool | None, str]:
        """Whether the policy beats every baseline (None: as good, or it cannot be said), and the sentence for it."""
        own, best = self.policy.executed.overall, self.best_baseline
        if not self.record.ticks:
            return None, 'no tick was made; the counters below say why'
        if not math.isfinite(own) or best is None:
            return None, 'nothing was commanded at the times of its chunks'
        other = best.executed.overall
        named = f'{best.name}, off by {other:.3f} std'
        if max(own, other) <= TIE * min(own, other):
            return None, f'as close to what was commanded as the best baseline ({named}), not closer'
        if own < other:
            times = f', {other / own:.1f} times as much' if own else ''
            return (
                True,
                f'closer to what was commanded than every baseline; the best of them is {named}{times}',
            )
        return False, f'a baseline is closer to what was commanded: {named}'


def analyse(record: ReplayRecord, nearest: NearestDemonstration | None = None) -> Analysis:
    """All figures of a record.

    Args:
        record: of a replay.
        nearest: the third baseline, where there is a store.
    """
    ticks = Ticks.of(record)
    name = {'chunk': 'chunk by chunk', 'truncated': 'truncated start'}.get(record.mode, record.mode)
    candidates: list[tuple[str, str, Floats]] = [(name, POLICY, ticks.chunk)]
    full = _full(record)
    if full is not None:
        candidates.append(('full sampling', FULL, full))
    candidates.append(('hold position', BASELINE, hold(ticks)))
    candidates.append(('last velocity', BASELINE, last_velocity(ticks, record.curves)))
    if nearest is not None:
        prediction = nearest.predict(ticks, record.joint_names, record.scale)
        candidates.append(('nearest demonstration', BASELINE, prediction))
    rows = [
        Row(
            label,
            kind,
            errors(values, ticks.recorded, record.scale, record.executed),
            errors(values, ticks.recorded, record.scale),
        )
        for label, kind, values in candidates
    ]
    return Analysis(
        record=record,
        ticks=ticks,
        rows=rows,
        seams=seams(ticks),
        full_seams=None if full is None else seams(replace(ticks, chunk=full)),
        grippers=grippers(record),
        spread=spread(record),
        worst=worst_ticks(ticks, rows[0].whole.by_tick, MOST_WORST, WORST_APART_NS),
    )


def figures(analysis: Analysis) -> dict[str, Any]:
    """The analysis as plain data for JSON; what is not known is null."""
    record, spreading = analysis.record, analysis.spread
    beats, sentence = analysis.verdict
    out = {
        'title': record.title,
        'checkpoint': record.checkpoint,
        'bag': record.bag,
        'mode': record.mode,
        'ticks': len(record.ticks),
        'episodes': len({t.episode for t in record.ticks}),
        'period_s': record.period_ns / 1e9,
        'tick_s': record.tick_ns / 1e9,
        'executed_rows': record.executed,
        'beats_every_baseline': beats,
        'verdict': sentence,
        'predictions': [_prediction(row, record) for row in analysis.rows],
        'grippers': [
            {
                'name': g.name,
                'recorded': g.recorded,
                'hits': len(g.hits),
                'extra': g.extra,
                'median_s': g.median_s,
                'bias_s': g.bias_s,
            }
            for g in analysis.grippers
        ],
        'seams': _seams(analysis.seams, record.joint_names),
        'full_sampling_seams': None
        if analysis.full_seams is None
        else _seams(analysis.full_seams, record.joint_names),
        'spread': None if spreading is None else asdict(spreading),
        'worst': [
            {
                'stamp_ns': record.ticks[n].stamp_ns,
                'episode': record.ticks[n].episode,
                'error': analysis.policy.whole.by_tick[n],
            }
            for n in analysis.worst
        ],
        'latency_ms': {
            stage: {**asdict(percentiles(values)), 'mean': float(np.mean(values))}
            for stage, values in record.latency_ms().items()
        },
        'stale': dict(record.stale),
        'skipped': dict(record.skipped),
        'unreadable': dict(record.unreadable),
        'provenance': record.provenance,
    }
    plain: dict[str, Any] = _plain(out)
    return plain


def _full(record: ReplayRecord) -> Floats | None:
    values = [t.full for t in record.ticks if t.full is not None]
    return np.stack(values) if values and len(values) == len(record.ticks) else None


def _prediction(row: Row, record: ReplayRecord) -> dict[str, Any]:
    units = [u for u in ('rad', 'm', '1') if u in record.joint_units]
    out: dict[str, Any] = {'name': row.name, 'kind': row.kind}
    for part in ('executed', 'whole'):
        found: Errors = getattr(row, part)
        out[part] = {
            'normalised_rmse': found.overall,
            **{f'mae_{u}': pooled(found.mae, record.joint_units, u, square=False) for u in units},
            **{f'rmse_{u}': pooled(found.rmse, record.joint_units, u, square=True) for u in units},
            'joints': {
                name: {'mae': found.mae[j], 'rmse': found.rmse[j], 'normalised_rmse': found.normalised[j]}
                for j, name in enumerate(record.joint_names)
            },
        }
    out['normalised_rmse_by_row'] = row.whole.by_row
    out['mae_by_row'] = dict(zip(record.joint_names, row.whole.mae_by_row.T, strict=True))
    out['rmse_by_row'] = dict(zip(record.joint_names, row.whole.rmse_by_row.T, strict=True))
    return out


def _seams(found: Seams, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        'count': found.count,
        **{
            key: dict(zip(names, getattr(found, key), strict=True))
            for key in ('position', 'velocity', 'recorded_step', 'recorded_velocity')
        },
    }


def _plain(value: Any) -> Any:
    """numpy to Python, and NaN to None: JSON has no word for it."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
