# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One node as one process: signals, spinning, and an exit code that tells the truth.

rclpy's own signal handlers shut the context down at once, and nothing can be published afterwards. A node that
moves arms needs the opposite order: first its last words (a braking window), then the end. So the handlers here
only set an event, and the spinning thread looks at it.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from dp_ros.errors import DpRosError
from dp_ros.nodes.params import ProcessParams
from dp_ros.nodes.scheduling import cpu_set, hold_memory, make_executor, pin, set_fifo

_POLL_S = 0.1
_SWITCH_S = 0.0005
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class ProcessNode(Protocol):
    """What :func:`run` asks of a node beyond being an rclpy node."""

    def start(self) -> None:
        """Called once before spinning; an error ends the process with 1."""
        ...

    def shut_down(self) -> None:
        """Last words: stop threads, publish what must still go out. Called once, also after an error."""
        ...

    @property
    def failed(self) -> str:
        """Not empty once the node cannot go on; the process then ends with 1."""
        ...


class StopSignal:
    """Set by the first SIGINT or SIGTERM; more of them change nothing (launchers send several).

    Make it in the main thread: Python delivers signals there.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        for number in _SIGNALS:
            signal.signal(number, lambda *_: self._event.set())

    def is_set(self) -> bool:
        """Whether the process was asked to end."""
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the request; False where none came within ``timeout_s``."""
        return self._event.wait(timeout_s)


@contextmanager
def bench_process() -> Iterator[StopSignal]:
    """rclpy for a process that plays a robot or its controllers in a benchmark, and the request to end.

    Such a robot has computers of its own: it does not starve with the nodes under test, where that can be had.
    """
    stop = StopSignal()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield stop
    finally:
        rclpy.try_shutdown()


def run(make: Callable[[], Node], argv: list[str] | None = None) -> int:
    """Make a node, spin it until SIGINT or SIGTERM, and let it speak its last words.

    Returns:
        0 after a signal; 1 where the node could not be made or started, gave up, or a callback raised.
    """
    # A thread that waits for the interpreter lock waits this long for the one that holds it; the default of 5 ms is
    # a quarter of a control period.
    sys.setswitchinterval(_SWITCH_S)
    stop = StopSignal()
    rclpy.init(args=sys.argv if argv is None else argv, signal_handler_options=SignalHandlerOptions.NO)
    hold_memory()
    executor = node = None
    code = 1
    try:
        node = make()
        executor = _scheduled(node)
        executor.add_node(node)
        code = _spin(node, executor, stop)
    except DpRosError as error:
        get_logger('dp_ros').fatal(str(error))
    except ExternalShutdownException:
        code = 0
    except Exception:
        get_logger('dp_ros').fatal(traceback.format_exc())
    finally:
        if node is not None:
            code = max(code, _end(node))
        if executor is not None:
            executor.shutdown()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        # The interpreter takes its handlers down before it ends; a signal that comes late must not change the code.
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
    return code


def _scheduled(node: Node) -> Any:
    """The node's executor, after its processors and its priority; threads that start later inherit both."""
    params = getattr(node, 'params', None)
    if not isinstance(params, ProcessParams):
        params = ProcessParams()
    pin(cpu_set(params.cpus))
    set_fifo(params.fifo_priority)
    return make_executor(params.executor, bool(node.get_parameter('use_sim_time').value))


def _spin(node: 'Node | ProcessNode', executor: Any, stop: StopSignal) -> int:
    node.start()
    while not stop.is_set():
        executor.spin_once(timeout_sec=_POLL_S)
        if node.failed:
            get_logger('dp_ros').fatal(node.failed)
            return 1
    return 0


def _end(node: 'Node | ProcessNode') -> int:
    try:
        node.shut_down()
    except Exception:
        get_logger('dp_ros').fatal(traceback.format_exc())
        return 1
    return 0
