# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The robot of the fault tests: a joint trajectory controller per arm, and joints that lag behind its commands."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dp_ros.contract import Embodiment
from dp_ros.errors import TrajectoryRejected
from dp_ros.messages.trajectory import Trajectory
from dp_ros.simulation.joint_trajectory_controller import JointTrajectoryController

Array = npt.NDArray[np.float64]

CONTROL_NS = 5_000_000
LAG_S = 0.05
# Distance from the command, rad or m, that counts as none: a start from the measured pose steps by as much.
SETTLED = 1e-5


@dataclass(frozen=True, eq=False)
class Trace:
    """What the controllers commanded: times (N,) int64 each control period, positions and velocities (N, A)."""

    times_ns: npt.NDArray[np.int64]
    positions: Array
    velocities: Array


class FaultRobot:
    """Controllers and joints of all arms, in the embodiment's order; time is given from outside.

    Attributes:
        measured: (A,) where the joints are.
        blocked: columns that do not follow their commands.
        rejected: windows that a controller refused, and the last reason.
    """

    def __init__(self, embodiment: Embodiment):
        self._slices = embodiment.slices
        self._controllers = {
            arm.name: JointTrajectoryController(
                arm.joint_names, CONTROL_NS, interpolate_from_desired_state=True
            )
            for arm in embodiment.arms
        }
        self._width = len(embodiment.joint_names)
        self.blocked: set[int] = set()
        self.rejected, self.rejection = 0, ''
        self.place(np.zeros(self._width))

    def place(self, position: npt.ArrayLike) -> None:
        """Stand at (A,), with nothing commanded and an empty trace."""
        self.measured = np.array(position, np.float64)
        for arm, controller in self._controllers.items():
            controller.reset(self.measured[self._slices[arm]])
        self.velocity = np.zeros(self._width)
        self.forget()

    def forget(self) -> None:
        """Begin a new trace; what is commanded goes on."""
        self._times: list[int] = []
        self._positions: list[Array] = []
        self._velocities: list[Array] = []

    def accept(self, arm: str, now_ns: int, window: Trajectory) -> None:
        """A message on the topic of one arm's controller; what ros2_control refuses is counted."""
        try:
            self._controllers[arm].accept(
                now_ns,
                window.stamp_ns,
                window.joint_names,
                window.times_ns,
                window.positions,
                window.velocities,
            )
        except TrajectoryRejected as error:
            self.rejected += 1
            self.rejection = f'{arm}: {error}'

    def advance(self, now_ns: int, until_ns: int) -> None:
        """Control periods from ``now_ns`` up to, not including, ``until_ns``."""
        gain = 1.0 - np.exp(-CONTROL_NS * 1e-9 / LAG_S)
        for stamp_ns in range(now_ns, until_ns, CONTROL_NS):
            command, velocity = np.empty(self._width), np.empty(self._width)
            for arm, controller in self._controllers.items():
                columns = self._slices[arm]
                command[columns], velocity[columns] = controller.update(stamp_ns, self.measured[columns])
            self._times.append(stamp_ns)
            self._positions.append(command)
            self._velocities.append(velocity)
            step = gain * (command - self.measured)
            step[list(self.blocked)] = 0.0
            self.velocity = step / (CONTROL_NS * 1e-9)
            self.measured = self.measured + step

    @property
    def settled(self) -> bool:
        """Nothing moves, and every joint is where it was sent."""
        return self.resting and (
            not self._positions or bool(np.all(np.abs(self.measured - self._positions[-1]) < SETTLED))
        )

    @property
    def resting(self) -> bool:
        """Nothing moves by command."""
        return not self._velocities or not np.any(self._velocities[-1])

    def trace(self) -> Trace:
        """Everything commanded since the trace began."""
        shape = (len(self._times), self._width)
        return Trace(
            np.array(self._times, np.int64),
            np.array(self._positions).reshape(shape),
            np.array(self._velocities).reshape(shape),
        )
