# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Statistics against closed forms and against SciPy's."""

import math

import numpy as np
import pytest
import scipy.stats

from dp_ros.errors import DpRosError
from dp_ros.evaluation.statistics import (
    paired_comparison,
    paired_difference,
    percentiles,
    wilson_interval,
)


@pytest.mark.parametrize(('successes', 'trials'), [(0, 10), (3, 10), (97, 100), (100, 100), (1, 1)])
def test_wilson_equals_scipy(successes, trials):
    expected = scipy.stats.binomtest(successes, trials).proportion_ci(method='wilson')
    low, high = wilson_interval(successes, trials)
    assert low == pytest.approx(expected.low, abs=1e-12)
    assert high == pytest.approx(expected.high, abs=1e-12)
    assert 0.0 <= low <= successes / trials <= high <= 1.0


def test_wilson_without_trials_knows_nothing():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_wilson_refuses_impossible_counts():
    with pytest.raises(DpRosError, match=r'within 0\.\.3, got 4'):
        wilson_interval(4, 3)


def test_percentiles_of_a_known_sample():
    result = percentiles(list(range(101)))
    assert (result.count, result.p50, result.p95, result.p99, result.largest) == (101, 50, 95, 99, 100)
    assert math.isnan(percentiles([]).p50)
    assert percentiles([]).count == 0


def test_mcnemar_equals_the_binomial_test():
    rng = np.random.default_rng(0)
    first, second = rng.random(60) < 0.9, rng.random(60) < 0.7
    result = paired_comparison(list(first), list(second))
    assert result.both + result.only_first + result.only_second + result.neither == 60
    expected = scipy.stats.binomtest(result.only_first, result.only_first + result.only_second, 0.5).pvalue
    assert result.p_value == pytest.approx(expected, abs=1e-12)


def test_mcnemar_without_differences_is_undecided():
    assert paired_comparison([True, False], [True, False]).p_value == 1.0


def test_mcnemar_needs_pairs():
    with pytest.raises(DpRosError, match='the seeds must pair'):
        paired_comparison([True], [True, False])


def of_counts(both, only_first, only_second, neither):
    pairs = (
        [(True, True)] * both
        + [(True, False)] * only_first
        + [(False, True)] * only_second
        + [(False, False)] * neither
    )
    return [a for a, _ in pairs], [b for _, b in pairs]


@pytest.mark.parametrize(
    ('counts', 'low', 'high'), [((36, 12, 2, 0), 0.0569, 0.3404), ((20, 12, 2, 16), 0.0562, 0.3292)]
)
def test_paired_differences_are_newcombes(counts, low, high):
    """Cases of his own table (1998, method 10)."""
    first, second = of_counts(*counts)
    value, below, above = paired_difference(second, first)
    assert value == pytest.approx((counts[1] - counts[2]) / sum(counts))
    assert (below, above) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert paired_difference(first, second) == pytest.approx((-value, -above, -below))


def test_where_one_always_wins_the_difference_is_that_of_two_rates():
    """Closed form without correlation: all of one, none of the other, of n seeds."""
    n = 20
    value, low, high = paired_difference([False] * n, [True] * n)
    margin = 1 - wilson_interval(n, n)[0]
    assert (value, high) == (1.0, 1.0)
    assert low == pytest.approx(1 - math.sqrt(2) * margin)


def test_a_difference_of_none_is_no_certainty_and_of_no_seeds_nothing():
    value, low, high = paired_difference([True] * 30, [True] * 30)
    assert value == 0.0 and low == pytest.approx(-high) and 0.05 < high < 0.2
    assert paired_difference([], []) == (0.0, -1.0, 1.0)


@pytest.mark.parametrize('seed', range(20))
def test_differences_lie_in_their_interval_and_that_in_the_possible(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.random((2, int(rng.integers(1, 60)))) < rng.random((2, 1))
    value, low, high = paired_difference(first.tolist(), second.tolist())
    assert -1.0 - 1e-9 <= low <= value <= high <= 1.0 + 1e-9
