# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What every simulated robot offers, and the list of tasks by name."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.errors import ContractError, TaskError
from dp_ros.simulation.metaworld_tasks import MT10, paraphrases


@dataclass(frozen=True)
class EpisodeResult:
    """How an episode stands.

    Attributes:
        seed: the seed of the reset.
        steps: control steps made since the reset.
        max_reward: the largest reward of the environment so far.
        success: the environment's own success was reached within the episode's steps.
        strict_success: the task's stricter condition holds at the last step of the episode; False before it.
        done: the episode's last step was made, or it ended early with success where the benchmark does so; later
            steps change nothing above but ``steps``.
        measures: what else the benchmark reports of an episode, name to number.
    """

    seed: int
    steps: int
    max_reward: float
    success: bool
    strict_success: bool
    done: bool
    measures: dict[str, float] = field(default_factory=dict)


class SimulatedRobot(Protocol):
    """A robot in a simulator: joints in SI units, in the order of its contract, cameras rendered on demand.

    Attributes:
        contract: what a checkpoint for this robot promises.
        control_period_ns: simulated time of one :meth:`step`.
        episode_steps: control steps of an episode.
        direct: a benchmark that takes set points as they are: chunks reach it without motion plan and limits, and it
            has no binding. One control period is one period of its contract.
        binding: name of the shipped binding that describes the robot as a site: its topics and motion limits; empty
            for a direct one.
        instruction: what this episode is about, in words; None where the task has no words. Set by :meth:`reset`.
    """

    contract: Contract
    control_period_ns: int
    episode_steps: int
    direct: bool
    binding: str
    instruction: str | None

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

    def goal_image(self, camera: str) -> np.ndarray | None:
        """What this episode's end looks like, as :meth:`render` gives it; None where the task shows no such picture."""
        ...

    def result(self) -> EpisodeResult:
        """How the episode stands."""
        ...

    def close(self) -> None:
        """Free the renderer; the robot cannot be used afterwards."""
        ...


class ContractRobot:
    """What follows from a robot's contract alone; robots build on it.

    Attributes:
        contract: the robot's.
    """

    contract: Contract

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Joint names, in the order of every vector."""
        return self.contract.joint_names

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Cameras that ``render`` knows."""
        return tuple(c.name for c in self.contract.cameras)

    def source_size(self, camera: str) -> tuple[int, int]:
        """(height, width) of a camera's pictures as they are rendered; :class:`TaskError` for unknown cameras."""
        sizes = {c.name: c.source_size for c in self.contract.cameras}
        if camera not in sizes:
            raise TaskError(f'no camera {camera!r}; legal: {sorted(sizes)}')
        return sizes[camera]

    def checked(self, command: np.ndarray) -> np.ndarray:
        """A copy of a command (A,) as float64; :class:`ContractError` for another shape or what is not finite."""
        copy = np.array(command, dtype=np.float64)
        if copy.shape != (len(self.joint_names),) or not np.isfinite(copy).all():
            raise ContractError(f'command must be {len(self.joint_names)} finite positions, got {command!r}')
        return copy


class Demonstrator(Protocol):
    """Records demonstrations of a task with its scripted expert, whatever kind of expert that is.

    Attributes:
        default_noise: largest scale of the noise on what is executed; its unit is the demonstrator's own.
        packages: installed packages on which the episodes depend; the store records their versions.
    """

    default_noise: float
    packages: tuple[str, ...]

    def settings(self, noise: float) -> dict[str, Any]:
        """Everything that decides the episodes beside task and seed, as JSON can say it."""
        ...

    def kept(self, result: EpisodeResult) -> bool:
        """Whether an episode that ended so is good enough to learn from."""
        ...

    def demonstrate(self, robot: SimulatedRobot, seed: int, noise: float) -> tuple[Episode, EpisodeResult]:
        """Run and record the episode of a seed, under noise that depends on the seed; labels are free of it."""
        ...


@dataclass(frozen=True)
class Task:
    """Where a task's classes are; they are imported only when they are needed.

    Attributes:
        robot: 'module:class' of its SimulatedRobot.
        demonstrator: 'module:class' of its Demonstrator (demonstration.py).
        extra: of the package; brings the simulator.
        arguments: of the robot's class.
    """

    robot: str
    demonstrator: str
    extra: str = 'sim'
    arguments: tuple[Any, ...] = ()


def _metaworld(name: str, state: bool) -> Task:
    module = 'dp_ros.simulation.metaworld'
    return Task(
        f'{module}:MetaWorldRobot', f'{module}_expert:MetaWorldDemonstrator', 'metaworld', (name, state)
    )


TASKS: dict[str, Task] = {
    'aloha_transfer_cube': Task(
        'dp_ros.simulation.aloha:AlohaTransferCube',
        'dp_ros.simulation.demonstration:TransferCubeDemonstrator',
    ),
    'aloha_insertion': Task(
        'dp_ros.simulation.aloha_insertion:AlohaInsertion',
        'dp_ros.simulation.demonstration:InsertionDemonstrator',
    ),
    **{
        name: Task(
            'dp_ros.simulation.pusht:PushTRobot',
            'dp_ros.simulation.pusht_expert:PushTDemonstrator',
            'pusht',
            (name == 'pusht-state',),
        )
        for name in ('pusht', 'pusht-state')
    },
    **{f'metaworld/{name}': _metaworld(name, False) for name in paraphrases()},
    **{f'metaworld/{name}-state': _metaworld(name, True) for name in paraphrases()},
}
SUITES: dict[str, tuple[str, ...]] = {
    f'metaworld/{suite}{variant}': tuple(f'metaworld/{name}{variant}' for name in names)
    for suite, names in (('mt10', MT10), ('mt50', tuple(paraphrases())))
    for variant in ('', '-state')
}


def suite_tasks(name: str) -> tuple[str, ...]:
    """The tasks of a suite; a task is a suite of one. :class:`TaskError` for an unknown name."""
    if name not in TASKS and name not in SUITES:
        raise TaskError(f'unknown task {name!r}; legal: {task_names()}')
    return SUITES.get(name, (name,))


def task_names() -> str:
    """Suites and tasks as a list for people; the 50 tasks of Meta-World as one entry."""
    plain = [name for name in TASKS if '/' not in name]
    named = ', '.join(map(repr, [*sorted(plain), *sorted(SUITES)]))
    return f"{named}, 'metaworld/NAME' and 'metaworld/NAME-state' (reach-v3, ...)"


def make_task(name: str) -> SimulatedRobot:
    """Build the robot of a task; :class:`TaskError` for an unknown name or a simulator that cannot start."""
    task = _task(name)
    robot: SimulatedRobot = _imported(name, task.robot)(*task.arguments)
    return robot


def make_demonstrator(name: str) -> Demonstrator:
    """What records demonstrations of a task; :class:`TaskError` as from :func:`make_task`."""
    demonstrator: Demonstrator = _imported(name, _task(name).demonstrator)()
    return demonstrator


def _task(name: str) -> Task:
    if name not in TASKS:
        raise TaskError(f'unknown task {name!r}; legal: {task_names()}')
    return TASKS[name]


def _imported(name: str, where: str) -> Callable[..., Any]:
    module, attribute = where.split(':')
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise TaskError(
            f'task {name!r} needs its simulator (pip install "dp_ros[{TASKS[name].extra}]"): {error}'
        ) from error
    return found
