# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The time of a bag while it is played: which moment of it belongs to a moment of the wall clock. No ROS here."""

import math


class BagClock:
    """Runs from a start at a rate; stands while paused.

    Args:
        start_ns: time of the bag at the start.
        rate: seconds of the bag a second; 0: as fast as it goes, the bag's time is then that of the newest message.
        wall_s: now, on a steady clock, as everywhere below.
        paused: begin paused.
    """

    def __init__(self, start_ns: int, rate: float, wall_s: float, paused: bool = False):
        self._at_ns, self._since_s = start_ns, wall_s
        self.rate, self.paused = rate, paused

    def now_ns(self, wall_s: float) -> int:
        """The time of the bag."""
        return self._at_ns + (0 if self.paused else round((wall_s - self._since_s) * self.rate * 1e9))

    def seconds_until(self, log_ns: int, wall_s: float) -> float:
        """Wall-clock time until this moment of the bag; negative: it is over; infinite while paused."""
        if self.paused:
            return math.inf
        return (log_ns - self.now_ns(wall_s)) * 1e-9 / self.rate if self.rate else 0.0

    def set(self, log_ns: int, wall_s: float) -> None:
        """Go on from this moment of the bag: after a wait, or a jump."""
        self._at_ns, self._since_s = log_ns, wall_s

    def pause(self, paused: bool, wall_s: float) -> None:
        """Stand still, or go on from here."""
        self.set(self.now_ns(wall_s), wall_s)
        self.paused = paused
