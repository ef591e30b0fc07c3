# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A model of ros2_control's joint trajectory controller: what it accepts, and what it then commands.

One model of the position-controlled JointTrajectoryController of ROS 2 Humble, Jazzy, Kilted and master; in what
they differ is a value, :class:`~dp_ros.simulation.controller_rules.Rules`, which also names the sources. The rules
that all of them share, with the functions of ``trajectory.cpp`` and ``joint_trajectory_controller.cpp`` that hold them:

- a new message replaces the old trajectory as a whole, at the next update (``topic_callback``: "always replace old
  msg with new one for now"; on master only with ``allow_trajectory_replacement: false``);
- a stamp in the past is sampled at now, overdue points are skipped without a blend (``Trajectory::sample``: the first
  segment with ``sample_time >= t0 && sample_time < t1``);
- a stamp of zero starts at the first update (``if (trajectory_start_time_.seconds() == 0.0) trajectory_start_time_ =
  sample_time``), so that a first point at time zero is a raw step;
- a stamp in the future drops the old trajectory at once and moves from the state before it to its first point
  ("current time hasn't reached traj time of the first point in the msg yet"); a state before without velocities gets
  zeros where the first point has some (``set_point_before_trajectory_msg``);
- positions alone are joined by lines, with velocities by a cubic, with accelerations too by a quintic
  (``interpolate_between_points``), and no limit is kept;
- after the last point its position is held ("whole animation has played out");
- a message is refused for the reasons of ``validate_trajectory_msg``: joints that are not exactly the controller's, no
  points, times that do not increase, sizes that do not fit, a stamp with which it "ends in the past", and a last
  velocity other than zero where that is not allowed. Values are not checked for being finite.

Deviations: stamps are integers instead of floating-point seconds; joints that wrap around, partial goals, velocities
without positions, tolerances, effort, speed scaling and deceleration on cancel are not modelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dp_ros.errors import TrajectoryRejected
from dp_ros.simulation.controller_rules import SIMULATOR, Rules
from dp_ros.simulation.controller_spline import State, between

Array = npt.NDArray[np.float64]

# ros2_control compares the last velocity with the float epsilon.
REST = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class _Trajectory:
    stamp_ns: int
    times_ns: npt.NDArray[np.int64]
    points: tuple[State, ...]

    def starting(self, stamp_ns: int) -> '_Trajectory':
        return replace(self, stamp_ns=stamp_ns)


class JointTrajectoryController:
    """One controller of one arm; call :meth:`update` once per control period.

    Args:
        joint_names: the controller's joints; all vectors are in this order.
        period_ns: control period.
        interpolate_from_desired_state, sample_ahead, allow_nonzero_velocity_at_trajectory_end: instead of the
            rules' own, if given.
        rules: the distribution to follow. The default commands the sample at ``now``, with which an action is in
            force at exactly the time that its chunk says.
    """

    def __init__(
        self,
        joint_names: Sequence[str],
        period_ns: int,
        *,
        interpolate_from_desired_state: bool | None = None,
        sample_ahead: bool | None = None,
        allow_nonzero_velocity_at_trajectory_end: bool | None = None,
        rules: Rules = SIMULATOR,
    ) -> None:
        given = {
            'interpolate_from_desired_state': interpolate_from_desired_state,
            'sample_ahead': sample_ahead,
            'allow_nonzero_velocity_at_trajectory_end': allow_nonzero_velocity_at_trajectory_end,
        }
        self.joint_names = tuple(joint_names)
        self.period_ns = period_ns
        self.rules = rules.with_parameters(**{k: v for k, v in given.items() if v is not None})
        self._ahead_ns = period_ns if self.rules.sample_ahead else 0
        self._trajectory: _Trajectory | None = None
        self._fresh: _Trajectory | None = None
        self._before: tuple[int, State] | None = None
        self._command: tuple[int, State] | None = None
        self._cursor_ns = 0
        self._holding = False

    def reset(self, measured: npt.ArrayLike) -> None:
        """Forget any trajectory and hold the measured position, as on activation."""
        self._trajectory = self._fresh = self._before = None
        self._holding = False
        self._command = (0, _at_rest(measured))

    def accept(
        self,
        now_ns: int,
        stamp_ns: int,
        joint_names: Sequence[str],
        times_ns: npt.ArrayLike,
        positions: npt.ArrayLike,
        velocities: npt.ArrayLike | None = None,
        accelerations: npt.ArrayLike | None = None,
    ) -> None:
        """Take a trajectory message; it replaces the present one at the next update.

        Args:
            now_ns: ROS time of receipt.
            stamp_ns: header stamp; 0 means "at the next update".
            joint_names: all of the controller's joints, in any order.
            times_ns: (N,) time from start of each point.
            positions: (N, A).
            velocities: (N, A), or None.
            accelerations: (N, A), or None; only beside velocities.

        Raises:
            TrajectoryRejected: for the reasons for which ros2_control refuses a message; the present
                trajectory goes on.
        """
        names = tuple(joint_names)
        times = np.array(times_ns, np.int64)
        fields = {'positions': positions, 'velocities': velocities, 'accelerations': accelerations}
        values = {k: None if v is None else np.array(v, np.float64) for k, v in fields.items()}
        self._validate(now_ns, stamp_ns, names, times, values)
        order = [names.index(n) for n in self.joint_names]
        columns = [None if v is None else v[:, order] for v in values.values()]
        points = tuple(
            State(*(None if c is None else c[i] for c in columns))  # type: ignore[arg-type]
            for i in range(len(times))
        )
        self._fresh = _Trajectory(stamp_ns, times, points)
        self._holding = False

    def update(
        self, now_ns: int, measured: npt.ArrayLike, measured_velocity: npt.ArrayLike | None = None
    ) -> tuple[Array, Array]:
        """Command for the period that starts now: positions (A,) and velocities (A,).

        Before the first trajectory the measured position of the reset, or else of the first update, is held.
        ``measured_velocity`` is for robots that have a velocity state interface.
        """
        if self._command is None:
            self._command = (now_ns, _at_rest(measured))
        _, state = self._command
        if self._fresh is not None:
            fresh, self._fresh = self._fresh, None
            if self.rules.allow_trajectory_replacement and self._blends():
                fresh = self._blended(fresh, now_ns)
            self._before = self._state_before(now_ns, measured, measured_velocity, fresh.points[0])
            self._trajectory = fresh if fresh.stamp_ns else fresh.starting(now_ns)
        if self._trajectory is not None:
            state = self._sample(self._trajectory, now_ns + self._ahead_ns) or state
            ended_ns = now_ns - self._trajectory.stamp_ns - int(self._trajectory.times_ns[-1])
            if not self._holding and 0 < self.rules.cmd_timeout_ns < ended_ns:
                hold = State(np.array(measured, np.float64))
                self._fresh = _Trajectory(0, np.zeros(1, np.int64), (hold,))
                self._holding = True
        self._command = (now_ns, state)
        self._cursor_ns = now_ns
        assert state.velocity is not None
        return state.position.copy(), state.velocity.copy()

    def _validate(
        self,
        now_ns: int,
        stamp_ns: int,
        names: tuple[str, ...],
        times: npt.NDArray[np.int64],
        values: dict[str, Array | None],
    ) -> None:
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
        for field, value in values.items():
            if value is not None and value.shape != (len(times), len(names)):
                raise TrajectoryRejected(
                    f'Mismatch between joint_names size ({len(names)}), {len(times)} points and '
                    f'{field} {value.shape}'
                )
        v = values['velocities']
        if v is None and values['accelerations'] is not None:
            raise TrajectoryRejected('accelerations without velocities are outside this model')
        end_ns = stamp_ns + int(times[-1])
        if stamp_ns and end_ns < now_ns:
            raise TrajectoryRejected(
                f'Received trajectory with non-zero start time ({stamp_ns * 1e-9:.6f}) that ends in the past '
                f'({end_ns * 1e-9:.6f})'
            )
        free_end = self.rules.allow_nonzero_velocity_at_trajectory_end
        if not free_end and v is not None and np.any(np.abs(v[-1]) > REST):
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

    def _state_before(
        self, now_ns: int, measured: npt.ArrayLike, velocity: npt.ArrayLike | None, first: State
    ) -> tuple[int, State]:
        """Where a trajectory whose first point is ``first`` starts from, and when that was."""
        if self.rules.interpolate_from_desired_state:
            assert self._command is not None
            at_ns, state = self._command
            return (now_ns if self.rules.desired_since_now else at_ns or now_ns), state.filled_like(first)
        speed = None if velocity is None else np.array(velocity, np.float64)
        return now_ns, State(np.array(measured, np.float64), speed).filled_like(first)

    def _blends(self) -> bool:
        """Whether master blends into what runs: "has_nontrivial_msg() && !rt_is_holding_"."""
        return self._trajectory is not None and len(self._trajectory.points) > 1 and not self._holding

    def _blended(self, new: _Trajectory, now_ns: int) -> _Trajectory:
        """Master's ``blend_with_active_trajectory`` where all joints are named: prefix, bridge, then the new one."""
        assert self._trajectory is not None
        old = self._trajectory
        # The cursor is the time of the last update: it moves on only after the blend.
        cursor = self._cursor_ns
        new_start = cursor + (new.stamp_ns - now_ns) if new.stamp_ns > now_ns else cursor
        bridge = self._sample(old, new_start)
        stamps = old.stamp_ns + old.times_ns
        kept = [i for i in range(len(stamps)) if cursor < stamps[i] < new_start]
        times, points = [int(stamps[i]) - cursor for i in kept], [old.points[i] for i in kept]
        shift = new_start - cursor
        # "drop if not strictly before first new point": a window whose first point is at 0 gets no bridge.
        if bridge is not None and new.times_ns[0] > 0:
            times.append(shift)
            points.append(bridge)
        return _Trajectory(
            0, np.concatenate([np.array(times, np.int64), new.times_ns + shift]), (*points, *new.points)
        )

    def _sample(self, trajectory: _Trajectory, at_ns: int) -> State | None:
        """The state at a time; None before the state before the trajectory."""
        assert self._before is not None
        since = at_ns - trajectory.stamp_ns
        points, times = trajectory.points, trajectory.times_ns
        before_ns, before = self._before
        if at_ns < before_ns:
            return None
        if since < times[0]:
            duration = int(times[0]) + trajectory.stamp_ns - before_ns
            return between(at_ns - before_ns, duration, before, points[0])
        if since >= times[-1]:
            return _at_rest(points[-1].position)
        i = int(np.searchsorted(times, since, side='right')) - 1
        return between(int(since - times[i]), int(times[i + 1] - times[i]), points[i], points[i + 1])


def _at_rest(position: npt.ArrayLike) -> State:
    at = np.array(position, np.float64)
    return State(at, np.zeros_like(at), np.zeros_like(at))
