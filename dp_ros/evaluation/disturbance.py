# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""When an episode is disturbed, and how."""

from dataclasses import dataclass

import numpy as np

from dp_ros.errors import TaskError
from dp_ros.simulation.disturbance import Disturbable, disturbable
from dp_ros.simulation.robot import SimulatedRobot

# Of the generators that follow from a seed, the one of disturbances.
_STREAM = 7_919


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """The object is moved once in every episode. Moment and place follow from the episode's seed alone.

    Attributes:
        at_s: seconds after the episode's beginning; None draws the moment from the task's own range.
    """

    at_s: float | None = None

    def __post_init__(self) -> None:
        if self.at_s is not None and not 0.0 <= self.at_s < float('inf'):
            raise TaskError(f'a disturbance comes at least 0 s after the beginning, got {self.at_s}')

    def of(self, robot: SimulatedRobot, seed: int, task: str = '') -> 'PlannedDisturbance':
        """The disturbance of an episode; :class:`TaskError` where the task has none, or ends before it."""
        able = disturbable(robot, task or robot.contract.name)
        rng = np.random.default_rng([_STREAM, seed])
        drawn_s = rng.uniform(*able.disturb_s)
        step = round((drawn_s if self.at_s is None else self.at_s) * 1e9 / robot.control_period_ns)
        if step >= robot.episode_steps:
            length_s = robot.episode_steps * robot.control_period_ns * 1e-9
            raise TaskError(f'the disturbance comes at {self.at_s:g} s, the episode ends at {length_s:g} s')
        return PlannedDisturbance(able, step, rng)


@dataclass(frozen=True)
class PlannedDisturbance:
    """Of one episode: before control step ``step`` is observed, the object moves."""

    robot: Disturbable
    step: int
    rng: np.random.Generator

    def due(self, step: int) -> bool:
        """Do it if it is time; True if something was moved."""
        return step == self.step and self.robot.disturb(self.rng)
