# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A model of ros2_control's joint trajectory controller: what it accepts, and what it then commands.

It follows the documented rules of the position-controlled JointTrajectoryController of ROS 2 Humble to
Kilted:

- a new message replaces the old trajectory as a whole, at the next update;
- a stamp in the past is sampled at now, overdue points are skipped; a stamp of zero starts at the next
  update;
- a stamp in the future drops the old trajectory at once and moves from the state before it to its first
  point;
- two points that both carry velocities are joined by a cubic, others by a line;
- after the last point its position is held with velocity zero;
- nothing is limited, and nothing is checked for being finite.

Deviations: stamps are integers instead of floating-point seconds, the state before a trajectory carries no
measured velocity unless ``interpolate_from_desired_state``, and partial goals, tolerances, effort and
accelerations are not modelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dp_ros.errors import TrajectoryRejected

Array = npt.NDArray[np.float64]

# ros2_control compares the last velocity with the float epsilon.
REST = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class _Trajectory:
    stamp_ns: int
    times_ns: npt.NDArray[np.int64]
    positions: Array
    velocities: Array | None


class JointTrajectoryController:
    """One controller of one arm; call :meth:`update` once per control period.

    Args:
        joint_names: the controller's joints; all vectors are in this order.
        period_ns: control period.
        interpolate_from_desired_state: start a trajectory of the future from the last command instead of from
            the measured state.
        sample_ahead: command the sample at ``now + period`` (Jazzy and later) instead of at ``now`` (Humble).
            With ``now``, an action is in force at exactly the time that its chunk says.
        allow_nonzero_velocity_at_trajectory_end: as in ros2_control (true on Humble, false later).
    """

    def __init__(
        self,
        joint_names: Sequence[str],
        period_ns: int,
        *,
        interpolate_from_desired_state: bool = False,
        sample_ahead: bool = False,
        allow_nonzero_velocity_at_trajectory_end: bool = False,
    ) -> None:
        self.joint_names = tuple(joint_names)
        self.period_ns = period_ns
        self._from_desired = interpolate_from_desired_state
        self._ahead_ns = period_ns if sample_ahead else 0
        self._nonzero_end = allow_nonzero_velocity_at_trajectory_end
        self._trajectory: _Trajectory | None = None
        self._fresh = False
        self._before: tuple[int, Array, Array | None] | None = None
        self._command: tuple[int, Array, Array] | None = None

    def reset(self, measured: npt.ArrayLike) -> None:
        """Forget any trajectory and hold the measured position, as on activation."""
        position = np.array(measured, np.float64)
        self._trajectory, self._before, self._fresh = None, None, False
        self._command = (0, position, np.zeros_like(position))

    def accept(
        self,
        now_ns: int,
        stamp_ns: int,
        joint_names: Sequence[str],
        times_ns: npt.ArrayLike,
        positions: npt.ArrayLike,
        velocities: npt.ArrayLike | None = None,
    ) -> None:
        """Take a trajectory message; it replaces the present one at the next update.

        Args:
            now_ns: ROS time of receipt.
            stamp_ns: header stamp; 0 means "at the next update".
            joint_names: all of the controller's joints, in any order.
            times_ns: (N,) time from start of each point.
            positions: (N, A).
            velocities: (N, A), or None.

        Raises:
            TrajectoryRejected: for the reasons for which ros2_control refuses a message; the present
                trajectory goes on.
        """
        names = tuple(joint_names)
        times = np.array(times_ns, np.int64)
        p = np.array(positions, np.float64)
        v = None if velocities is None else np.array(velocities, np.float64)
        if len(names) != len(self.joint_names):
            raise TrajectoryRejected(
                "Joints on incoming trajectory don't match the controller joints: "
                f'missing {[n for n in self.joint_names if n not in names]}, '
                f'unknown {[n for n in names if n not in self.joint_names]}'
            )
        for name in names:
            if name not in self.joint_names:
                raise TrajectoryRejected(
                    f"Incoming joint {name} doesn't match the controller's joints {self.joint_names}"
                )
        if len(set(names)) != len(names):
            raise TrajectoryRejected(f'Joints stand twice in {names}')
        if not times.size:
            raise TrajectoryRejected('Empty trajectory received')
        for field, value in (('positions', p), ('velocities', v)):
            if value is not None and value.shape != (len(times), len(names)):
                raise TrajectoryRejected(
                    f'Mismatch between joint_names size ({len(names)}), {len(times)} points and '
                    f'{field} {value.shape}'
                )
        end_ns = stamp_ns + int(times[-1])
        if stamp_ns and end_ns < now_ns:
            raise TrajectoryRejected(
                f'Received trajectory with non-zero start time ({stamp_ns * 1e-9:.6f}) that ends in the past '
                f'({end_ns * 1e-9:.6f})'
            )
        if not self._nonzero_end and v is not None and np.any(np.abs(v[-1]) > REST):
            worst = int(np.argmax(np.abs(v[-1])))
            raise TrajectoryRejected(
                f'Velocity of last trajectory point of joint {names[worst]} is not zero: {v[-1, worst]:.15f}'
            )
        wrong = np.flatnonzero(np.diff(times) <= 0)
        if wrong.size:
            i = int(wrong[0])
            raise TrajectoryRejected(
                f'Time between points {i} and {i + 1} is not strictly increasing, '
                f'it is {times[i] * 1e-9:.6f} and {times[i + 1] * 1e-9:.6f} respectively'
            )
        order = [names.index(n) for n in self.joint_names]
        self._trajectory = _Trajectory(stamp_ns, times, p[:, order], None if v is None else v[:, order])
        self._fresh = True

    def update(self, now_ns: int, measured: npt.ArrayLike) -> tuple[Array, Array]:
        """Command for the period that starts now: positions (A,) and velocities (A,).

        Before the first trajectory the measured position of the reset, or else of the first update, is held.
        """
        if self._command is None:
            position = np.array(measured, np.float64)
            self._command = (now_ns, position, np.zeros_like(position))
        at_ns = now_ns + self._ahead_ns
        _, position, velocity = self._command
        if self._trajectory is not None:
            if self._fresh:
                self._trajectory = self._started(self._trajectory, now_ns, measured)
                self._fresh = False
            position, velocity = self._sample(self._trajectory, at_ns) or (position, velocity)
        self._command = (at_ns, position, velocity)
        return position.copy(), velocity.copy()

    def _started(self, trajectory: _Trajectory, now_ns: int, measured: npt.ArrayLike) -> _Trajectory:
        assert self._command is not None
        if self._from_desired:
            self._before = (self._command[0] or now_ns, self._command[1], self._command[2])
        else:
            self._before = (now_ns, np.array(measured, np.float64), None)
        if trajectory.stamp_ns:
            return trajectory
        return _Trajectory(now_ns, trajectory.times_ns, trajectory.positions, trajectory.velocities)

    def _sample(self, trajectory: _Trajectory, at_ns: int) -> tuple[Array, Array] | None:
        assert self._before is not None
        since = at_ns - trajectory.stamp_ns
        p, v, times = trajectory.positions, trajectory.velocities, trajectory.times_ns
        before_ns, before_p, before_v = self._before
        if at_ns < before_ns:
            return None
        if since < times[0]:
            return _between(
                at_ns - before_ns,
                int(times[0]) + trajectory.stamp_ns - before_ns,
                (before_p, before_v),
                (p[0], None if v is None else v[0]),
            )
        if since >= times[-1]:
            return p[-1], np.zeros_like(p[-1])
        i = int(np.searchsorted(times, since, side='right')) - 1
        return _between(
            int(since - times[i]),
            int(times[i + 1] - times[i]),
            (p[i], None if v is None else v[i]),
            (p[i + 1], None if v is None else v[i + 1]),
        )


def _between(
    since_ns: int, duration_ns: int, a: tuple[Array, Array | None], b: tuple[Array, Array | None]
) -> tuple[Array, Array]:
    """Evaluate ros2_control's spline between two states: coefficients in powers of seconds."""
    (p0, v0), (p1, v1) = a, b
    t, duration = since_ns * 1e-9, duration_ns * 1e-9
    if v0 is None or v1 is None:
        slope = (p1 - p0) / duration
        return p0 + slope * t, slope
    c2 = (3.0 * (p1 - p0) / duration - 2.0 * v0 - v1) / duration
    c3 = (2.0 * (p0 - p1) / duration + v0 + v1) / duration**2
    return p0 + t * (v0 + t * (c2 + t * c3)), v0 + t * (2.0 * c2 + 3.0 * t * c3)
