# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What is watched while the arms may move. Each watch is told the time and what it needs; its answer is why to stop.

No ROS, and no opinion on what a reason leads to: motion.py and the supervisor decide that.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from dp_ros.nodes.measured import MeasuredJoints

Array = npt.NDArray[np.float64]


class TrackingWatch:
    """Whether the arms are where they were commanded to be, joint by joint.

    Args:
        joint_names: in the plan's order.
        limit: (A,) largest error, rad or m; inf for joints that may be held back, such as grippers.
        duration_ns: an error counts once it has lasted for so long.
        lead_ns: (A,) how long after its command a joint moves; None: at once.

    Attributes:
        largest: (A,) largest error since :meth:`reset`.
    """

    def __init__(
        self,
        joint_names: Sequence[str],
        limit: Array,
        duration_ns: int,
        lead_ns: npt.NDArray[np.int64] | None = None,
    ):
        self._names, self._limit, self._duration_ns = tuple(joint_names), limit, duration_ns
        self._lead_ns = np.zeros(len(limit), np.int64) if lead_ns is None else lead_ns
        self._since_ns = np.zeros(len(limit), np.int64)
        self.largest = np.zeros(len(limit))

    def reset(self) -> None:
        """A new motion begins."""
        self._since_ns[:] = 0
        self.largest[:] = 0.0

    def check(self, measured: MeasuredJoints, commanded: Callable[[int], Array]) -> str:
        """Compare what was measured with what was commanded at that time; why to stop, or empty.

        Args:
            measured: newest positions with their stamps.
            commanded: time to positions (A,).
        """
        stamps = measured.stamps_ns
        # Joints of one message share one stamp, so this is one sample a topic and latency.
        wanted, asked = np.empty(len(stamps)), stamps - self._lead_ns
        for stamp in np.unique(asked):
            at = asked == stamp
            wanted[at] = commanded(int(stamp))[at]
        error = np.abs(measured.newest - wanted)
        self.largest = np.fmax(self.largest, error)
        # Not "error > limit": what was never measured is not where it should be.
        off = ~(error <= self._limit)
        self._since_ns = np.where(off, np.where(self._since_ns == 0, stamps, self._since_ns), 0)
        lasting = np.flatnonzero(off & (stamps - self._since_ns >= self._duration_ns))
        if not lasting.size:
            return ''
        found = '; '.join(
            f'{self._names[i]}: commanded {wanted[i]:.4f}, measured {measured.newest[i]:.4f}, '
            f'off by more than {self._limit[i]:.4f} for {(stamps[i] - self._since_ns[i]) / 1e9:.2f} s'
            for i in lasting
        )
        return f'tracking error: {found}'


class LimitWatch:
    """Whether the arms are measured within their position limits.

    Args:
        joint_names: in the plan's order.
        lower, upper: (A,) limits, with infinities where there is none.
        tolerance: (A,) how far beyond is still taken.
    """

    def __init__(self, joint_names: Sequence[str], lower: Array, upper: Array, tolerance: Array):
        self._names = tuple(joint_names)
        self._lower, self._upper = lower, upper
        self._least, self._most = lower - tolerance, upper + tolerance

    def check(self, positions: Array) -> str:
        """Every joint that is beyond, by name; empty where none is. What was never measured is not judged here."""
        beyond = np.flatnonzero((positions < self._least) | (positions > self._most))
        if not beyond.size:
            return ''
        found = '; '.join(
            f'{self._names[i]}: {positions[i]:.4f}, limits {self._lower[i]:.4f} to {self._upper[i]:.4f}'
            for i in beyond
        )
        return f'measured beyond the position limits: {found}'


class ClockWatch:
    """Whether ROS time goes on while wall-clock time does."""

    def __init__(self, timeout_s: float):
        self._timeout_s = timeout_s
        self._seen: tuple[int, float] | None = None

    def check(self, now_ns: int, steady_s: float) -> str:
        """Tell ROS time and the steady clock; why to stop, or empty. A timeout of 0 watches nothing."""
        if self._seen is None or self._seen[0] != now_ns:
            self._seen = (now_ns, steady_s)
            return ''
        silent = steady_s - self._seen[1]
        if not self._timeout_s or silent <= self._timeout_s:
            return ''
        return (
            f'the ROS clock has not advanced for {silent:.1f} s of wall clock, limit {self._timeout_s:.1f} s'
        )


class DeadmanSwitch:
    """A switch that must be held down: its newest message says so and is fresh. A timeout of 0: there is none."""

    def __init__(self, timeout_ns: int):
        self._timeout_ns = timeout_ns
        self._heard: tuple[bool, int] | None = None

    def put(self, pressed: bool, now_ns: int) -> None:
        """A message of the switch arrived."""
        self._heard = (pressed, now_ns)

    def forget(self) -> None:
        """The clock went back: what was heard on the old one counts no more."""
        self._heard = None

    def check(self, now_ns: int) -> str:
        """Why nothing may move, or empty."""
        if not self._timeout_ns:
            return ''
        if self._heard is None:
            return 'nothing from the dead-man switch yet'
        pressed, heard_ns = self._heard
        if not pressed:
            return 'the dead-man switch was released'
        silent = now_ns - heard_ns
        if silent <= self._timeout_ns:
            return ''
        return f'nothing from the dead-man switch for {silent / 1e6:.0f} ms, limit {self._timeout_ns / 1e6:.0f} ms'
