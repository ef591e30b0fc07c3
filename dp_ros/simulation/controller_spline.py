# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""How a joint trajectory controller moves between two states (``Trajectory::interpolate_between_points``)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class State:
    """A trajectory point, or a sample of one: (A,) each, None for what a message leaves out."""

    position: Array
    velocity: Array | None = None
    acceleration: Array | None = None

    def filled_like(self, other: 'State') -> 'State':
        """Zeros for the derivatives that this state lacks and ``other`` has.

        "Otherwise the segment going from the current state to the first trajectory point will use another degree of
        spline interpolation than the rest of the trajectory."
        """
        v, a = self.velocity, self.acceleration
        if v is None and other.velocity is not None:
            v = np.zeros_like(self.position)
        if a is None and other.acceleration is not None:
            a = np.zeros_like(self.position)
        return State(self.position, v, a)


def between(since_ns: int, duration_ns: int, start: State, end: State) -> State:
    """The state ``since_ns`` after ``start``: a line, a cubic, or a quintic, by what both ends carry.

    The coefficients are ros2_control's, in powers of seconds. Beyond the end, or of a duration of zero, it is what
    ros2_control makes of it: the line's end, and the start.
    """
    t, duration = since_ns * 1e-9, duration_ns * 1e-9
    p0, p1 = start.position, end.position
    v0, v1, a0, a1 = start.velocity, end.velocity, start.acceleration, end.acceleration
    overdue = since_ns > duration_ns
    t = min(t, duration)
    if v0 is None or v1 is None or overdue:
        slope = (p1 - p0) / duration if duration else np.zeros_like(p0)
        return State(p0 + slope * t, slope, np.zeros_like(p0))
    if not duration:
        return State(p0, v0, np.zeros_like(p0))
    if a0 is None or a1 is None:
        c2 = (3.0 * (p1 - p0) / duration - 2.0 * v0 - v1) / duration
        c3 = (2.0 * (p0 - p1) / duration + v0 + v1) / duration**2
        return State(
            p0 + t * (v0 + t * (c2 + t * c3)),
            v0 + t * (2.0 * c2 + 3.0 * t * c3),
            2.0 * c2 + 6.0 * t * c3,
        )
    move = (p1 - p0) / duration
    c2 = 0.5 * a0
    c3 = (20.0 * move - 12.0 * v0 - 8.0 * v1 + (a1 - 3.0 * a0) * duration) / (2.0 * duration**2)
    c4 = (-30.0 * move + 16.0 * v0 + 14.0 * v1 + (3.0 * a0 - 2.0 * a1) * duration) / (2.0 * duration**3)
    c5 = (12.0 * move - 6.0 * (v0 + v1) + (a1 - a0) * duration) / (2.0 * duration**4)
    return State(
        p0 + t * (v0 + t * (c2 + t * (c3 + t * (c4 + t * c5)))),
        v0 + t * (2.0 * c2 + t * (3.0 * c3 + t * (4.0 * c4 + t * 5.0 * c5))),
        2.0 * c2 + t * (6.0 * c3 + t * (12.0 * c4 + t * 20.0 * c5)),
    )
