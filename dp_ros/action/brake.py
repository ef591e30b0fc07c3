# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The brake: the fewest steps to rest that the limits of acceleration and jerk allow, the same for all joints."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# A brake longer than this many steps is a limit that was set wrong by orders of magnitude.
_MOST = 100_000


def brake(known: Array, second: Array, third: Array) -> Array:
    """Controls (N, A) that bring the curve over the last three controls to rest; the last two rows are equal.

    All joints stop after the same N steps, so that two arms that hold one thing keep it between them. N is the
    least that every joint can do. Each joint's second differences are one constant level, cut by what the third
    differences can reach from the present and to rest.

    Args:
        known: (3, A) the controls before the brake.
        second: (A,) bound of the second differences; those of ``known`` must keep it.
        third: (A,) bound of the third differences.
    """
    first = known[2] - known[1]
    start = first - (known[1] - known[0])
    still = (first == 0.0) & (start == 0.0)
    if still.all():
        return np.stack([known[2], known[2]])
    low, high = _shortest(first, start, second, third)
    level = _level(first, low, high, second)
    # A joint at rest stays where it is, to the last bit.
    differences = np.where(still, 0.0, level.clip(low, high))
    velocities = first + differences.cumsum(axis=0)
    # What is left of the velocity is rounding.
    velocities[-1] = 0.0
    controls: Array = known[2] + velocities.cumsum(axis=0)
    return controls


def _reach(steps: int, start: Array, second: Array, third: Array) -> tuple[Array, Array]:
    """Bounds (N, A) of the second differences: limit, reachable from ``start``, and able to reach zero in time."""
    gone = np.arange(1, steps + 1)[:, None] * third
    left = gone[::-1]
    low = np.maximum(np.maximum(-second, start - gone), -left)
    high = np.minimum(np.minimum(second, start + gone), left)
    return low, high


def _shortest(first: Array, start: Array, second: Array, third: Array) -> tuple[Array, Array]:
    """The reach (N, A) of the least number of steps after which both differences can be zero."""
    # A hair less than a whole number of steps is that number: rounding must not cost one more step.
    slack = 1e-9 * second
    steps = max(1, int(np.ceil((np.abs(first) / second).max() - 1e-9)))
    while True:
        low, high = _reach(steps, start, second, third)
        enough = (low.sum(axis=0) <= slack - first) & (high.sum(axis=0) >= -first - slack)
        if steps >= _MOST or (enough.all() and (low <= high + slack).all()):
            return low, high
        steps += 1 if steps < 64 else steps // 16


def _level(first: Array, low: Array, high: Array, second: Array) -> Array:
    """The constant (A,) whose cut by the bounds sums to the velocity that must vanish."""
    below, above = -second, second.copy()
    level = (-first / len(low)).clip(below, above)
    for turn in range(150):
        missing = level.clip(low, high).sum(axis=0) + first
        if (np.abs(missing) <= 1e-14 * second).all():
            break
        above = np.where(missing > 0, level, above)
        below = np.where(missing > 0, below, level)
        # The sum is piecewise linear in the level: Newton's step is exact on its piece, halving finds the piece.
        free = ((level > low) & (level < high)).sum(axis=0)
        step = level - missing / np.maximum(free, 1)
        inside = (step > below) & (step < above) & (turn % 3 < 2)
        level = np.where(inside, step, 0.5 * (below + above))
    return level
