# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What every simulated robot offers, and the list of tasks by name."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dp_ros.contract import Contract
from dp_ros.errors import TaskError


@dataclass(frozen=True)
class EpisodeResult:
    """How an episode stands.

    Attributes:
        seed: the seed of the reset.
        steps: control steps made since the reset.
        max_reward: the largest reward of the environment so far.
        success: the environment's own success was reached within the episode's steps.
        strict_success: the task's stricter condition holds at the last step of the episode; False before it.
        done: the episode's last step was made; later steps change nothing above but ``steps``.
    """

    seed: int
    steps: int
    max_reward: float
    success: bool
    strict_success: bool
    done: bool


class SimulatedRobot(Protocol):
    """A robot in a simulator: joints in SI units, in the order of its contract, cameras rendered on demand.

    Attributes:
        contract: what a checkpoint for this robot promises.
        control_period_ns: simulated time of one :meth:`step`.
        episode_steps: control steps of an episode.
        binding: name of the shipped binding that describes the robot as a site: its topics and motion limits.
    """

    contract: Contract
    control_period_ns: int
    episode_steps: int
    binding: str

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Joint names, in the order of every vector below."""
        ...

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Cameras that :meth:`render` knows."""
        ...

    def reset(self, seed: int) -> None:
        """Start an episode; equal seeds give equal episodes."""
        ...

    def joint_positions(self) -> np.ndarray:
        """Measured positions, (A,) float64, rad or m; a copy."""
        ...

    def joint_velocities(self) -> np.ndarray:
        """Measured velocities, (A,) float64, rad/s or m/s; a copy."""
        ...

    def vectors(self) -> dict[str, np.ndarray]:
        """The contract's further vectors now, name to (dim,) float64; copies."""
        ...

    def render(self, camera: str) -> np.ndarray:
        """The camera's picture now, (H, W, 3) uint8 RGB, of the contract's ``source_size``; a copy."""
        ...

    def step(self, command: np.ndarray) -> None:
        """Hold the commanded positions (A,), rad or m, for one control period."""
        ...

    def privileged(self) -> np.ndarray:
        """What no camera or joint tells, (P,) float64 (here: the object's position in m); for training only."""
        ...

    def result(self) -> EpisodeResult:
        """How the episode stands."""
        ...

    def close(self) -> None:
        """Free the renderer; the robot cannot be used afterwards."""
        ...


# Task name to (module, class): the simulator is imported only when one of its tasks is made.
TASKS: dict[str, tuple[str, str]] = {
    'aloha_transfer_cube': ('dp_ros.simulation.aloha', 'AlohaTransferCube'),
}


def make_task(name: str) -> SimulatedRobot:
    """Build the robot of a task; :class:`TaskError` for an unknown name or a simulator that cannot start."""
    if name not in TASKS:
        raise TaskError(f'unknown task {name!r}; legal: {sorted(TASKS)}')
    module, attribute = TASKS[name]
    try:
        factory: Callable[[], SimulatedRobot] = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise TaskError(f'task {name!r} needs the simulator (pip install "dp_ros[sim]"): {error}') from error
    return factory()
