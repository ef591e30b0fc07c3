# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros collect``: demonstrations of a simulated task by its scripted expert, into an episode store.

Seeds of a task are tried in increasing order, and of a suite each task gets its next episode in turn, whatever the
number of processes. So what the store holds tells where to go on, the same command continues after a stop, and the
last episodes, which training holds out, are of all tasks alike.
"""

import argparse
import importlib.metadata
import os
import signal
import sys
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import ConfigError, StoreError, TaskError
from dp_ros.simulation.robot import (
    Demonstrator,
    EpisodeResult,
    SimulatedRobot,
    make_demonstrator,
    make_task,
    suite_tasks,
    task_names,
)
from dp_ros.simulation.seeds import SPLITS

FIRST_TRAINING_SEED = SPLITS['training'].start
# With fewer successes than this after so many tries something is broken; do not run for hours.
_HOPELESS_TRIES, _HOPELESS_SHARE = 40, 0.1
# Simulators that a process keeps for the next round of a suite.
_MOST_ROBOTS = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument('--task', default='aloha_transfer_cube', help=f'a task or a suite: {task_names()}')
    parser.add_argument(
        '--episodes', type=int, default=300, help='successful episodes of each task that the store shall hold'
    )
    parser.add_argument(
        '--out', type=Path, required=True, help='directory of the store; an old one is continued'
    )
    parser.add_argument('--processes', type=int, default=os.cpu_count() or 1, help='simulators side by side')
    parser.add_argument(
        '--first-seed', type=int, default=FIRST_TRAINING_SEED, help='first seed to try, of every task'
    )
    parser.add_argument(
        '--noise', type=float, help="largest scale of the noise on what is executed (default: the task's own)"
    )


def run(args: argparse.Namespace) -> int:
    """Collect until the store holds ``args.episodes`` successes a task; 0 when it does, 130 after Ctrl-C."""
    # A shell starts background jobs with SIGINT ignored; whoever sends it to this command means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tasks = suite_tasks(args.task)
    for name, least in (
        ('episodes', 1),
        ('processes', 1),
        ('first_seed', FIRST_TRAINING_SEED),
        ('noise', 0.0),
    ):
        value = getattr(args, name)
        if value is not None and not value >= least:
            raise ConfigError(f'--{name.replace("_", "-")} must be at least {least}, got {value}')
    demonstrator = make_demonstrator(tasks[0])
    if args.noise is None:
        args.noise = demonstrator.default_noise
    with _open_store(args, demonstrator) as store:
        held = [m.get('task', args.task) for m in store.metadata()]
        seeds: dict[str, int] = {}
        for task, seed in zip(held, store.seeds(), strict=True):
            seeds[task] = max(seeds.get(task, args.first_seed), seed + 1)
        count, tried = Counter(held), sum(seed - args.first_seed for seed in seeds.values())
        wanted = [task for turn in range(args.episodes) for task in tasks if count[task] <= turn]
        if not wanted:
            print(f'{args.out}: holds {len(store)} episodes already, nothing to do')
            return 0
        if len(store):
            print(f'{args.out}: goes on after {len(store)} episodes, {tried} tried')
        progress = _Progress(len(store) + len(wanted), len(store), tried)
        next_seeds = {task: seeds.get(task, args.first_seed) for task in tasks}
        episodes = _episodes(args, wanted, next_seeds, demonstrator)
        try:
            for episode, kept in episodes:
                if kept:
                    store.append(episode)
                progress.count(kept)
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
    commands = [e.commands for e in store]
    lengths = [len(c) for c in commands]
    step = np.max([np.abs(np.diff(c, axis=0)).max(axis=0, initial=0.0) for c in commands], axis=0)
    spread = np.concatenate(commands).std(axis=0)
    frames = f'{lengths[0]}' if len(set(lengths)) == 1 else f'{min(lengths)} to {max(lengths)}'
    lines = [
        f'{store.path}: {len(store)} episodes of {frames} frames',
        'joint, std, largest step a frame',
    ]
    for joint, s, d in zip(store.contract.embodiment.joints, spread, step, strict=True):
        lines.append(f'  {joint.name:24s} {s:8.4f} {d:8.4f} {joint.unit}')
    return '\n'.join(lines)


def _open_store(args: argparse.Namespace, demonstrator: Demonstrator) -> EpisodeStore:
    settings = {'first_seed': args.first_seed, **demonstrator.settings(args.noise)}
    robot = make_task(suite_tasks(args.task)[0])
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
    versions = {name: importlib.metadata.version(name) for name in demonstrator.packages}
    return EpisodeStore.create(
        args.out, contract, {'task': args.task, 'settings': settings, 'versions': versions}
    )


def _differences(found: Any, wanted: Any, where: str = '') -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        parts = [_differences(found.get(k), wanted.get(k), f'{where}.{k}') for k in sorted({*found, *wanted})]
        return '; '.join(p for p in parts if p)
    return '' if found == wanted else f'{where[1:]} is {found!r} there and {wanted!r} here'


def _episodes(
    args: argparse.Namespace,
    wanted: Sequence[str],
    first_seeds: Mapping[str, int],
    demonstrator: Demonstrator,
) -> Generator[tuple[Episode, bool], None, None]:
    """For each wanted task in turn the episodes of its next seeds, up to the first one that is kept."""
    pool = ProcessPoolExecutor(args.processes, mp_context=get_context('spawn'), initializer=_start)
    pending: dict[str, deque[Future[tuple[Episode, EpisodeResult]]]] = {task: deque() for task in first_seeds}
    seeds, ahead = dict(first_seeds), 0

    def submit(task: str) -> None:
        pending[task].append(pool.submit(_demonstrate, task, seeds[task], args.noise))
        seeds[task] += 1

    try:
        for turn, task in enumerate(wanted):
            while ahead < min(len(wanted), turn + 2 * args.processes):
                submit(wanted[ahead])
                ahead += 1
            kept = False
            while not kept:
                episode, result = pending[task].popleft().result()
                kept = demonstrator.kept(result)
                if not kept:
                    submit(task)
                yield episode, kept
    except BrokenProcessPool as error:
        raise TaskError('a simulator process ended by itself: out of memory, or no OpenGL') from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_robots: OrderedDict[str, tuple[SimulatedRobot, Demonstrator]] = OrderedDict()


def _start() -> None:
    # Ctrl-C reaches the whole process group; the parent alone decides, and lets a running episode end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _demonstrate(task: str, seed: int, noise: float) -> tuple[Episode, EpisodeResult]:
    if task not in _robots:
        while len(_robots) >= _MOST_ROBOTS:
            _robots.popitem(last=False)[1][0].close()
        _robots[task] = make_task(task), make_demonstrator(task)
    _robots.move_to_end(task)
    robot, demonstrator = _robots[task]
    return demonstrator.demonstrate(robot, seed, noise)


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
