# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""gym_aloha (two ViperX arms in MuJoCo) as a simulated robot.

Physics, reset and reward are the package's own, through ``gymnasium.make``. One thing is replaced: the dm_control
task's ``get_observation``, which would render three 640x480 pictures with shadows at every step (160 ms). Here a
picture is rendered when somebody asks for it. What is observed changes; what happens does not.

The environments end an episode as soon as reward 4 is reached; stepping goes on here to step 300, so that the
strict success can be judged, which every task defines for itself.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from dp_ros.contract import Contract
from dp_ros.errors import ContractError, TaskError
from dp_ros.share import share_path
from dp_ros.simulation.disturbance import another_place
from dp_ros.simulation.rendering import CameraRenderer, choose_backend
from dp_ros.simulation.robot import ContractRobot, EpisodeResult

choose_backend()

import gym_aloha  # noqa: E402, F401  registers the environments
import gymnasium  # noqa: E402
from dm_control.rl.control import PhysicsError  # noqa: E402
from gym_aloha import constants  # noqa: E402

ARM_JOINTS = 6
# In qpos and qvel each arm has six joints and two fingers that mirror each other; the first finger is reported.
_STATE_COLUMNS = np.r_[0:7, 8:15]
GRIPPER_COLUMNS = (6, 13)
# Finger positions (m) that the actuators accept: gym_aloha's model clips commands to this range.
GRIPPER_CLOSED_M, GRIPPER_OPEN_M = 0.021, 0.057
_SUCCESS_REWARD = 4
# The cube's place and speed in qpos and qvel, the square (m) on which resets put it, how far a disturbance moves it,
# and how near the middle of a part of an arm may be before it counts as in its hand.
_CUBE, _CUBE_SPEED = slice(16, 19), slice(16, 22)
_CUBE_SQUARE = np.array([0.0, 0.4]), np.array([0.2, 0.6])
_CUBE_MOVES_M, _CUBE_FREE_M = (0.03, 0.08), 0.07
_PICTURE = (480, 640)


class AlohaRobot(ContractRobot, ABC):
    """One of the package's tasks.

    Grippers are finger positions in m (the environment's 0..1 is converted here and nowhere else), all other
    joints rad. Not thread-safe: step and render from one thread.
    """

    environment_id: str
    contract_file: str
    binding = 'aloha_sim'
    direct = False
    instruction: str | None = None

    def __init__(self) -> None:
        self.contract = Contract.from_json(share_path('config', self.contract_file))
        if self.contract.joint_names != tuple(constants.JOINTS):
            raise ContractError(
                f'{self.contract_file}: joints must be {constants.JOINTS}, got {self.contract.joint_names}'
            )
        self.control_period_ns = round(constants.DT * 1e9)
        # The package's wrapper that checks spaces would complain about steps after reward 4.
        self._env = gymnasium.make(self.environment_id, disable_env_checker=True)
        self.episode_steps: int = self._env.spec.max_episode_steps
        inner: Any = self._env.unwrapped
        self._task = inner._env.task
        self.physics = inner._env.physics
        blank = np.zeros((*_PICTURE, 3), dtype=np.uint8)
        self._task.get_observation = lambda physics: {'images': {'top': blank}}
        self._renderers: dict[str, CameraRenderer] = {}
        # Left arm, right arm.
        self._geoms: tuple[frozenset[int], ...] = tuple(
            frozenset(self._geoms_of(prefix)) for prefix in ('vx300s_left/', 'vx300s_right/')
        )
        self._table: int = self.physics.model.name2id('table', 'geom')
        self._seed: int | None = None

    def reset(self, seed: int) -> None:
        """Start an episode; the seed places the objects, each on a square."""
        self._env.reset(seed=seed)
        self._seed, self._steps, self._max_reward, self._success, self._strict_success = (
            seed,
            0,
            0.0,
            False,
            False,
        )

    def joint_positions(self) -> np.ndarray:
        """Measured positions, (14,) float64, rad and m; a copy."""
        return self.physics.data.qpos[_STATE_COLUMNS].astype(np.float64)

    def joint_velocities(self) -> np.ndarray:
        """Measured velocities, (14,) float64, rad/s and m/s; a copy."""
        return self.physics.data.qvel[_STATE_COLUMNS].astype(np.float64)

    def vectors(self) -> dict[str, np.ndarray]:
        """None: only joints and pictures are observed."""
        return {}

    @abstractmethod
    def privileged(self) -> np.ndarray:
        """Positions of the objects' centres in the world, (3 a piece,) float64, m."""

    @abstractmethod
    def _strict(self) -> bool:
        """Whether the task's stricter condition holds now."""

    def render(self, camera: str) -> np.ndarray:
        """The camera's picture now, (480, 640, 3) uint8 RGB, a copy; :class:`TaskError` for unknown cameras."""
        if camera not in self._renderers:
            self._renderers[camera] = CameraRenderer(self.physics, camera, self.source_size(camera))
        return self._renderers[camera].render()

    def step(self, command: np.ndarray) -> None:
        """Hold the commanded positions (14,), rad and m, for 20 ms of physics."""
        if self._seed is None:
            raise TaskError('reset the robot before the first step')
        action = self.checked(command)
        for column in GRIPPER_COLUMNS:
            action[column] = constants.normalize_puppet_gripper_position(action[column])
        try:
            _, reward, _, _, _ = self._env.step(action)
        except PhysicsError as error:
            raise TaskError(
                f'the simulation diverged at step {self._steps} of seed {self._seed}: {error}'
            ) from error
        self._steps += 1
        if self._steps <= self.episode_steps:
            self._max_reward = max(self._max_reward, float(reward))
            self._success = self._max_reward >= _SUCCESS_REWARD
        if self._steps == self.episode_steps:
            self._strict_success = self._strict()

    def goal_image(self, camera: str) -> np.ndarray | None:
        """None: the task is always the same."""
        return None

    def result(self) -> EpisodeResult:
        """How the episode stands."""
        if self._seed is None:
            raise TaskError('reset the robot before asking for a result')
        done = self._steps >= self.episode_steps
        return EpisodeResult(
            self._seed, self._steps, self._max_reward, self._success, self._strict_success, done
        )

    def close(self) -> None:
        """Free the GL context."""
        self._renderers.clear()
        self.physics.free()
        self._env.close()

    def _geoms_of(self, prefix: str) -> list[int]:
        model = self.physics.model
        return [i for i in range(model.ngeom) if (model.id2name(i, 'geom') or '').startswith(prefix)]

    def _touching(self, geoms: set[int]) -> set[int]:
        """Geoms that touch one of these."""
        touching: set[int] = set()
        for contact in self.physics.data.contact:
            pair = {int(contact.geom1), int(contact.geom2)}
            if pair & geoms:
                touching |= pair - geoms
        return touching


class AlohaTransferCube(AlohaRobot):
    """``gym_aloha/AlohaTransferCube-v0``: the right hand lifts a cube and hands it to the left one.

    Strict success: at the last step only the left hand holds the cube.
    """

    environment_id = 'gym_aloha/AlohaTransferCube-v0'
    contract_file = 'contracts/aloha_transfer_cube.json'
    disturb_s = (0.4, 1.1)

    def __init__(self) -> None:
        super().__init__()
        self._box = {self.physics.model.name2id('red_box', 'geom')}

    def privileged(self) -> np.ndarray:
        """Position of the cube's centre in the world, (3,) float64, m."""
        return self.physics.data.qpos[_CUBE].astype(np.float64)

    def disturb(self, rng: np.random.Generator) -> bool:
        """Move the cube on its square; False where it does not lie free on the table."""
        data = self.physics.data
        near = min(np.linalg.norm(data.geom_xpos[i] - data.qpos[_CUBE]) for arm in self._geoms for i in arm)
        if near < _CUBE_FREE_M or self._touching(self._box) - {self._table}:
            return False
        low, high = _CUBE_SQUARE
        data.qpos[_CUBE][:2] = another_place(rng, data.qpos[_CUBE][:2], low, high, *_CUBE_MOVES_M)
        data.qvel[_CUBE_SPEED] = 0.0
        self.physics.forward()
        return True

    def _strict(self) -> bool:
        """The cube touches the left hand, and neither the right arm nor the table."""
        touching = self._touching(self._box)
        left, right = self._geoms
        return bool(touching & left) and not touching & right and self._table not in touching
