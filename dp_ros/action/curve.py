# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Cubics in Hermite form, and slopes that do not overshoot."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


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


def limit_slopes(positions: Array, velocities: Array, dt_s: float) -> Array:
    """Velocities (K, A), reduced where the cubic through equally spaced knots would leave its two knots.

    Sampling a monotone curve on a grid that does not hold the curve's own points loses the guarantee; a slope
    of at most three times the smaller neighbouring secant gives it back (Fritsch and Carlson, 1980). The two
    outer knots see one neighbour only.
    """
    if len(positions) < 2:
        return velocities
    secants = np.diff(positions, axis=0) / dt_s
    left, right = np.concatenate([secants[:1], secants]), np.concatenate([secants, secants[-1:]])
    bound = 3.0 * np.minimum(np.abs(left), np.abs(right))
    with_travel = (np.sign(left) == np.sign(right)) & (np.sign(velocities) == np.sign(left))
    return np.where(with_travel, np.clip(velocities, -bound, bound), 0.0)


def _end_slope(near: Array, far: Array) -> Array:
    slope = (3.0 * near - far) / 2.0
    slope = np.where(np.sign(slope) == np.sign(near), slope, 0.0)
    turning = (np.sign(near) != np.sign(far)) & (np.abs(slope) > 3.0 * np.abs(near))
    return np.where(turning, 3.0 * near, slope)
