# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Uniform cubic B-splines and the cubics between their knots.

A plan is a row of controls on a time grid. Its curve is the cubic B-spline over them, so for any controls at all:

- it is C2: position, velocity and acceleration are continuous, the jerk is constant between two knots;
- it stays within the hull of neighbouring controls: bounded controls mean a bounded position;
- its acceleration at a knot is the second difference of the controls over h², linear in between; its jerk is the third
  difference over h³; its velocity is a mean of first differences over h. Bounds of differences are bounds of motion.

Between two knots the curve is the one cubic with the knots' positions and velocities, which is what a joint
trajectory controller makes of two trajectory points (de Boor, A Practical Guide to Splines, 1978, chapter IX).
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def knots(controls: Array, dt_s: float) -> tuple[Array, Array]:
    """Position and velocity (K, A) of the curve at the inner ones of K + 2 controls."""
    before, at, after = controls[:-2], controls[1:-1], controls[2:]
    # Written around the control, so that a resting curve rests to the last bit.
    return at + ((before - at) + (after - at)) / 6.0, (after - before) / (2.0 * dt_s)


def accelerations(controls: Array, dt_s: float) -> Array:
    """Acceleration (K, A) of the curve at the inner ones of K + 2 controls."""
    before, at, after = controls[:-2], controls[1:-1], controls[2:]
    return ((before - at) + (after - at)) / dt_s**2


def hermite(u: Array, dt_s: float, p0: Array, v0: Array, p1: Array, v1: Array) -> tuple[Array, Array]:
    """Position and velocity of the cubic from (p0, v0) to (p1, v1) at the fraction u of its duration.

    Args:
        u: fraction in [0, 1], broadcast against the others.
        dt_s: duration in seconds.
        p0, v0, p1, v1: ends, positions and velocities per second.

    At u = 0 the result is (p0, v0) to the last bit, so that a knot reads as itself.
    """
    a, b, rise = v0 * dt_s, v1 * dt_s, p1 - p0
    quadratic, cubic = 3.0 * rise - 2.0 * a - b, a + b - 2.0 * rise
    position = p0 + u * (a + u * (quadratic + u * cubic))
    velocity = v0 + u * (2.0 * quadratic + 3.0 * u * cubic) / dt_s
    return position, velocity


def monotone_slopes(positions: Array, dt_s: float) -> Array:
    """Slopes (T, A) at equally spaced points (T, A) that keep each piece within its two points (PCHIP).

    Between points of one direction of travel the slope is the harmonic mean of the neighbouring secants, at a
    turning point it is zero: a gripper that shall close does not first open.
    """
    if len(positions) == 1:
        return np.zeros_like(positions)
    secants = np.diff(positions, axis=0) / dt_s
    if len(positions) == 2:
        return np.concatenate([secants, secants])
    left, right = secants[:-1], secants[1:]
    same = np.sign(left) * np.sign(right) > 0
    total = np.where(same, left + right, 1.0)
    inner = np.where(same, 2.0 * left * (right / total), 0.0)
    first = _end_slope(secants[0], secants[1])
    last = _end_slope(secants[-1], secants[-2])
    return np.concatenate([first[None], inner, last[None]])


def _end_slope(near: Array, far: Array) -> Array:
    slope = (3.0 * near - far) / 2.0
    slope = np.where(np.sign(slope) == np.sign(near), slope, 0.0)
    turning = (np.sign(near) != np.sign(far)) & (np.abs(slope) > 3.0 * np.abs(near))
    return np.where(turning, 3.0 * near, slope)
