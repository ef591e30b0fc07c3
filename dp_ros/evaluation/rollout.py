# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Many closed-loop episodes, spread over processes, and what they add up to."""

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from dp_ros.contract.compare import RobotDescription, require_match
from dp_ros.errors import TaskError
from dp_ros.evaluation.closed_loop import Motion, run_episode
from dp_ros.evaluation.record import EpisodeRecord
from dp_ros.evaluation.statistics import percentiles, wilson_interval
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.config import ControlConfig
from dp_ros.policy.streaming import Controller, make_controller
from dp_ros.simulation.robot import SimulatedRobot, make_task


@dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """What one closed-loop evaluation runs.

    Attributes:
        checkpoint: directory.
        task: of dp_ros.simulation.
        control: how the policy runs; None takes the checkpoint's own.
        noise_seed: seed of the policy's noise in every episode is noise_seed + the episode's seed.
        motion: how chunks become commands.
        frame_every: keep a picture each so many control steps; 0 keeps none.
    """

    checkpoint: Path
    task: str
    control: ControlConfig | None = None
    noise_seed: int = 0
    motion: Motion = field(default_factory=Motion)
    frame_every: int = 0


class Runner:
    """A robot and a policy in one process, ready for episodes.

    Raises:
        CheckpointError, TaskError: what cannot be loaded or started.
        MismatchError: the checkpoint does not fit the task's robot.
    """

    def __init__(self, settings: RolloutSettings):
        policy = load_checkpoint(settings.checkpoint)
        self.settings = settings
        self.robot: SimulatedRobot = make_task(settings.task)
        require_match(policy.contract, RobotDescription.of_contract(self.robot.contract))
        self.controller: Controller = make_controller(policy, control=settings.control)

    def episode(self, seed: int) -> EpisodeRecord:
        """Run one episode; the result depends on the settings and the seed alone."""
        self.controller.seed = self.settings.noise_seed + seed
        return run_episode(self.robot, self.controller, seed, self.settings.motion, self.settings.frame_every)

    def close(self) -> None:
        """Free the simulator."""
        self.robot.close()


def rollout(settings: RolloutSettings, seeds: Sequence[int], processes: int = 1) -> Iterator[EpisodeRecord]:
    """Episodes of the given seeds, in order."""
    if processes == 1:
        runner = Runner(settings)
        try:
            for seed in seeds:
                yield runner.episode(seed)
        finally:
            runner.close()
        return
    with ProcessPoolExecutor(
        processes, mp_context=get_context('spawn'), initializer=_start, initargs=(settings,)
    ) as pool:
        try:
            yield from pool.map(_run, seeds)
        except BrokenProcessPool as error:
            raise TaskError('a rollout process ended by itself; its message stands above') from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def summary(settings: RolloutSettings, episodes: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """Rates with Wilson intervals, per-seed results, latency percentiles: plain data for JSON."""
    count = len(episodes)
    rates: dict[str, Any] = {}
    for key, wins in (
        ('success', sum(e.success for e in episodes)),
        ('strict_success', sum(e.strict_success for e in episodes)),
    ):
        rates[f'{key}_rate'] = wins / count if count else 0.0
        rates[f'{key}_interval'] = list(wilson_interval(wins, count))
    stages = {stage for e in episodes for stage in e.latency_ms}
    described = asdict(settings)
    described['checkpoint'] = str(settings.checkpoint)
    return {
        'episodes': count,
        **rates,
        'settings': described,
        'latency_ms': {
            stage: asdict(percentiles([ms for e in episodes for ms in e.latency_ms.get(stage, [])]))
            for stage in sorted(stages)
        },
        'seeds': [
            {
                'seed': e.seed,
                'success': bool(e.success),
                'strict_success': bool(e.strict_success),
                'max_reward': float(e.max_reward),
                'wall_s': round(e.wall_s, 3),
            }
            for e in episodes
        ],
    }


_runner: Runner | None = None


def _start(settings: RolloutSettings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; a running episode ends first
    torch.set_num_threads(1)
    global _runner
    _runner = Runner(settings)


def _run(seed: int) -> EpisodeRecord:
    assert _runner is not None
    return _runner.episode(seed)
