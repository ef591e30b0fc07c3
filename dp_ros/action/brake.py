# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The brake: one cubic from motion to rest."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def brake_tail(position: Array, velocity: Array, max_acceleration: Array, min_ns: int) -> tuple[int, Array]:
    """Time and place of rest when all joints brake together with constant deceleration.

    All joints stop at the same time, so that the arms keep their path. The position is then a quadratic in
    time, which the cubic with end velocities ``velocity`` and 0 equals: one trajectory point carries the
    whole brake.

    Args:
        position: (A,) rad or m.
        velocity: (A,) per second.
        max_acceleration: (A,) positive, per second squared.
        min_ns: the brake takes a multiple of this time, and at least it: not less than one period of the
            controller, and on the plan's grid.

    Returns:
        The duration in nanoseconds, and the (A,) position of rest.
    """
    needed_s = float(np.max(np.abs(velocity) / max_acceleration, initial=0.0))
    # A hair less than a whole number of steps is that number: rounding must not cost one more step.
    steps = max(1, int(np.ceil(needed_s * 1e9 / min_ns - 1e-9)))
    duration_ns = steps * min_ns
    return duration_ns, position + velocity * (duration_ns * 0.5e-9)
