# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Moving the object, or the goal, while the robot is at work: which tasks can, and when."""

from typing import Protocol, runtime_checkable

import numpy as np

from dp_ros.errors import TaskError
from dp_ros.simulation.robot import SimulatedRobot


@runtime_checkable
class Disturbable(Protocol):
    """A simulated robot whose task can be disturbed.

    Attributes:
        disturb_s: from when to when in an episode, in seconds: late enough that the robot has set out, early enough
            that it has hardly reached the object.
    """

    disturb_s: tuple[float, float]

    def disturb(self, rng: np.random.Generator) -> bool:
        """Move the object to another place where an episode may begin with it, at least a few centimetres away.

        Returns:
            False where nothing was moved, because the robot is at the object already.
        """
        ...


def disturbable(robot: SimulatedRobot, task: str) -> Disturbable:
    """The robot as one that can be disturbed; :class:`TaskError` where its task cannot."""
    able = isinstance(robot, Disturbable) and robot.disturb_s[1] > 0
    if not able:
        raise TaskError(
            f'task {task!r} cannot be disturbed: nothing in it may be moved during an episode; legal: '
            "'aloha_transfer_cube', and push-v3, pick-place-v3 and reach-v3 of Meta-World"
        )
    assert isinstance(robot, Disturbable)
    return robot


def another_place(
    rng: np.random.Generator, now: np.ndarray, low: np.ndarray, high: np.ndarray, least: float, most: float
) -> np.ndarray:
    """A place in a box that is between ``least`` and ``most`` metres away from ``now``, evenly distributed there."""
    for _ in range(10_000):
        place = rng.uniform(low, high)
        if least <= np.linalg.norm(place - now) <= most:
            return place
    raise TaskError(f'no place between {low} and {high} is {least} to {most} m away from {now}')
