# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Cubics and slopes, against scipy and against their laws."""

import numpy as np
import pytest

from dp_ros.action.curve import accelerations, hermite, knots, row_slopes


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


def test_slopes_of_a_parabola_are_its_own():
    t = np.arange(9)[:, None] * 0.1
    np.testing.assert_allclose(row_slopes(2 * (t - 0.43) ** 2, 0.1)[1:-1], 4 * (t - 0.43)[1:-1], atol=1e-12)


def test_beside_a_plateau_the_slope_is_zero_so_nothing_overshoots():
    rows = np.array([1, 1, 1, 0.7, 0.3, 0, 0, 0])[:, None]
    slopes = row_slopes(rows, 0.04)
    np.testing.assert_array_equal(slopes[[1, 2, 5, 6], 0], 0.0)
    assert np.all(slopes[3:5] < 0)
    u = np.linspace(0, 1, 101)[:, None, None]
    p, _ = hermite(u, 0.04, rows[:-1], slopes[:-1], rows[1:], slopes[1:])
    assert p.max() <= 1.0 + 1e-12
    assert p.min() >= -1e-12


def test_one_point_has_no_slope_and_two_have_one():
    np.testing.assert_array_equal(row_slopes(np.ones((1, 3)), 0.04), np.zeros((1, 3)))
    np.testing.assert_allclose(row_slopes(np.array([[0.0], [0.1]]), 0.04), [[2.5], [2.5]])


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
