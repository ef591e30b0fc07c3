# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""In which ways the joint trajectory controllers of the ROS 2 distributions differ.

Read in the source of ros2_controllers, ``joint_trajectory_controller/src``, at humble 2.54.0 (ad559d9c8), jazzy
4.42.1 (ed360c97d), kilted 5.17.0 (0f8eb14e1) and master 6.9.0+ (94e74de35), all of August 2026. Nothing here was run
against a real controller_manager. What all four share stands in
:mod:`dp_ros.simulation.joint_trajectory_controller`; a field below is one difference, with the lines that make it.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Rules:
    """One distribution's rules, and the parameters of the controller that change them.

    Attributes:
        name: what tables call it.
        sample_ahead: what is commanded at ``time``. Humble, the sample at now:
            ``sample(time, ..., state_desired_, ...)``. Later ones, "Sample setpoint for next control cycle":
            ``sample(traj_time_ + update_period_, ..., command_next_, ...)``.
        desired_since_now: the time of the state before a trajectory, where that is the last command. Humble:
            ``set_point_before_trajectory_msg(time, last_commanded_state_, ...)``. Later:
            ``set_point_before_trajectory_msg(last_commanded_time_, last_commanded_state_, ...)``, where
            ``last_commanded_time_ = time`` of the last update although its command was for ``time + period``, so
            that the first cycle goes from a state that stands one period too early.
        interpolate_from_desired_state: whether the state before a trajectory is the last command or the measured
            state. Parameter, default false; ``open_loop_control`` on humble (deprecated in jazzy, gone later).
        allow_nonzero_velocity_at_trajectory_end: parameter, ``default_value: true`` on humble and ``false`` later:
            "If false, the last velocity point has to be zero or the goal will be rejected".
        allow_trajectory_replacement: master only, ``default_value: true``: "When a new trajectory arrives while one
            is still executing, blend with the old one instead of hard-replacing it". In the code a stamp that is
            past starts at the present: ``new_start = (stamp > time) ? cursor + (stamp - time) * scaling : cursor``,
            against doc/trajectory.rst, by which past points are discarded. False there, as everywhere before:
            "always replace old msg with new one for now".
        cmd_timeout_ns: parameter, 0 is off: "Timeout is counted from the end of the trajectory (the last point)";
            then the measured position is held (``set_hold_position``).
    """

    name: str
    sample_ahead: bool = False
    desired_since_now: bool = False
    interpolate_from_desired_state: bool = False
    allow_nonzero_velocity_at_trajectory_end: bool = False
    allow_trajectory_replacement: bool = False
    cmd_timeout_ns: int = 0

    def with_parameters(self, **parameters: bool | int) -> 'Rules':
        """The same distribution with controller parameters other than its defaults."""
        return replace(self, **parameters)  # type: ignore[arg-type]


HUMBLE = Rules('humble', desired_since_now=True, allow_nonzero_velocity_at_trajectory_end=True)
JAZZY = Rules('jazzy', sample_ahead=True)
KILTED = Rules('kilted', sample_ahead=True)
MASTER = Rules('master', sample_ahead=True, allow_trajectory_replacement=True)

# The simulator's own: commands the sample at now, so that an action is in force at exactly the time that its chunk
# says, and refuses what any distribution would refuse.
SIMULATOR = Rules('simulator')
