# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a policy is asked in a simulated episode."""

from dataclasses import dataclass

from dp_ros.contract import Contract
from dp_ros.errors import GoalError
from dp_ros.observation.image import crop_resize
from dp_ros.policy.goal import Goal
from dp_ros.simulation.robot import SimulatedRobot

GOAL_CHOICES = ('instruction', 'image', 'none')


@dataclass(frozen=True)
class GoalChoice:
    """Which goal each episode has.

    Attributes:
        kind: of GOAL_CHOICES; None takes the first kind of the contract.
        instruction: in place of the task's own words.
    """

    kind: str | None = None
    instruction: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in (None, *GOAL_CHOICES):
            raise GoalError(f'the goal must be one of {GOAL_CHOICES}, got {self.kind!r}')
        if self.instruction is not None and self.kind not in (None, 'instruction'):
            raise GoalError(f'an instruction is given, and the goal shall be {self.kind!r}')

    def of(self, robot: SimulatedRobot, contract: Contract) -> Goal | None:
        """The goal of the episode that the robot has just begun.

        Raises:
            GoalError: the policy does not take this kind of goal, or the task has none.
        """
        kind = self.kind or ('instruction' if self.instruction else next(iter(contract.goals), 'none'))
        if kind == 'none':
            return None
        if kind not in contract.goals:
            raise GoalError(f'policy {contract.name!r} takes no goal {kind!r}; legal: {list(contract.goals)}')
        if kind == 'instruction':
            text = self.instruction or robot.instruction
            if text is None:
                raise GoalError('the task has no instruction of its own; give one, or another goal')
            return Goal(instruction=text)
        camera = contract.cameras[0]
        picture = robot.goal_image(camera.name)
        if picture is None:
            raise GoalError('the task shows no picture of its end; give an instruction, or another task')
        return Goal(image=crop_resize(picture, camera))
