# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Cubics and slopes, against scipy and against their laws."""

import numpy as np
import pytest

from dp_ros.action.curve import hermite, limit_slopes, monotone_slopes


def test_hermite_reproduces_any_cubic():
    rng = np.random.default_rng(0)
    for _ in range(20):
        cubic = np.polynomial.Polynomial(rng.normal(size=4))
        start, length = rng.normal(), rng.uniform(0.01, 2.0)
        u = rng.uniform(size=7)
        ends = np.array([start, start + length])
        p, v = cubic(ends), cubic.deriv()(ends)
        got_p, got_v = hermite(u, length, p[0], v[0], p[1], v[1])
        np.testing.assert_allclose(got_p, cubic(start + u * length), atol=1e-12)
        np.testing.assert_allclose(got_v, cubic.deriv()(start + u * length), atol=1e-11)


def test_slopes_equal_scipys_pchip():
    interpolate = pytest.importorskip('scipy.interpolate')
    rng = np.random.default_rng(1)
    for length in (2, 3, 4, 9, 32):
        # rounded, so that equal neighbours and turning points occur
        points = np.round(rng.normal(size=(length, 5)), 1)
        times = np.arange(length) * 0.04
        expected = interpolate.PchipInterpolator(times, points, axis=0).derivative()(times)
        np.testing.assert_allclose(monotone_slopes(points, 0.04), expected, atol=1e-9)


def test_one_point_has_no_slope():
    np.testing.assert_array_equal(monotone_slopes(np.ones((1, 3)), 0.04), np.zeros((1, 3)))


def test_limited_cubics_stay_between_their_knots():
    rng = np.random.default_rng(2)
    u = np.linspace(0, 1, 101)[:, None, None]
    for _ in range(50):
        knots = np.round(rng.normal(size=(9, 3)), 1)
        v = limit_slopes(knots, rng.normal(scale=50.0, size=knots.shape), 0.02)
        p, _ = hermite(u, 0.02, knots[:-1], v[:-1], knots[1:], v[1:])
        assert np.all(p <= np.maximum(knots[:-1], knots[1:]) + 1e-12)
        assert np.all(p >= np.minimum(knots[:-1], knots[1:]) - 1e-12)
