# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Cubics and slopes, against scipy and against their laws."""

import numpy as np
import pytest

from dp_ros.action.curve import accelerations, hermite, knots, monotone_slopes


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


def test_the_curve_is_the_b_spline_of_its_controls():
    """Against scipy: positions and velocities at the knots, and between them the cubic that they make."""
    interpolate = pytest.importorskip('scipy.interpolate')
    rng = np.random.default_rng(2)
    controls, h = rng.normal(size=(12, 2)), 0.02
    # Control i stands at time i h, in the middle of its basis function.
    spline = interpolate.BSpline(h * np.arange(-2, 14), controls, 3)
    p, v = knots(controls, h)
    times = h * np.arange(1, 11)
    np.testing.assert_allclose(p, spline(times), atol=1e-12)
    np.testing.assert_allclose(v, spline.derivative()(times), atol=1e-9)
    np.testing.assert_allclose(accelerations(controls, h), spline.derivative(2)(times), atol=1e-6)
    u = rng.uniform(size=(9, 1))
    between, speed = hermite(u, h, p[:-1], v[:-1], p[1:], v[1:])
    at = times[:-1] + u[:, 0] * h
    np.testing.assert_allclose(between, spline(at), atol=1e-12)
    np.testing.assert_allclose(speed, spline.derivative()(at), atol=1e-9)


def test_a_line_of_controls_is_that_line_and_rest_is_rest():
    line = np.arange(6.0)[:, None] * 0.1
    p, v = knots(line, 0.02)
    np.testing.assert_allclose(p, line[1:-1], atol=1e-15)
    np.testing.assert_allclose(v, 5.0)
    still = np.full((5, 1), 0.1234567)
    np.testing.assert_array_equal(knots(still, 0.02)[0], 0.1234567)
    np.testing.assert_array_equal(knots(still, 0.02)[1], 0.0)
