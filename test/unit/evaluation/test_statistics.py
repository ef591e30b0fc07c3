# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Statistics against closed forms and against SciPy's."""

import math

import numpy as np
import pytest
import scipy.stats

from dp_ros.errors import DpRosError
from dp_ros.evaluation.statistics import paired_comparison, percentiles, wilson_interval


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
