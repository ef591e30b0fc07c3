# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Many closed-loop episodes, spread over processes, and what they add up to."""

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from dp_ros.contract.compare import RobotDescription, require_match
from dp_ros.errors import TaskError
from dp_ros.evaluation.closed_loop import Motion, run_episode
from dp_ros.evaluation.direct_motion import run_direct_episode
from dp_ros.evaluation.disturbance import Disturbance
from dp_ros.evaluation.goals import GoalChoice
from dp_ros.evaluation.record import EpisodeRecord
from dp_ros.evaluation.statistics import percentiles, wilson_interval
from dp_ros.policy.card import Measurement
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.config import ControlConfig
from dp_ros.policy.controller import Controller
from dp_ros.policy.modes import make_controller
from dp_ros.policy.policy import Policy
from dp_ros.policy.runtime import EAGER, use_backend
from dp_ros.simulation.disturbance import disturbable
from dp_ros.simulation.robot import SimulatedRobot, make_task, suite_tasks
from dp_ros.simulation.seeds import split_of


@dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """What one closed-loop evaluation runs.

    Attributes:
        checkpoint: directory.
        task: a task or a suite of dp_ros.simulation.
        control: how the policy runs; None takes the checkpoint's own.
        noise_seed: seed of the policy's noise in every episode is noise_seed + the episode's seed.
        motion: how chunks become commands.
        frame_every: keep a picture each so many control steps; 0 keeps none.
        goal: what the policy is asked.
        phrasing: 'known' or 'held_out': which paraphrases of a task's instruction are used, where it has several.
        disturbance: of every episode; None for none.
        backend: what computes the ticks (policy/runtime.py).
        threads: of the CPU in each process; 0 leaves them to the libraries.
    """

    checkpoint: Path
    task: str
    control: ControlConfig | None = None
    noise_seed: int = 0
    motion: Motion = field(default_factory=Motion)
    frame_every: int = 0
    goal: GoalChoice = field(default_factory=GoalChoice)
    phrasing: str = 'known'
    disturbance: Disturbance | None = None
    backend: str = EAGER
    threads: int = 0


class Runner:
    """A policy and the robot of its present task in one process, ready for episodes.

    Raises:
        CheckpointError, TaskError: what cannot be loaded or started.
        MismatchError: the checkpoint does not fit the task's robot.
    """

    def __init__(self, settings: RolloutSettings):
        policy = load_checkpoint(settings.checkpoint)
        self.settings = settings
        self.controller: Controller = make_controller(policy, control=settings.control)
        use_backend(self.controller, settings.backend, settings.checkpoint, settings.threads)
        self._tasks = suite_tasks(settings.task)
        self._task = self._tasks[0]
        self.robot = self._make(self._task)

    def episode(self, seed: int, task: str = '') -> EpisodeRecord:
        """Run one episode, of the suite's first task unless another is named.

        The result depends on the settings, the task and the seed alone.
        """
        settings, task = self.settings, task or self._tasks[0]
        if task != self._task:
            self.robot.close()
            self._task, self.robot = task, self._make(task)
        self.controller.seed = settings.noise_seed + seed
        if self.robot.direct:
            record = run_direct_episode(
                self.robot,
                self.controller,
                seed,
                settings.goal,
                settings.frame_every,
                settings.disturbance,
            )
        else:
            record = run_episode(
                self.robot,
                self.controller,
                seed,
                settings.motion,
                settings.frame_every,
                settings.goal,
                settings.disturbance,
            )
        return replace(record, task=task)

    def close(self) -> None:
        """Free the simulator."""
        self.robot.close()

    def _make(self, task: str) -> SimulatedRobot:
        robot = make_task(task)
        if self.settings.disturbance is not None:
            disturbable(robot, task)
        require_match(self.controller.policy.contract, RobotDescription.of_contract(robot.contract))
        if hasattr(robot, 'phrasing'):
            robot.phrasing = self.settings.phrasing
        return robot


def rollout(settings: RolloutSettings, seeds: Sequence[int], processes: int = 1) -> Iterator[EpisodeRecord]:
    """Episodes of the given seeds, in order; of a suite, one task after the other."""
    jobs = [(task, seed) for task in suite_tasks(settings.task) for seed in seeds]
    if processes == 1:
        runner = Runner(settings)
        try:
            for task, seed in jobs:
                yield runner.episode(seed, task)
        finally:
            runner.close()
        return
    with ProcessPoolExecutor(
        processes, mp_context=get_context('spawn'), initializer=_start, initargs=(settings,)
    ) as pool:
        try:
            yield from pool.map(_run, *zip(*jobs, strict=True))
        except BrokenProcessPool as error:
            raise TaskError('a rollout process ended by itself; its message stands above') from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def summary(settings: RolloutSettings, episodes: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """Rates with Wilson intervals, per-seed results, latency percentiles: plain data for JSON."""
    tasks = list(dict.fromkeys(e.task for e in episodes))
    by_task = {task: _rates([e for e in episodes if e.task == task]) for task in tasks}
    rates = _rates(episodes)
    if len(tasks) > 1:
        average = sum(r['success_rate'] for r in by_task.values()) / len(tasks)
        rates |= {'average_success_rate': average, 'tasks': by_task}
    stages = {stage for e in episodes for stage in e.latency_ms}
    described = asdict(settings)
    described['checkpoint'] = str(settings.checkpoint)
    return {
        **rates,
        **({'recovery': recovery(episodes)} if settings.disturbance else {}),
        'settings': described,
        'latency_ms': {
            stage: asdict(percentiles([ms for e in episodes for ms in e.latency_ms.get(stage, [])]))
            for stage in sorted(stages)
        },
        'seeds': [
            {
                **({'task': e.task} if len(tasks) > 1 else {}),
                'seed': e.seed,
                'steps': e.steps,
                'success': bool(e.success),
                'strict_success': bool(e.strict_success),
                'max_reward': float(e.max_reward),
                'success_s': _rounded(e.success_s),
                **({'disturbed_s': _rounded(e.disturbed_s)} if settings.disturbance else {}),
                **e.measures,
                'wall_s': round(e.wall_s, 3),
            }
            for e in episodes
        ],
    }


def measurement(settings: RolloutSettings, figures: dict[str, Any], policy: Policy) -> Measurement:
    """What the checkpoint's model card says of a rollout, from its settings and its :func:`summary`."""
    own, control = policy.config.control, settings.control or policy.config.control
    seeds = sorted({seed['seed'] for seed in figures['seeds']})
    changes = [f'{k} {v}' for k, v in asdict(control).items() if v != getattr(own, k)]
    changes += [f'goal {settings.goal.kind}'] if settings.goal.kind else []
    changes += ['held out words'] if settings.phrasing != 'known' else []
    changes += ['disturbed'] if settings.disturbance else []
    low, high = figures['success_interval']
    return Measurement(
        benchmark=settings.task,
        seeds=f'{seeds[0]} to {seeds[-1]} ({split_of(seeds[0])})',
        run_as=', '.join(changes) or 'as the checkpoint says',
        success=figures['success_rate'],
        interval=(low, high),
        episodes=figures['episodes'],
        per_action=control.evaluations_per_action(policy.contract.timing.action_horizon),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def recovery(episodes: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """Of the episodes whose object was moved: how many there are, how many succeeded, and how long they took to."""
    moved = [e for e in episodes if e.disturbed_s is not None]
    took_s = [
        e.success_s - e.disturbed_s for e in moved if e.success_s is not None and e.disturbed_s is not None
    ]
    return {
        'moved': len(moved),
        'recovered': len(took_s),
        'interval': list(wilson_interval(len(took_s), len(moved))),
        'seconds': asdict(percentiles(took_s)),
    }


def _rates(episodes: Sequence[EpisodeRecord]) -> dict[str, Any]:
    count = len(episodes)
    rates: dict[str, Any] = {'episodes': count}
    for name in episodes[0].measures if episodes else ():
        rates[f'mean_{name}'] = sum(e.measures[name] for e in episodes) / count
    for key, wins in (
        ('success', sum(e.success for e in episodes)),
        ('strict_success', sum(e.strict_success for e in episodes)),
    ):
        rates[f'{key}_rate'] = wins / count if count else 0.0
        rates[f'{key}_interval'] = list(wilson_interval(wins, count))
    return rates


_runner: Runner | None = None


def _start(settings: RolloutSettings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; a running episode ends first
    torch.set_num_threads(1)
    global _runner
    _runner = Runner(settings)


def _run(task: str, seed: int) -> EpisodeRecord:
    assert _runner is not None
    return _runner.episode(seed, task)
