# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Push-T (gym_pusht 0.1.8) as a simulated robot: a disc pushes a T-shaped block onto its outline.

Physics, resets, pictures, reward and success are the package's own, through ``gymnasium.make``. Lengths are in the
environment's unit, of which the square arena has 512 a side. The environment takes absolute positions that a
controller of its own approaches, so that a command is its action as it is.

The environment ends an episode when the block covers more than 95 % of the outline. Its reward is the coverage over
0.95, at most 1; what papers report as the score of Push-T is the largest reward of an episode.
"""

import os
from typing import Any

import numpy as np

from dp_ros.contract import Contract
from dp_ros.errors import TaskError
from dp_ros.share import share_path
from dp_ros.simulation.robot import ContractRobot, EpisodeResult

# Pictures are drawn into memory; without this SDL would look for a display.
os.environ.setdefault('SDL_VIDEODRIVER', 'dummy')
os.environ.setdefault('PYGAME_HIDE_SUPPORT_PROMPT', '1')

import gym_pusht  # noqa: F401  registers the environment
import gymnasium

ARENA = 512.0
CAMERA = 'top'


class PushTRobot(ContractRobot):
    """``gym_pusht/PushT-v0``. Not thread-safe: step and render from one thread.

    Joints: agent_x and agent_y, in the environment's unit; x to the right and y downwards in the picture.

    Args:
        state: no camera, but what :meth:`privileged` tells as the vector 'state'.
    """

    environment_id = 'gym_pusht/PushT-v0'
    direct = True
    binding = ''
    instruction: str | None = None

    def __init__(self, state: bool = False) -> None:
        name = 'pusht_state' if state else 'pusht'
        self.contract = Contract.from_json(share_path('config', 'contracts', f'{name}.json'))
        self._state = state
        self._env = gymnasium.make(self.environment_id, obs_type='state', disable_env_checker=True)
        self.env: Any = self._env.unwrapped
        self.control_period_ns = round(1e9 / self.env.control_hz)
        spec: Any = self._env.spec
        self.episode_steps: int = spec.max_episode_steps
        self._seed: int | None = None

    def reset(self, seed: int) -> None:
        """Start an episode; the seed places the agent and the block."""
        self._env.reset(seed=seed)
        self._seed, self._steps, self._success = seed, 0, False
        self._max_reward = self._max_coverage = 0.0

    def joint_positions(self) -> np.ndarray:
        """Where the agent is, (2,) float64; a copy."""
        return np.array(self.env.agent.position, dtype=np.float64)

    def joint_velocities(self) -> np.ndarray:
        """Its velocity, (2,) float64, units/s; a copy."""
        return np.array(self.env.agent.velocity, dtype=np.float64)

    def vectors(self) -> dict[str, np.ndarray]:
        """The state, where the contract asks for it."""
        return {'state': self.privileged()} if self._state else {}

    def privileged(self) -> np.ndarray:
        """The block: cosine and sine of its angle, and its eight corners x, y; (18,) float64."""
        block = self.env.block
        # Not block.shapes: that is a set, in no order.
        corners = [block.local_to_world(v) for shape in self.env._block_shapes for v in shape.get_vertices()]
        return np.concatenate([[np.cos(block.angle), np.sin(block.angle)], np.ravel(corners)])

    def block_pose(self) -> np.ndarray:
        """Position of the block's origin and its angle in rad, (3,) float64."""
        return np.array([*self.env.block.position, self.env.block.angle], dtype=np.float64)

    def render(self, camera: str) -> np.ndarray:
        """The environment's own observation, (96, 96, 3) uint8 RGB; :class:`TaskError` for unknown cameras."""
        self.source_size(camera)  # refuses unknown ones; the environment draws this one only
        return np.array(self.env._render())

    def step(self, command: np.ndarray) -> None:
        """Command a position (2,), within the arena, for 0.1 s of physics."""
        if self._seed is None:
            raise TaskError('reset the robot before the first step')
        action = self.checked(command)
        _, reward, _, _, info = self._env.step(np.clip(action, 0.0, ARENA))
        if not self.result().done:
            self._max_reward = max(self._max_reward, float(reward))
            self._max_coverage = max(self._max_coverage, float(info['coverage']))
            self._success = bool(info['is_success'])
        self._steps += 1

    def goal_image(self, camera: str) -> np.ndarray | None:
        """None: the outline is in every picture."""
        return None

    def result(self) -> EpisodeResult:
        """How the episode stands; the task has no stricter success than its own."""
        if self._seed is None:
            raise TaskError('reset the robot before asking for a result')
        return EpisodeResult(
            seed=self._seed,
            steps=self._steps,
            max_reward=self._max_reward,
            success=self._success,
            strict_success=self._success,
            done=self._success or self._steps >= self.episode_steps,
            measures={'max_coverage': self._max_coverage},
        )

    def close(self) -> None:
        """Nothing is held that the interpreter does not free."""
        self._env.close()
