# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Replays as one self-contained HTML page, and their figures as JSON beside it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dp_ros.errors import ConfigError
from dp_ros.evaluation.pages import render_page
from dp_ros.evaluation.replay_analysis import BASELINE, FULL, POLICY, Analysis, Row, analyse, figures
from dp_ros.evaluation.replay_baselines import NearestDemonstration
from dp_ros.evaluation.replay_metrics import Errors, pooled
from dp_ros.evaluation.replay_plots import horizon_plots, moment, stretch_panels, stretches
from dp_ros.evaluation.replay_record import ReplayRecord
from dp_ros.evaluation.statistics import percentiles
from dp_ros.whole_file import whole_file

PAGE, DATA = 'replay.html', 'replay.json'
_DIGITS = {'rad': 4, 'm': 5, '1': 4}


def write_replay_report(
    records: Sequence[ReplayRecord],
    out: Path,
    *,
    nearest: NearestDemonstration | None = None,
    videos: Mapping[str, Path] | None = None,
) -> Path:
    """Write ``replay.html`` and ``replay.json`` into a directory; each whole or not at all.

    Args:
        records: one a checkpoint, over one bag.
        out: the directory.
        nearest: the baseline that needs a store.
        videos: title of a record to its video, which the page links and does not hold.

    Returns:
        the page.

    Raises:
        ConfigError: no record.
        StoreError: a file cannot be written, or the store does not fit.
    """
    analyses = analyses_of(records, nearest)
    out = Path(out)
    data = {'dp_replay_report': 1, 'models': [figures(a) for a in analyses]}
    with whole_file(out / DATA, 'the figures of the replay') as beside:
        beside.write_text(json.dumps(data, indent=1, allow_nan=False) + '\n', encoding='utf-8')
    text = render_replay_report(analyses, {name: path.name for name, path in (videos or {}).items()})
    with whole_file(out / PAGE, 'the report') as beside:
        beside.write_text(text, encoding='utf-8')
    return out / PAGE


def analyses_of(
    records: Sequence[ReplayRecord], nearest: NearestDemonstration | None = None
) -> list[Analysis]:
    """Analyses that can be compared: models of the same joints are measured with the first one's scale."""
    if not records:
        raise ConfigError('a replay report needs at least one replay')
    scales: dict[tuple[str, ...], Any] = {}
    return [analyse(replace(r, scale=scales.setdefault(r.joint_names, r.scale)), nearest) for r in records]


def render_replay_report(analyses: Sequence[Analysis], videos: Mapping[str, str] | None = None) -> str:
    """The page as text."""
    first = analyses[0].record
    return render_page(
        'replay_report.html.jinja',
        title=f'Replay of {Path(first.bag).name}',
        bag=first.bag,
        units=[u for u in ('rad', 'm', '1') if any(u in a.record.joint_units for a in analyses)],
        models=[_model(a, i, (videos or {}).get(a.record.title)) for i, a in enumerate(analyses)],
        rows=_rows(analyses),
        horizon=horizon_plots(analyses, _with_baselines(analyses)),
        joints=_joints(analyses),
        several=len(analyses) > 1,
    )


def number(value: float, unit: str = '') -> str:
    """A figure with as many digits as its unit deserves; an empty text where it is not known."""
    return f'{value:.{_DIGITS.get(unit, 3)}f}' if math.isfinite(value) else ''


def _with_baselines(analyses: Sequence[Analysis]) -> list[Analysis]:
    """Those whose baselines differ from the ones already shown: other joints, or other moments."""
    seen: set[tuple[object, ...]] = set()
    out = []
    for analysis in analyses:
        record = analysis.record
        key = (record.joint_names, record.period_ns, record.horizon, tuple(t.stamp_ns for t in record.ticks))
        if key not in seen:
            seen.add(key)
            out.append(analysis)
    return out


def _rows(analyses: Sequence[Analysis]) -> list[dict[str, Any]]:
    """Lines of the first table: models first, then baselines."""
    shown = [(a, row) for a in analyses for row in a.rows if row.kind in (POLICY, FULL)]
    bases = _with_baselines(analyses)
    shown += [(a, row) for a in bases for row in a.rows if row.kind == BASELINE]
    best = min(
        (row.executed.overall for _, row in shown if math.isfinite(row.executed.overall)), default=math.nan
    )
    out = []
    for analysis, row in shown:
        record = analysis.record
        seams = {POLICY: analysis.seams, FULL: analysis.full_seams}.get(row.kind)
        events = analysis.grippers if row.kind == POLICY else []
        hits = [dt for g in events for _, dt in g.hits]
        recorded = sum(g.recorded for g in events)
        out.append(
            {
                'model': record.title if row.kind != BASELINE or len(bases) > 1 else '',
                'name': row.name,
                'kind': row.kind,
                'best': row.executed.overall == best,
                'executed': number(row.executed.overall),
                'whole': number(row.whole.overall),
                'figures': {
                    unit: (
                        _pooled(row.executed, record, unit, True),
                        _pooled(row.executed, record, unit, False),
                    )
                    for unit in ('rad', 'm', '1')
                },
                'jump': '' if seams is None else number(_relative(seams.position, record)),
                'grippers': f'{len(hits)} / {recorded}' if recorded else '',
                'timing': f'{1e3 * float(np.median(np.abs(hits))):.0f} ms' if hits else '',
            }
        )
    return out


def _pooled(errors: Errors, record: ReplayRecord, unit: str, square: bool) -> str:
    values = errors.rmse if square else errors.mae
    return number(pooled(values, record.joint_units, unit, square=square), unit)


def _relative(values: Any, record: ReplayRecord) -> float:
    return float(np.sqrt(np.mean((values / record.scale) ** 2)))


def _joints(analyses: Sequence[Analysis]) -> list[dict[str, Any]]:
    """Lines of the table by joint: each model's own figures, and those of the best baseline."""
    names = {
        name: unit
        for a in analyses
        for name, unit in zip(a.record.joint_names, a.record.joint_units, strict=True)
    }
    out = []
    for name, unit in names.items():
        cells: list[dict[str, Any]] = []
        for analysis in analyses:
            if name not in analysis.record.joint_names:
                cells.append(dict.fromkeys(('mae', 'rmse', 'normalised', 'last', 'baseline'), ''))
                continue
            j = analysis.record.joint_names.index(name)
            row: Row = analysis.policy
            base = [r.executed.rmse[j] for r in analysis.rows if r.kind == BASELINE]
            last = row.whole.rmse_by_row[-1, j] if len(row.whole.rmse_by_row) else math.nan
            cells.append(
                {
                    'mae': number(row.executed.mae[j], unit),
                    'rmse': number(row.executed.rmse[j], unit),
                    'normalised': number(row.executed.normalised[j]),
                    'last': number(last, unit),
                    'baseline': number(min(base), unit),
                    'worse': bool(row.executed.rmse[j] > min(base)),
                }
            )
        out.append({'name': name, 'unit': unit, 'cells': cells})
    return out


def _model(analysis: Analysis, place: int, video: str | None) -> dict[str, Any]:
    record = analysis.record
    beats, sentence = analysis.verdict
    spans = stretches(analysis)
    return {
        'style': f'm{place % 6}',
        'record': record,
        'beats': beats,
        'verdict': sentence,
        'error': number(analysis.policy.executed.overall),
        'video': video,
        'ticks': len(record.ticks),
        'episodes': len({t.episode for t in record.ticks}),
        'executed': record.executed,
        'executed_ms': f'{record.tick_ns / 1e6:g}',
        'refused': sum(record.stale.values()),
        'skipped': sum(record.skipped.values()),
        'unreadable': sum(record.unreadable.values()),
        'grippers': [
            {
                'figures': g,
                'median': f'{1e3 * g.median_s:.0f} ms' if g.hits else '',
                'bias': f'{1e3 * g.bias_s:+.0f} ms' if g.hits else '',
            }
            for g in analysis.grippers
        ],
        'seams': [
            {
                'name': name,
                'unit': unit,
                **{
                    key: number(getattr(analysis.seams, key)[j], unit)
                    for key in ('position', 'recorded_step', 'velocity', 'recorded_velocity')
                },
                'full': '' if analysis.full_seams is None else number(analysis.full_seams.position[j], unit),
            }
            for j, (name, unit) in enumerate(zip(record.joint_names, record.joint_units, strict=True))
        ]
        if analysis.seams.count
        else [],
        'seam_count': analysis.seams.count,
        'spread': None
        if analysis.spread is None
        else {
            'figures': analysis.spread,
            'overall': number(analysis.spread.overall),
            'covered': f'{100 * analysis.spread.covered:.0f} %'
            if math.isfinite(analysis.spread.covered)
            else '',
            'expected': f'{100 * (analysis.spread.samples - 1) / (analysis.spread.samples + 1):.0f} %',
        },
        'worst': [moment(analysis, n) for n in analysis.worst],
        'stretches': [
            {'stretch': s, 'panels': stretch_panels(analysis, s), 'error': number(s.error)}
            for s in spans.shown
        ],
        'stretch_count': spans.count,
        'latency': _latency(record),
    }


def _latency(record: ReplayRecord) -> list[dict[str, Any]]:
    stages = {stage: (percentiles(v), float(np.mean(v))) for stage, v in record.latency_ms().items()}
    longest = max((found.p99 for found, _ in stages.values()), default=0.0) or 1.0
    return [
        {
            'stage': stage,
            'figures': found,
            'mean': mean,
            'bars': [100.0 * value / longest for value in (found.p99, found.p95, found.p50)],
        }
        for stage, (found, mean) in stages.items()
    ]
