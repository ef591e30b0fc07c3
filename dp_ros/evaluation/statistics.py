# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Small exact statistics for success rates and latencies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dp_ros.errors import DpRosError

Z_95 = 1.959963984540054  # 97.5 % quantile of the normal distribution


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of a rate (Wilson 1927), inside [0, 1] also at 0 and at all successes.

    Args:
        successes: between 0 and ``trials``.
        trials: number of trials; with none, the interval is (0, 1).
        z: normal quantile; the default gives 95 %.
    """
    if not 0 <= successes <= trials:
        raise DpRosError(f'wilson_interval: successes must be within 0..{trials}, got {successes}')
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = successes / trials, z * z
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = z / (1 + z2 / trials) * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials * trials))
    # Rounding must not move an end that is exactly 0 or 1.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    return low, 1.0 if successes == trials else min(1.0, centre + half)


@dataclass(frozen=True)
class Percentiles:
    """Percentiles of one sample, in the sample's own unit; NaN when it is empty."""

    count: int
    p50: float
    p95: float
    p99: float
    largest: float


def percentiles(values: Sequence[float]) -> Percentiles:
    """p50, p95, p99 (linear interpolation) and the maximum."""
    if len(values) == 0:
        return Percentiles(0, math.nan, math.nan, math.nan, math.nan)
    p50, p95, p99 = np.percentile(np.asarray(values, dtype=np.float64), [50, 95, 99])
    return Percentiles(len(values), float(p50), float(p95), float(p99), float(max(values)))


@dataclass(frozen=True)
class PairedComparison:
    """Two policies on the same seeds.

    Attributes:
        both, only_first, only_second, neither: number of seeds.
        p_value: two-sided exact McNemar test of 'neither is better'.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float


def paired_difference(first: Sequence[bool], second: Sequence[bool]) -> tuple[float, float, float]:
    """Rate of the second less that of the first on the same seeds, and its 95 % interval: difference, low, high.

    Newcombe's square-and-add interval for paired proportions with continuity correction (Statistics in Medicine 17
    (1998) 2635, method 10): it stays within [-1, 1], and does not shrink to a point where all seeds agree.
    """
    pair = paired_comparison(first, second)
    count = len(first)
    if not count:
        return 0.0, -1.0, 1.0
    wins = pair.both + pair.only_second, pair.both + pair.only_first
    rates = [w / count for w in wins]
    (low_2, high_2), (low_1, high_1) = (wilson_interval(w, count) for w in wins)
    below_2, above_2, below_1, above_1 = (
        rates[0] - low_2,
        high_2 - rates[0],
        rates[1] - low_1,
        high_1 - rates[1],
    )
    margins = wins[0] * (count - wins[0]) * wins[1] * (count - wins[1])
    covariance = float(pair.both * pair.neither - pair.only_first * pair.only_second)
    if covariance > 0:
        covariance = max(covariance - count / 2, 0.0)
    phi = covariance / math.sqrt(margins) if margins else 0.0
    difference = (pair.only_second - pair.only_first) / count
    down = below_2**2 - 2 * phi * below_2 * above_1 + above_1**2
    up = above_2**2 - 2 * phi * above_2 * below_1 + below_1**2
    return difference, difference - math.sqrt(max(0.0, down)), difference + math.sqrt(max(0.0, up))


def paired_comparison(first: Sequence[bool], second: Sequence[bool]) -> PairedComparison:
    """Compare successes seed by seed (exact McNemar test: the discordant seeds are fair coin flips under H0)."""
    if len(first) != len(second):
        raise DpRosError(
            f'paired_comparison: {len(first)} results against {len(second)}; the seeds must pair'
        )
    pairs = [(bool(a), bool(b)) for a, b in zip(first, second, strict=True)]
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(discordant, k) for k in range(fewer + 1)) / 2**discordant
    return PairedComparison(
        both=pairs.count((True, True)),
        only_first=only_first,
        only_second=only_second,
        neither=pairs.count((False, False)),
        p_value=min(1.0, 2 * tail),
    )
