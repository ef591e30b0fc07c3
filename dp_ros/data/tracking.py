# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""How joints followed their commands: by how much they lag, and how far off they are; and when nothing moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]

# Lags that are tried; between them the error is taken for a parabola.
LAG_STEP_S = 0.02
LEAST_LAG_S, MOST_LAG_S = -0.2, 0.5
# A joint whose command moves less has no lag that could be told; standard deviation, by unit.
LEAST_MOTION: Mapping[str, float] = {'rad': 0.01, 'm': 0.0005, '1': 0.01}
MOST_SAMPLES, LEAST_SAMPLES = 4000, 20
# Slower than this over the window, per second and by unit, is still: above the steps of usual encoders.
STILL_WINDOW_NS = 250_000_000
STILL_SPEED: Mapping[str, float] = {'rad': 0.02, 'm': 0.001, '1': 0.02}


@dataclass(frozen=True, eq=False)
class Tracking:
    """Of each joint, (A,).

    Attributes:
        lag_s: by which the measured motion best fits the commanded one; negative where it comes first, NaN where the
            command moves too little or the episode is too short.
        rms: of measured less commanded at the same time, rad or m.
        rms_at_lag: of measured less commanded ``lag_s`` earlier; NaN where the lag is.

    Where a lag can be told, all is over the times for which every lag has a command to compare with.
    """

    lag_s: Floats
    rms: Floats
    rms_at_lag: Floats


def tracking(
    stamps_ns: Stamps, measured: Floats, command_stamps_ns: Stamps, commands: Floats, units: Sequence[str]
) -> Tracking:
    """How ``measured`` (N, A) at ``stamps_ns`` (N,) follows ``commands`` (M, A) at ``command_stamps_ns`` (M,)."""
    every = max(1, -(-len(stamps_ns) // MOST_SAMPLES))
    stamps, measured = stamps_ns[::every], np.asarray(measured[::every], np.float64)
    first = command_stamps_ns[0] + round(MOST_LAG_S * 1e9)
    last = command_stamps_ns[-1] + round(LEAST_LAG_S * 1e9)
    inside = (stamps >= first) & (stamps <= last)
    unknown = np.full(len(units), np.nan)
    short = inside.sum() < LEAST_SAMPLES
    if not short:
        stamps, measured = stamps[inside], measured[inside]
    commanded = _at(stamps, command_stamps_ns, commands)
    rms = np.sqrt(np.mean((measured - commanded) ** 2, axis=0))
    if short:
        return Tracking(unknown, rms, unknown.copy())
    lags = np.arange(round(LEAST_LAG_S / LAG_STEP_S), round(MOST_LAG_S / LAG_STEP_S) + 1) * LAG_STEP_S
    errors = np.stack(
        [
            np.mean((measured - _at(stamps - round(lag * 1e9), command_stamps_ns, commands)) ** 2, axis=0)
            for lag in lags
        ]
    )
    best = errors.argmin(axis=0)
    joints = np.arange(len(units))
    middle = np.clip(best, 1, len(lags) - 2)
    before, at, after = (errors[middle + k, joints] for k in (-1, 0, 1))
    bend = before - 2 * at + after
    inner = (best == middle) & (bend > 0)
    shift = np.where(inner, 0.5 * (before - after) / np.where(inner, bend, 1.0), 0.0)
    least = np.where(inner, at - 0.25 * (before - after) * shift, errors[best, joints])
    still = commanded.std(axis=0) < [LEAST_MOTION[unit] for unit in units]
    return Tracking(
        np.where(still, np.nan, lags[best] + LAG_STEP_S * shift),
        rms,
        np.where(still, np.nan, np.sqrt(np.maximum(least, 0.0))),
    )


@dataclass(frozen=True)
class Stillness:
    """When nothing moves: the share of the time, and seconds at the beginning, at the end, and at most in between."""

    share: float
    leading_s: float
    trailing_s: float
    longest_s: float


def stillness(stamps_ns: Stamps, measured: Floats, units: Sequence[str]) -> Stillness:
    """When all of ``measured`` (N, A) at ``stamps_ns`` (N,) stands still, see STILL_SPEED."""
    length = int(stamps_ns[-1] - stamps_ns[0])
    if not length:
        return Stillness(0.0, 0.0, 0.0, 0.0)
    newest = len(stamps_ns) - 1
    ends = np.searchsorted(stamps_ns, stamps_ns + STILL_WINDOW_NS)
    # The last windows end with the episode, and begin earlier for that.
    begins = np.where(
        ends > newest, np.searchsorted(stamps_ns, stamps_ns[-1] - STILL_WINDOW_NS), np.arange(newest + 1)
    )
    ends = np.minimum(ends, newest)
    most = np.array([STILL_SPEED[unit] for unit in units])
    seconds = (stamps_ns[ends] - stamps_ns[begins])[:, None] / 1e9
    far = np.abs(np.asarray(measured[ends], np.float64) - measured[begins])
    moves = np.any(far > most * seconds, axis=1)
    if not moves.any():
        return Stillness(1.0, length / 1e9, length / 1e9, length / 1e9)
    steps = np.diff(stamps_ns)
    quiet = ~moves[:-1]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    runs = [stamps_ns[stop] - stamps_ns[start] for start, stop in zip(edges[::2], edges[1::2], strict=True)]
    moving = np.flatnonzero(moves)
    # What one window sees and its neighbour does not happens at the end of the first, at the beginning of the last one.
    leading = stamps_ns[ends[moving[0]]] - stamps_ns[0] if moving[0] else 0
    trailing = stamps_ns[-1] - stamps_ns[begins[moving[-1]]] if moving[-1] < newest else 0
    return Stillness(
        share=float(steps[quiet].sum()) / length,
        leading_s=float(leading) / 1e9,
        trailing_s=float(trailing) / 1e9,
        longest_s=float(max(runs, default=0)) / 1e9,
    )


def _at(times_ns: Stamps, stamps_ns: Stamps, values: Floats) -> Floats:
    """``values`` (M, A) at ``times_ns`` (n,), linear between their stamps and held outside."""
    after = np.clip(np.searchsorted(stamps_ns, times_ns, side='right'), 1, max(1, len(stamps_ns) - 1))
    if len(stamps_ns) == 1:
        return np.repeat(np.asarray(values, np.float64), len(times_ns), axis=0)
    begin, end = stamps_ns[after - 1], stamps_ns[after]
    share = np.clip((times_ns - begin) / (end - begin), 0.0, 1.0)[:, None]
    return np.asarray(values[after - 1] * (1.0 - share) + values[after] * share, np.float64)
