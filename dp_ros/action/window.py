# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The stamped window: the piece of the plan that a controller holds at any moment."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Window:
    """Trajectory points with positions and velocities; the last one is at rest.

    Attributes:
        stamp_ns: time of the first point, at or before the moment of publishing; one stamp for all arms.
        times_ns: (N,) int64 since the stamp, from 0, strictly increasing.
        positions: (N, A) rad or m.
        velocities: (N, A) per second; zero in the last row.
    """

    stamp_ns: int
    times_ns: npt.NDArray[np.int64]
    positions: npt.NDArray[np.float64]
    velocities: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        for key in ('times_ns', 'positions', 'velocities'):
            array = np.array(getattr(self, key))
            array.setflags(write=False)
            object.__setattr__(self, key, array)

    @property
    def end_ns(self) -> int:
        """Time of the last point, where everything rests."""
        return self.stamp_ns + int(self.times_ns[-1])

    def for_arm(self, columns: slice) -> 'Window':
        """The columns of one arm, same stamp and times."""
        return Window(self.stamp_ns, self.times_ns, self.positions[:, columns], self.velocities[:, columns])
