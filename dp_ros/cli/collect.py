# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros collect``: demonstrations of a simulated task by its scripted expert, into an episode store.

Seeds are tried in increasing order and episodes stand in the store in that order, whatever the number of
processes; so the store's last seed tells where to go on, and the same command continues after a stop.
"""

import argparse
import importlib.metadata
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import ConfigError, StoreError, TaskError
from dp_ros.simulation.demonstration import demonstrate
from dp_ros.simulation.expert import ExpertSettings, TransferCubeExpert
from dp_ros.simulation.robot import TASKS, EpisodeResult, SimulatedRobot, make_task

# Test seeds lie below 1000 and validation seeds from 10000: demonstrations must never meet them.
FIRST_TRAINING_SEED = 100_000
_VERSIONED = ('gym-aloha', 'mujoco', 'dm_control', 'numpy')
# With fewer successes than this after so many tries something is broken; do not run for hours.
_HOPELESS_TRIES, _HOPELESS_SHARE = 40, 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument('--task', default='aloha_transfer_cube', help=f'one of {sorted(TASKS)}')
    parser.add_argument(
        '--episodes', type=int, default=300, help='successful episodes that the store shall hold'
    )
    parser.add_argument(
        '--out', type=Path, required=True, help='directory of the store; an old one is continued'
    )
    parser.add_argument('--processes', type=int, default=os.cpu_count() or 1, help='simulators side by side')
    parser.add_argument('--first-seed', type=int, default=FIRST_TRAINING_SEED, help='first seed to try')
    parser.add_argument('--noise', type=float, default=0.03, help='largest scale of the action noise, rad')


def run(args: argparse.Namespace) -> int:
    """Collect until the store holds ``args.episodes`` successes; 0 when it does, 130 after Ctrl-C."""
    # A shell starts background jobs with SIGINT ignored; whoever sends it to this command means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if args.task not in TASKS:
        raise TaskError(f'unknown task {args.task!r}; legal: {sorted(TASKS)}')
    for name, least in (('episodes', 1), ('processes', 1), ('first_seed', 0), ('noise', 0.0)):
        if not getattr(args, name) >= least:
            raise ConfigError(
                f'--{name.replace("_", "-")} must be at least {least}, got {getattr(args, name)}'
            )
    with _open_store(args) as store:
        seeds = store.seeds()
        tried = seeds[-1] - args.first_seed + 1 if seeds else 0
        if len(seeds) >= args.episodes:
            print(f'{args.out}: holds {len(seeds)} episodes already, nothing to do')
            return 0
        if seeds:
            print(f'{args.out}: goes on after {len(seeds)} episodes, {tried} tried')
        progress = _Progress(args.episodes, len(seeds), tried)
        episodes = _episodes(args, args.first_seed + tried)
        try:
            for episode, result in episodes:
                if result.strict_success:
                    store.append(episode)
                progress.count(result.strict_success)
                if len(store) >= args.episodes:
                    break
        except KeyboardInterrupt:
            print(
                f'\nstopped: {len(store)} episodes are kept in {args.out}; the same command goes on',
                flush=True,
            )
            return 130
        finally:
            episodes.close()
        progress.finish()
        print(summary(store))
    return 0


def summary(store: EpisodeStore) -> str:
    """Spread and smoothness of the labels, joint by joint."""
    actions = np.stack([e.commands for e in store])
    step = np.abs(np.diff(actions, axis=1)).max(axis=(0, 1))
    spread = actions.std(axis=(0, 1))
    lines = [
        f'{store.path}: {len(store)} episodes of {actions.shape[1]} frames',
        'joint, std, largest step a frame',
    ]
    for joint, s, d in zip(store.contract.embodiment.joints, spread, step, strict=True):
        lines.append(f'  {joint.name:24s} {s:8.4f} {d:8.4f} {joint.unit}')
    return '\n'.join(lines)


def _open_store(args: argparse.Namespace) -> EpisodeStore:
    settings = {
        'first_seed': args.first_seed,
        'max_noise_rad': args.noise,
        'expert': asdict(ExpertSettings()),
        'kept': 'strict successes',
    }
    robot = make_task(args.task)
    contract = robot.contract
    robot.close()
    if (args.out / 'store.json').exists():
        store = EpisodeStore.open(args.out, writable=True)
        wanted = {'task': args.task, 'settings': settings}
        found = {key: store.info.get(key) for key in wanted}
        if store.contract != contract or found != wanted:
            store.close()
            raise StoreError(
                f'{args.out}: was collected with another contract, task or settings and cannot be continued: '
                f'{_differences(found, wanted) or "the contract differs"}; choose another --out'
            )
        return store
    versions = {name: importlib.metadata.version(name) for name in _VERSIONED}
    return EpisodeStore.create(
        args.out, contract, {'task': args.task, 'settings': settings, 'versions': versions}
    )


def _differences(found: Any, wanted: Any, where: str = '') -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        parts = [_differences(found.get(k), wanted.get(k), f'{where}.{k}') for k in sorted({*found, *wanted})]
        return '; '.join(p for p in parts if p)
    return '' if found == wanted else f'{where[1:]} is {found!r} there and {wanted!r} here'


def _episodes(args: argparse.Namespace, first: int) -> Generator[tuple[Episode, EpisodeResult], None, None]:
    """Demonstrations of seeds first, first + 1, ... in order, without end."""
    pool = ProcessPoolExecutor(
        args.processes, mp_context=get_context('spawn'), initializer=_start, initargs=(args.task,)
    )
    seed = first
    pending: deque[Future[tuple[Episode, EpisodeResult]]] = deque()
    try:
        while True:
            while len(pending) < 2 * args.processes:
                pending.append(pool.submit(_demonstrate, seed, args.noise))
                seed += 1
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise TaskError('a simulator process ended by itself: out of memory, or no OpenGL') from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_robot: SimulatedRobot | None = None


def _start(task: str) -> None:
    # Ctrl-C reaches the whole process group; the parent alone decides, and lets a running episode end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    global _robot
    _robot = make_task(task)


def _demonstrate(seed: int, noise: float) -> tuple[Episode, EpisodeResult]:
    assert _robot is not None
    return demonstrate(_robot, TransferCubeExpert(), seed, noise)


class _Progress:
    """One line on standard error, rewritten on a terminal, now and then elsewhere."""

    def __init__(self, wanted: int, kept: int, tried: int):
        self._wanted, self._kept, self._tried = wanted, kept, tried
        self._first, self._started, self._printed = kept, time.monotonic(), 0.0
        self._here = 0

    def count(self, kept: bool) -> None:
        self._tried += 1
        self._here += 1
        self._kept += kept
        new = self._kept - self._first
        if self._here >= _HOPELESS_TRIES and new < _HOPELESS_SHARE * self._here:
            raise TaskError(
                f'the expert succeeded in {new} of {self._here} episodes: less noise, or fix the expert'
            )
        now = time.monotonic()
        if now - self._printed > (0.5 if sys.stderr.isatty() else 15.0):
            self._printed = now
            self._print('\r' if sys.stderr.isatty() else '\n')

    def finish(self) -> None:
        self._print('\n')

    def _print(self, end: str) -> None:
        seconds = time.monotonic() - self._started
        new = self._kept - self._first
        left = f'{seconds / new * (self._wanted - self._kept):.0f} s left' if new else 'no estimate yet'
        print(
            f'{self._kept}/{self._wanted} episodes, {self._tried - self._kept} dropped of {self._tried} tried, '
            f'{self._here / seconds:.2f} episodes/s, {seconds:.0f} s, {left}   ',
            end=end,
            file=sys.stderr,
            flush=True,
        )
