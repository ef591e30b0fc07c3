# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The plots of a replay report: error along the chunk, worst moments, and curves with fans of chunks."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dp_ros.evaluation.plots import Trace, panel
from dp_ros.evaluation.record import FrameRecord
from dp_ros.evaluation.replay_analysis import BASELINE, FULL, Analysis, Row
from dp_ros.evaluation.replay_metrics import executed, pooled
from dp_ros.evaluation.replay_record import Floats, ReplayRecord
from dp_ros.evaluation.report import LEAST_SPAN

# A panel is a third of a page wide: more than this is no plot any more, and no page that a browser likes.
STRETCH_NS = 20_000_000_000
MOST_STRETCHES, MOST_FANS, WORST_JOINTS = 4, 24, 3
BEFORE_NS, AFTER_NS = 1_000_000_000, 1_500_000_000
_UNIT_NAMES = {'rad': 'joints', 'm': 'grippers and lengths', '1': 'numbers without dimension'}


def horizon_plots(analyses: Sequence[Analysis], bases: Sequence[Analysis]) -> list[str]:
    """Error against time ahead: of all joints in standard deviations, then by unit; and the spread of samples.

    Args:
        analyses: models in the order of their colours.
        bases: those whose baselines are drawn too.
    """
    units = [u for u in LEAST_SPAN if any(u in a.record.joint_units for a in analyses)]
    kinds = [('all joints, normalised RMSE', 'std', '')]
    kinds += [(f'{_UNIT_NAMES[unit]}, RMSE', unit, unit) for unit in units]
    out = []
    for title, label, unit in kinds:
        traces = [
            Trace(
                _ahead_s(a.record),
                _by_row(row, a.record, unit),
                f'{style} b{i}' if style == 'base' else style,
            )
            for a in bases
            for i, (row, style) in enumerate((r, 'base') for r in a.rows if r.kind == BASELINE)
        ]
        for place, analysis in enumerate(analyses):
            for row in analysis.rows:
                if row.kind != BASELINE:
                    style = f'm{place % 6}' + (' full' if row.kind == FULL else '')
                    traces.append(
                        Trace(_ahead_s(analysis.record), _by_row(row, analysis.record, unit), style)
                    )
            if analysis.spread is not None and not unit:
                traces.append(
                    Trace(_ahead_s(analysis.record), analysis.spread.by_row, f'm{place % 6} spread')
                )
        traces = [t for t in traces if len(t.x)]
        if traces:
            out.append(panel(title, label, _cut(traces), 1e-6))
    return out


def moment(analysis: Analysis, n: int) -> dict[str, Any]:
    """One of the worst moments: its pictures, and the joints that are farthest off with everything known of them."""
    record, tick = analysis.record, analysis.record.ticks[n]
    error = (analysis.ticks.chunk[n] - analysis.ticks.recorded[n]) / record.scale
    by_joint = np.sqrt(np.nanmean(error[np.isfinite(error).all(axis=1)] ** 2, axis=0))
    joints = np.argsort(-by_joint, kind='stable')[:WORST_JOINTS]
    ahead = record.period_ns * np.arange(record.horizon, dtype=np.int64)
    rows_s = ahead / 1e9
    near = np.abs(record.curves.stamps_ns - tick.stamp_ns) <= AFTER_NS
    near &= (record.curves.stamps_ns >= tick.stamp_ns - BEFORE_NS) & _of_episode(record, tick.episode)
    curve_s = (record.curves.stamps_ns[near] - tick.stamp_ns) / 1e9
    panels = []
    for j in joints:
        traces = [
            Trace(rows_s, sample[:, j], 'sample')
            for sample in (tick.spread if tick.spread is not None else ())
        ]
        if tick.full is not None:
            traces.append(Trace(rows_s, tick.full[:, j], 'full'))
        traces += [
            Trace(curve_s, record.curves.commanded[near, j], 'commanded'),
            Trace(curve_s, record.curves.measured[near, j], 'measured'),
            Trace(rows_s, tick.chunk[:, j], 'predicted'),
        ]
        unit = record.joint_units[j]
        panels.append(
            panel(f'{record.joint_names[j]}, {by_joint[j]:.2f} std off', unit, traces, LEAST_SPAN[unit])
        )
    return {
        'episode': tick.episode,
        'seconds': f'{(tick.stamp_ns - _start_ns(record, tick.episode)) / 1e9:.2f}',
        'stamp': f'{tick.stamp_ns // 1_000_000_000}.{tick.stamp_ns % 1_000_000_000:09d}',
        'error': f'{analysis.policy.whole.by_tick[n]:.3f}',
        'pictures': [
            {'camera': camera, 'data': _embedded(found)}
            for camera, frames in record.frames.items()
            if (found := _nearest(frames, tick.stamp_ns)) is not None
        ],
        'panels': panels,
    }


@dataclass(frozen=True)
class Stretch:
    """A part of an episode that fits a panel: its ticks, and the normalised RMSE of their executed actions."""

    episode: int
    start_ns: int
    stop_ns: int
    from_s: float
    to_s: float
    error: float


@dataclass(frozen=True)
class Stretches:
    """Those that the page shows, in the order of time, out of how many."""

    shown: list[Stretch]
    count: int


def stretches(analysis: Analysis) -> Stretches:
    """Episodes, the long ones in parts; where there are too many, those with the largest error."""
    record, ticks = analysis.record, analysis.ticks
    ahead_ns = record.horizon * record.period_ns
    error = (ticks.chunk[:, : record.executed] - ticks.recorded[:, : record.executed]) / record.scale
    out = []
    for episode in dict.fromkeys(ticks.episode.tolist()):
        own = ticks.episode == episode
        first, last = int(ticks.stamps_ns[own].min()), int(ticks.stamps_ns[own].max())
        parts = max(1, -(-(last - first) // STRETCH_NS))
        edges = np.linspace(first, last + 1, parts + 1).astype(np.int64)
        for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            inside = own & (ticks.stamps_ns >= start) & (ticks.stamps_ns < stop)
            squares = error[inside][np.isfinite(error[inside])] ** 2
            value = float(np.sqrt(squares.mean())) if squares.size else float('nan')
            end = stop if stop <= last else last + ahead_ns
            out.append(Stretch(episode, start, end, (start - first) / 1e9, (end - first) / 1e9, value))
    worst = sorted(range(len(out)), key=lambda i: (-np.nan_to_num(out[i].error, nan=-1.0), i))
    return Stretches([out[i] for i in sorted(worst[:MOST_STRETCHES])], len(out))


def stretch_panels(analysis: Analysis, stretch: Stretch) -> list[str]:
    """One panel a joint: chunks as fans, the recorded command, the measurement, and what would be executed."""
    record, ticks = analysis.record, analysis.ticks
    inside = (ticks.episode == stretch.episode) & (ticks.stamps_ns >= stretch.start_ns)
    chosen = np.flatnonzero(inside & (ticks.stamps_ns < stretch.stop_ns))
    every = max(1, -(-len(chosen) // MOST_FANS))
    ahead = record.period_ns * np.arange(record.horizon, dtype=np.int64)
    shown = (record.curves.stamps_ns >= stretch.start_ns) & (record.curves.stamps_ns < stretch.stop_ns)
    shown &= _of_episode(record, stretch.episode)
    curve_s = (record.curves.stamps_ns[shown] - stretch.start_ns) / 1e9
    runs = []
    for episode, stamps, rows in executed(ticks):
        part = (stamps >= stretch.start_ns) & (stamps < stretch.stop_ns)
        if episode == stretch.episode and part.any():
            runs.append(((stamps[part] - stretch.start_ns) / 1e9, rows[part]))
    panels = []
    for j, (name, unit) in enumerate(zip(record.joint_names, record.joint_units, strict=True)):
        traces = [
            Trace((ticks.stamps_ns[n] + ahead - stretch.start_ns) / 1e9, ticks.chunk[n, :, j], 'chunk')
            for n in chosen[::every]
        ]
        traces.append(Trace(curve_s, record.curves.commanded[shown, j], 'commanded'))
        traces.append(Trace(curve_s, record.curves.measured[shown, j], 'measured'))
        traces += [Trace(seconds, rows[:, j], 'predicted') for seconds, rows in runs]
        panels.append(panel(name, unit, traces, LEAST_SPAN[unit]))
    return panels


def _cut(traces: Sequence[Trace]) -> list[Trace]:
    """The same from zero on, without what would press all others flat: a baseline may leave the plot at its top."""
    highest = [float(np.nanmax(t.y)) for t in traces if np.isfinite(t.y).any()]
    limit = 1.05 * sorted(highest)[-2] if len(highest) > 2 else np.inf
    cut = [Trace(t.x, np.where(t.y <= limit, t.y, np.nan), t.style) for t in traces]
    return [*cut, Trace(np.zeros(1), np.zeros(1), 'base')]


def _ahead_s(record: ReplayRecord) -> Floats:
    return record.period_ns * np.arange(record.horizon) / 1e9


def _by_row(row: Row, record: ReplayRecord, unit: str) -> Floats:
    if not unit:
        return row.whole.by_row
    return np.array(
        [pooled(values, record.joint_units, unit, square=True) for values in row.whole.rmse_by_row]
    )


def _of_episode(record: ReplayRecord, episode: int) -> NDArray[np.bool_]:
    """Which rows of the curves belong to an episode: another one may begin within a chunk's length."""
    stamps = record.curves.stamps_ns
    ends = [
        t.stamp_ns + int(np.flatnonzero(t.known)[-1]) * record.period_ns
        for t in record.ticks
        if t.episode == episode and t.known.any()
    ]
    return (stamps >= _start_ns(record, episode)) & (stamps <= max(ends, default=-1))


def _start_ns(record: ReplayRecord, episode: int) -> int:
    return min(t.stamp_ns for t in record.ticks if t.episode == episode)


def _nearest(frames: Sequence[FrameRecord], stamp_ns: int) -> FrameRecord | None:
    return min(frames, key=lambda f: abs(f.stamp_ns - stamp_ns), default=None)


def _embedded(frame: FrameRecord) -> str:
    return 'data:image/jpeg;base64,' + base64.b64encode(frame.jpeg).decode()
