# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Replans of our policies and of LeRobot's, timed in one run by processes that take turns.

A worker is a process with one policy. Its argument is the task as JSON; it answers with a line of JSON about the
policy, and then, to each line with a number, with a line of milliseconds of so many replans. While one works, the
others wait for their line. Only rounds of all of them make figures comparable: whatever slows the machine for a
while meets every policy.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dp_ros.errors import ConfigError, DpRosError
from dp_ros.evaluation.statistics import percentiles

SIZE = (96, 96)
JOINTS = 14
_WORDS = (
    'make it with bench/peers/setup.sh (LeRobot 0.4.4 and its torch, about 2 GB), or name one with --python'
)


@dataclass(frozen=True)
class Row:
    """One policy of the table.

    Attributes:
        key: what the command line calls it.
        name: what the table calls it.
        ours: whether dp_ros runs it.
        task: of its worker, but for threads, checkpoint and backend.
        weight: seconds of one replan on a slow core, roughly: it gets the fewer repeats.
    """

    key: str
    name: str
    ours: bool
    task: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 0.01


def _ours(key: str, name: str, cameras: int, weight: float, **sizes: int) -> Row:
    return Row(key, name, True, {'cameras': cameras, 'size': SIZE, 'sizes': sizes}, weight)


def _diffusion(key: str, name: str, dims: Sequence[int], sampler: str, cameras: int, weight: float) -> Row:
    scheduler, steps = sampler.split('-')
    task = {'kind': 'diffusion', 'cameras': cameras, 'size': SIZE, 'joints': JOINTS}
    named = {'down_dims': list(dims), 'scheduler': scheduler, 'steps': int(steps)}
    return Row(key, f'LeRobot DiffusionPolicy {name}, {sampler}', False, {**task, **named}, weight)


def _act(key: str, cameras: int) -> Row:
    task = {'kind': 'act', 'cameras': cameras, 'size': SIZE, 'joints': JOINTS}
    return Row(key, 'LeRobot ACT', False, task, 0.1)


_NARROW, _MIDDLE, _WIDE = (128, 256, 512), (256, 512, 1024), (512, 1024, 2048)
ROWS = (
    Row('shipped', 'dp_ros, the shipped policy', True),
    _ours('ours-1', 'dp_ros, its size', 1, 0.01),
    _ours('ours-2', 'dp_ros, its size', 2, 0.02),
    _ours('ours-28m', 'dp_ros, 512 wide, 6 layers', 1, 0.04, width=512, depth=6, heads=8),
    _ours('ours-52m', 'dp_ros, 640 wide, 7 layers', 1, 0.06, width=640, depth=7, heads=10),
    _act('act-1', 1),
    _act('act-2', 2),
    _diffusion('narrow-1', '128/256/512', _NARROW, 'DDIM-10', 1, 0.3),
    _diffusion('narrow-2', '128/256/512', _NARROW, 'DDIM-10', 2, 0.3),
    _diffusion('middle-ddim', '256/512/1024', _MIDDLE, 'DDIM-10', 1, 0.8),
    _diffusion('middle-ddpm', '256/512/1024', _MIDDLE, 'DDPM-100', 1, 6.0),
    _diffusion('wide-ddim', '512/1024/2048 (its default)', _WIDE, 'DDIM-10', 1, 2.5),
    _diffusion('wide-ddpm', '512/1024/2048 (its default)', _WIDE, 'DDPM-100', 1, 25.0),
)


class _Worker:
    def __init__(
        self, row: Row, command: Sequence[str], task: Mapping[str, Any], environment: Mapping[str, str]
    ):
        self.row = row
        self.ms: list[float] = []
        self._process = subprocess.Popen(
            [*command, json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(environment),
        )
        self.facts: dict[str, Any] = {}

    def read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise DpRosError(f'bench peers: the process of {self.row.key!r} ended, see its error above')
        return json.loads(line)

    def replan(self, count: int) -> list[float]:
        assert self._process.stdin is not None
        self._process.stdin.write(f'{count}\n')
        self._process.stdin.flush()
        values: list[float] = self.read()
        return values

    def end(self) -> None:
        # Without questions to come it ends by itself, unless it is still starting.
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def race(
    rows: Sequence[Row],
    python: Path,
    script: Path,
    checkpoint: Path,
    backend: str,
    threads: int,
    rounds: int,
    seconds: float,
) -> list[dict[str, Any]]:
    """Figures of every row, in order: name, facts and percentiles of its replans in milliseconds.

    Args:
        rows: which policies.
        python: the interpreter of the peers' environment; not looked at where all rows are ours.
        script: the peers' worker.
        checkpoint: of ours; gives embodiment, timing and control to our rows with random weights too.
        backend: of ours.
        threads: of each policy.
        rounds: turns of each.
        seconds: of a turn, roughly; a turn has at least one replan.

    Raises:
        ConfigError: the peers' environment is missing.
        DpRosError: a worker ended.
    """
    if not all(row.ours for row in rows):
        for path, what in ((python, "environment of LeRobot's policies"), (script, 'worker of the peers')):
            if not path.is_file():
                raise ConfigError(f'bench peers: there is no {what} at {path}: {_WORDS}')
    environment = {**os.environ, **dict.fromkeys(('OMP_NUM_THREADS', 'MKL_NUM_THREADS'), str(threads))}
    # The peers' packages are their own.
    foreign = {key: value for key, value in environment.items() if key != 'PYTHONPATH'}
    with ExitStack() as stack:
        workers = []
        for row in rows:
            ours = {'checkpoint': str(checkpoint), 'backend': backend} if row.ours else {}
            command = (
                [sys.executable, '-m', 'dp_ros.evaluation.replan_worker']
                if row.ours
                else [str(python), str(script)]
            )
            task = {**row.task, **ours, 'threads': threads}
            workers.append(_Worker(row, command, task, environment if row.ours else foreign))
            stack.callback(workers[-1].end)
        for worker in workers:
            worker.facts = worker.read()
        counts = {worker.row.key: max(1, round(seconds / worker.row.weight)) for worker in workers}
        for worker in workers:
            worker.replan(1 if worker.row.weight > 1 else 3)  # not counted
        for _ in range(rounds):
            for worker in workers:
                worker.ms += worker.replan(counts[worker.row.key])
    return [_figures(worker) for worker in workers]


def _figures(worker: _Worker) -> dict[str, Any]:
    row, took = worker.row, percentiles(worker.ms)
    cameras = row.task.get('cameras') or worker.facts.get('cameras')
    return {
        'key': row.key,
        'name': row.name,
        'ours': row.ours,
        'parameters': worker.facts['parameters'],
        'cameras': cameras,
        'size': list(row.task.get('size') or worker.facts.get('size', [])),
        'backend': worker.facts.get('backend', 'eager'),
        'versions': worker.facts.get('versions', {}),
        'replans': took.count,
        'ms': {'p50': took.p50, 'p95': took.p95, 'least': min(worker.ms)},
    }
