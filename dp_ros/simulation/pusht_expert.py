# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Demonstrations of Push-T: one planned push after the other until the block covers its outline.

While a push is made what is commanded is off the plan by a noise that forgets itself within a second, so that the agent
is seen beside the plan; labels are the plan. The block then lies elsewhere than planned, and the next push is planned
from there: how to recover is in the data.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from dp_ros.data.episode import Episode
from dp_ros.errors import TaskError
from dp_ros.simulation.demonstration import ornstein_uhlenbeck
from dp_ros.simulation.pusht import PushTRobot
from dp_ros.simulation.pusht_planner import PlannerSettings, PushPlanner
from dp_ros.simulation.recording import Recording
from dp_ros.simulation.robot import EpisodeResult, SimulatedRobot

_NOISE_STREAM = 1


def expert_commands(robot: PushTRobot, planner: PushPlanner) -> Iterator[np.ndarray]:
    """Set points (2,) one a step, each push planned when its first one is asked for.

    Ends with the push that brings success, with the episode, or where no push helps.
    """
    while not robot.result().done:
        push = planner.plan(robot.joint_positions(), robot.block_pose())
        if push is None:
            return
        yield from push.commands


def run_expert(robot: PushTRobot, planner: PushPlanner, seed: int) -> EpisodeResult:
    """One undisturbed episode, without pictures."""
    robot.reset(seed)
    for command in expert_commands(robot, planner):
        robot.step(command)
    return robot.result()


class PushTDemonstrator:
    """Demonstrations of ``pusht``; the noise is in units of the arena, which has 512 a side."""

    default_noise = 5.0
    packages = ('gym-pusht', 'pymunk', 'shapely', 'opencv-python-headless', 'numpy')

    def __init__(self) -> None:
        self._planner = PushPlanner()

    def settings(self, noise: float) -> dict[str, Any]:
        """Noise and the planner's numbers."""
        planner = {**asdict(PlannerSettings()), 'angles': list(PlannerSettings.angles)}
        return {'max_noise': noise, 'planner': planner, 'kept': 'successes'}

    def kept(self, result: EpisodeResult) -> bool:
        """Successes."""
        return result.success

    def demonstrate(self, robot: SimulatedRobot, seed: int, noise: float) -> tuple[Episode, EpisodeResult]:
        """Push until success, under noise whose scale is drawn for each episode from 0 to ``noise``."""
        if not isinstance(robot, PushTRobot):
            raise TaskError(f'not a robot of Push-T: {type(robot).__name__}')
        robot.reset(seed)
        rng = np.random.default_rng([seed, _NOISE_STREAM])
        scale = float(rng.uniform(0.0, noise))
        # The last push ends after the episode's last step.
        added = ornstein_uhlenbeck(rng, 2 * robot.episode_steps, 2, scale)
        recording = Recording(robot)
        for label, off in zip(expert_commands(robot, self._planner), added, strict=False):
            recording.observe(label)
            robot.step(label + (0.0 if robot.result().done else off))  # the end is shown as it shall be
        result = robot.result()
        metadata = {
            'seed': str(seed),
            'noise': f'{scale:.6f}',
            'success': str(result.success),
            'max_coverage': f'{result.measures["max_coverage"]:.6f}',
        }
        return recording.episode(metadata), result
