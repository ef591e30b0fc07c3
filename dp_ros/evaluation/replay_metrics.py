# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Predicted against recorded actions as numbers. Pure numpy on arrays of N ticks, Tp rows, A joints.

An error is predicted minus recorded; where nothing is known it is NaN and does not count. Divided by ``scale`` (A,),
the spread of the demonstrations, errors of arms and grippers can be averaged: 1 is one standard deviation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dp_ros.evaluation.replay_record import Floats, ReplayRecord, Stamps


@dataclass(frozen=True, eq=False)
class Ticks:
    """The ticks of a record as arrays: N ticks, Tp rows, A joints.

    Attributes:
        stamps_ns: (N,) int64.
        episode: (N,) int64.
        chunk: (N, Tp, A).
        recorded: (N, Tp, A), NaN where it is not known.
        measured: (N, A).
        period_ns, tick_ns: between rows, and between ticks.
    """

    stamps_ns: Stamps
    episode: npt.NDArray[np.int64]
    chunk: Floats
    recorded: Floats
    measured: Floats
    period_ns: int
    tick_ns: int

    @classmethod
    def of(cls, record: ReplayRecord) -> 'Ticks':
        """Of a record, which may have none."""
        count, blocks = len(record.ticks), (record.horizon, len(record.joint_names))
        recorded = np.array([t.recorded for t in record.ticks], np.float64).reshape(count, *blocks)
        known = np.array([t.known for t in record.ticks], np.bool_).reshape(count, blocks[0])
        return cls(
            stamps_ns=np.array([t.stamp_ns for t in record.ticks], np.int64),
            episode=np.array([t.episode for t in record.ticks], np.int64),
            chunk=np.array([t.chunk for t in record.ticks], np.float64).reshape(count, *blocks),
            recorded=np.where(known[:, :, None], recorded, np.nan),
            measured=np.array([t.measured for t in record.ticks], np.float64).reshape(count, blocks[1]),
            period_ns=record.period_ns,
            tick_ns=record.tick_ns,
        )

    @property
    def seams(self) -> npt.NDArray[np.int64]:
        """Indices n of ticks that the tick n + 1 follows at once, in the same episode."""
        gap = np.diff(self.stamps_ns)
        good = (gap > 0) & (gap < 1.5 * self.tick_ns) & (np.diff(self.episode) == 0)
        return np.flatnonzero(good).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Errors:
    """Means of errors over ticks.

    Attributes:
        mae, rmse: (A,) over the chunk's rows that were asked for, in the joint's unit.
        normalised: (A,) rmse / scale.
        overall: root mean square of normalised errors over rows and joints.
        by_row: (Tp,) the same for each row of the whole chunk.
        mae_by_row, rmse_by_row: (Tp, A) in the joint's unit.
        by_tick: (N,) root mean square of normalised errors of each chunk.
    """

    mae: Floats
    rmse: Floats
    normalised: Floats
    overall: float
    by_row: Floats
    mae_by_row: Floats
    rmse_by_row: Floats
    by_tick: Floats


def errors(predicted: Floats, recorded: Floats, scale: Floats, rows: int | None = None) -> Errors:
    """Errors of chunks (N, Tp, A) against what was recorded, over their first ``rows`` rows (all of them by default).

    By row and by tick the whole chunk counts.
    """
    error = predicted - recorded
    first = error[:, :rows]
    relative = error / scale
    rmse = _rms(first, (0, 1))
    return Errors(
        mae=_mean(np.abs(first), (0, 1)),
        rmse=rmse,
        normalised=rmse / scale,
        overall=float(_rms(relative[:, :rows], None)),
        by_row=_rms(relative, (0, 2)),
        mae_by_row=_mean(np.abs(error), 0),
        rmse_by_row=_rms(error, 0),
        by_tick=_rms(relative, (1, 2)),
    )


def pooled(values: Floats, units: Sequence[str], unit: str, square: bool) -> float:
    """One number for all joints of a unit: the mean, or the root mean square; NaN where there are none."""
    chosen = values[[u == unit for u in units]]
    return float(_rms(chosen, None) if square else _mean(chosen, None))


@dataclass(frozen=True, eq=False)
class Seams:
    """What happens where one chunk replaces the one before it, root mean square over seams.

    Attributes:
        count: number of seams.
        position: (A,) new chunk minus old one at the moment of the change. A recorded motion has none.
        velocity: (A,) velocity after the change minus velocity before it, each over one period, per second.
        recorded_step: (A,) what was commanded there moved by in one period: the yardstick of ``position``.
        recorded_velocity: (A,) ``velocity`` of what was commanded.
    """

    count: int
    position: Floats
    velocity: Floats
    recorded_step: Floats
    recorded_velocity: Floats


def seams(ticks: Ticks) -> Seams:
    """Jumps between consecutive chunks; the old chunk is read off between its rows where stamps are irregular."""
    jumps: list[Floats] = []
    for n in ticks.seams:
        at = (ticks.stamps_ns[n + 1] - ticks.stamps_ns[n]) / ticks.period_ns
        if at < 1 or at + 1 > ticks.chunk.shape[1] - 1:
            continue
        old, was = (
            _rows_at(rows[n], at + np.array([-1.0, 0.0, 1.0])) for rows in (ticks.chunk, ticks.recorded)
        )
        new = ticks.chunk[n + 1]
        jumps.append(
            np.stack([new[0] - old[1], (new[1] - new[0]) - (old[1] - old[0]), was[2] - was[1],
                      was[2] - 2 * was[1] + was[0]])
        )  # fmt: skip
    joints = ticks.chunk.shape[2]
    found = _rms(np.array(jumps).reshape(len(jumps), 4, joints), 0)
    period_s = ticks.period_ns / 1e9
    return Seams(len(jumps), found[0], found[1] / period_s, found[2], found[3] / period_s)


@dataclass(frozen=True, eq=False)
class Spread:
    """How far samples of one observation lie apart.

    Attributes:
        ticks: at how many ticks samples were drawn.
        samples: how many each.
        by_row: (Tp,) root mean square of the samples' standard deviation, in units of ``scale``.
        overall: the same over all rows.
        covered: share of recorded values within the samples' range; (K - 1) / (K + 1) if they were drawn alike.
    """

    ticks: int
    samples: int
    by_row: Floats
    overall: float
    covered: float


def spread(record: ReplayRecord) -> Spread | None:
    """Of a record's extra samples; None where there are fewer than two."""
    having = [t for t in record.ticks if t.spread is not None and len(t.spread) > 1]
    if not having:
        return None
    samples = np.stack([t.spread for t in having if t.spread is not None])
    recorded = np.stack([np.where(t.known[:, None], t.recorded, np.nan) for t in having])
    deviation = samples.std(axis=1, ddof=1) / record.scale
    inside = (recorded >= samples.min(axis=1)) & (recorded <= samples.max(axis=1))
    known = np.isfinite(recorded)
    return Spread(
        ticks=len(having),
        samples=samples.shape[1],
        by_row=_rms(deviation, (0, 2)),
        overall=float(_rms(deviation, None)),
        covered=float(inside[known].mean()) if known.any() else np.nan,
    )


def worst_ticks(ticks: Ticks, by_tick: Floats, most: int, apart_ns: int) -> list[int]:
    """Indices of the ticks with the largest errors, the largest first, no two of them closer than ``apart_ns``."""
    chosen: list[int] = []
    for n in np.argsort(-np.where(np.isfinite(by_tick), by_tick, -1.0), kind='stable'):
        if len(chosen) == most or not np.isfinite(by_tick[n]):
            break
        if all(abs(int(ticks.stamps_ns[n] - ticks.stamps_ns[m])) >= apart_ns for m in chosen):
            chosen.append(int(n))
    return chosen


def executed(ticks: Ticks) -> list[tuple[int, Stamps, Floats]]:
    """What would be executed if every chunk were followed until the next one: of each unbroken run of ticks its
    episode, stamps (M,) and positions (M, A)."""
    if not len(ticks.stamps_ns):
        return []
    following = set(ticks.seams.tolist())
    ta = max(1, round(ticks.tick_ns / ticks.period_ns))
    out: list[tuple[int, Stamps, Floats]] = []
    stamps: list[Stamps] = []
    rows: list[Floats] = []
    for n, stamp_ns in enumerate(ticks.stamps_ns):
        times = stamp_ns + ticks.period_ns * np.arange(ticks.chunk.shape[1], dtype=np.int64)
        if n in following:
            used = times < ticks.stamps_ns[n + 1]
        else:
            used = np.arange(len(times)) < ta
        stamps.append(times[used])
        rows.append(ticks.chunk[n][used])
        if n not in following:
            out.append((int(ticks.episode[n]), np.concatenate(stamps), np.concatenate(rows)))
            stamps, rows = [], []
    return out


def _rows_at(rows: Floats, at: Floats) -> Floats:
    """Rows (Tp, A) at fractional indices, linear between them."""
    low = np.clip(np.floor(at).astype(int), 0, len(rows) - 2)
    share = (at - low)[:, None]
    # An exact hit must not be touched by a neighbour that is not known.
    upper = np.where(share == 0, rows[low], rows[low + 1])
    mixed = (1 - share) * rows[low] + share * upper
    return np.where(share == 1, rows[low + 1], mixed)


def _mean(values: Floats, axis: int | tuple[int, ...] | None) -> Floats:
    """Mean of what is finite; NaN where nothing is."""
    good = np.isfinite(values)
    count = good.sum(axis=axis)
    total = np.where(good, values, 0.0).sum(axis=axis)
    return np.asarray(np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0))


def _rms(values: Floats, axis: int | tuple[int, ...] | None) -> Floats:
    return np.asarray(np.sqrt(_mean(values**2, axis)))
