# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""How a node's process uses the machine: executor, processors, real-time priority, allocator.

doc/how-to/real_time.md says when each of them pays.
"""

import ctypes
import gc
import os
from pathlib import Path
from typing import Any

from rclpy.executors import SingleThreadedExecutor

from dp_ros.errors import ConfigError

EXECUTORS = ('auto', 'events', 'single')
# Numbers of mallopt(3) in glibc.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_HELD = 64 << 20
_PAD = 4 << 20
_TASKS = Path('/proc/self/task')


def make_executor(kind: str, simulated: bool = False) -> Any:
    """An executor: one thread, callbacks one after the other.

    Args:
        kind: 'single' is rclpy's SingleThreadedExecutor, which builds a new wait set for each message. 'events' is its
            EventsExecutor, at a quarter of the processor time. 'auto' takes the latter where rclpy has it and time is
            the system's: in lockstep with a /clock it was seen to miss a timer.
        simulated: whether the node's time is /clock.

    Raises:
        ConfigError: another kind, or 'events' where rclpy has none.
    """
    if kind not in EXECUTORS:
        raise ConfigError(f'executor must be one of {list(EXECUTORS)}, got {kind!r}')
    if kind == 'single' or (kind == 'auto' and simulated):
        return SingleThreadedExecutor()
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError as error:
        if kind == 'auto':
            return SingleThreadedExecutor()
        raise ConfigError(
            f"executor 'events': this rclpy has no EventsExecutor ({error}); take 'single' or 'auto'"
        ) from error
    return EventsExecutor()


def cpu_set(text: str) -> set[int]:
    """Processors from a list such as '0', '2,3' or '0-2,5'; empty for an empty text.

    Raises:
        ConfigError: another form, or a processor that this process may not run on.
    """
    legal = os.sched_getaffinity(0)
    if not text.strip():
        return set()
    chosen: set[int] = set()
    try:
        for part in text.split(','):
            first, dash, last = part.partition('-')
            low = int(first)
            high = int(last) if dash else low
            if high < low:
                raise ValueError
            chosen.update(range(low, high + 1))
    except ValueError as error:
        raise ConfigError(
            f"cpus must be a list of processors such as '1' or '0-2,5', or empty, got {text!r}"
        ) from error
    if not chosen <= legal:
        raise ConfigError(
            f'cpus {text!r}: this process may not run on {sorted(chosen - legal)}; legal: {sorted(legal)}'
        )
    return chosen


def pin(cpus: set[int]) -> None:
    """Keep all threads of this process, those of the middleware included, on these processors; empty: anywhere."""
    for task in _tasks() if cpus else ():
        os.sched_setaffinity(task, cpus)


def set_fifo(priority: int) -> None:
    """SCHED_FIFO for all threads of this process: they run until they wait, before everything of lower priority.

    Args:
        priority: 1 to 99; 0 leaves everything as it is.

    Raises:
        ConfigError: the system does not permit it.
    """
    if not priority:
        return
    try:
        for task in _tasks():
            os.sched_setscheduler(task, os.SCHED_FIFO, os.sched_param(priority))
    except (PermissionError, OSError) as error:
        raise ConfigError(
            f'fifo_priority {priority}: not permitted ({error.strerror}). Give the user the limit '
            f"'rtprio {priority}' in /etc/security/limits.d, or the process CAP_SYS_NICE (containers: "
            f'--cap-add SYS_NICE --ulimit rtprio={priority}), or set fifo_priority to 0'
        ) from error


def hold_memory() -> bool:
    """Let freed memory stay with the process; False where the C library is not glibc.

    By default glibc maps each picture's memory anew and gives it back: every page of it faults in again, which costs
    more than everything else that happens to a picture between the middleware and the callback.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_THRESHOLD, _HELD), (_M_TRIM_THRESHOLD, _HELD), (_M_TOP_PAD, _PAD))
    return [mallopt(name, value) for name, value in settings] == [1, 1, 1]


def settle() -> None:
    """Once everything long-lived exists: collections of garbage need not look at it any more."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _tasks() -> list[int]:
    return [int(entry.name) for entry in _TASKS.iterdir()]
