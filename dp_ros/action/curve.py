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


def row_slopes(positions: Array, dt_s: float) -> Array:
    """Slopes (T, A) at equally spaced points (T, A): central differences (Catmull-Rom), but level beside a plateau.

    Central differences keep a smooth motion smooth through its turning points, where slopes that never overshoot
    (PCHIP) double the acceleration. Where two secants in a row are zero on one side, the slope is zero: a gripper that
    closes does not swing beyond, and does not first open.
    """
    if len(positions) < 3:
        return np.zeros_like(positions) + np.diff(positions, axis=0).sum(axis=0) / dt_s
    secants = np.diff(positions, axis=0) / dt_s
    # Beyond the ends nothing is known, so nothing is bounded there.
    unknown = np.full_like(secants[:1], np.inf)
    steep = np.concatenate([unknown, np.abs(secants), unknown])
    left, right = np.maximum(steep[:-3], steep[1:-2]), np.maximum(steep[2:-1], steep[3:])
    bound = 3.0 * np.minimum(left, right)
    inner = np.clip(0.5 * (secants[:-1] + secants[1:]), -bound, bound)
    first = _end_slope(secants[0], secants[1])
    last = _end_slope(secants[-1], secants[-2])
    return np.concatenate([first[None], inner, last[None]])


def _end_slope(near: Array, far: Array) -> Array:
    """One-sided difference of three points, not against the direction of the outer two (as PCHIP ends)."""
    slope = (3.0 * near - far) / 2.0
    slope = np.where(np.sign(slope) == np.sign(near), slope, 0.0)
    turning = (np.sign(near) != np.sign(far)) & (np.abs(slope) > 3.0 * np.abs(near))
    return np.where(turning, 3.0 * near, slope)
