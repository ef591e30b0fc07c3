# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The brake: bounded, exact, synchronised."""

import numpy as np
import pytest

from dp_ros.action.brake import brake_tail
from dp_ros.action.curve import hermite

MS = 1_000_000


def test_brake_is_a_constant_deceleration_within_the_bound():
    rng = np.random.default_rng(0)
    for _ in range(100):
        p, v = rng.normal(size=5), rng.normal(scale=rng.choice([0.001, 1.0, 10.0]), size=5)
        limit = rng.uniform(0.5, 20.0, size=5)
        duration_ns, rest = brake_tail(p, v, limit, 20 * MS)
        seconds = duration_ns * 1e-9
        assert duration_ns >= 20 * MS
        assert duration_ns % (20 * MS) == 0
        assert np.all(np.abs(v) / seconds <= limit * (1 + 1e-6))
        # one step less would not do, or is less than the controller's period
        assert duration_ns == 20 * MS or np.any(np.abs(v) / (seconds - 0.02) > limit)
        u = rng.uniform(size=(9, 1))
        got_p, got_v = hermite(u, seconds, p, v, rest, np.zeros(5))
        t = u * seconds
        np.testing.assert_allclose(got_v, v * (1 - u), atol=1e-12)
        np.testing.assert_allclose(got_p, p + v * t - 0.5 * v / seconds * t**2, atol=1e-12)


def test_at_rest_the_brake_takes_one_step_and_goes_nowhere():
    duration_ns, rest = brake_tail(np.ones(2), np.zeros(2), np.ones(2), 7)
    assert duration_ns == 7
    np.testing.assert_array_equal(rest, [1.0, 1.0])


@pytest.mark.parametrize(('speed', 'steps'), [(0.02, 1), (0.04, 2), (0.06, 3), (0.0601, 4)])
def test_whole_steps_are_not_rounded_up(speed, steps):
    duration_ns, _ = brake_tail(np.zeros(1), np.array([speed]), np.ones(1), 20 * MS)
    assert duration_ns == steps * 20 * MS
