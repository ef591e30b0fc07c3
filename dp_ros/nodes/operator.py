# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A node that operates others as a person would: by their services, one thing after the other.

Everything happens in the thread that calls its methods.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from dp_ros.errors import DpRosError
from dp_ros.nodes import qos
from dp_ros.nodes.process import StopSignal

START_S = 180.0
CALL_S = 15.0
# Time for what still travels to the recorder when an episode is over.
_SETTLE_S = 0.15


class OperatorError(DpRosError):
    """The robot does not do what its operator asks for."""


class Interrupted(Exception):
    """The operator was asked to stop."""


class Operator(Node):
    """Calls services, waits, and says on standard output how far it is."""

    def __init__(self, name: str, stop: StopSignal):
        super().__init__(name)
        self._stop = stop
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._service: dict[str, Any] = {}

    def ask(self, kind: Any, *services: str) -> None:
        """Make clients of services of one kind."""
        for name in services:
            self._service[name] = self.create_client(kind, name)

    def must(self, service: str) -> None:
        """Call a Trigger until it agrees; :class:`OperatorError` with its reason where it does not."""
        answer: Any = None

        def agreed() -> bool:
            nonlocal answer
            answer = self._call(service)
            return bool(answer.success)

        try:
            self._until(f'{service} to agree', agreed, CALL_S, every_s=0.1)
        except OperatorError as error:
            raise OperatorError(f'{error}: {answer.message if answer else "no answer"}') from error

    def rest(self, seconds: float) -> None:
        """Let callbacks run for a while."""
        self._until('nothing', self._pause(seconds), 2.0 * seconds + 1.0)

    def _call(self, service: str, request: Any = None) -> Any:
        client = self._service[service]
        self._until(f'service {service}', client.service_is_ready, CALL_S)
        future = client.call_async(Trigger.Request() if request is None else request)
        self._until(f'an answer of {service}', future.done, CALL_S)
        return future.result()

    def _until(
        self,
        what: str,
        predicate: Callable[[], bool],
        seconds: float,
        every_s: float = 0.0,
        must: bool = True,
    ) -> None:
        """Spin until the predicate holds; OperatorError after ``seconds`` where it ``must``."""
        end, due = time.monotonic() + seconds, 0.0
        while True:
            now = time.monotonic()
            if now >= due:
                if predicate():
                    return
                due = now + every_s
            if now > end:
                if must:
                    raise OperatorError(f'waited {seconds:.0f} s in vain for {what}')
                return
            self._spin()
            if seconds >= START_S:
                self._show(f'waiting for {what}')

    def _spin(self) -> None:
        if self._stop.is_set():
            raise Interrupted
        self._executor.spin_once(timeout_sec=0.05)

    @staticmethod
    def _pause(seconds: float) -> Callable[[], bool]:
        end = time.monotonic() + seconds
        return lambda: time.monotonic() >= end

    def _show(self, text: str) -> None:
        """A line that the next one overwrites; nothing where nobody watches."""
        if sys.stdout.isatty():
            sys.stdout.write(f'\r\x1b[2K{text}')
            sys.stdout.flush()

    @staticmethod
    def _say(text: str) -> None:
        sys.stdout.write(text + '\n')
        sys.stdout.flush()


class Recording:
    """The operator's side of record_node, whose episodes it starts and judges."""

    def __init__(self, operator: Operator):
        self._operator = operator
        self._instruction = operator.create_publisher(String, 'record_node/instruction', qos.LATCHED)
        operator.ask(Trigger, *(f'record_node/{name}' for name in ('start', 'success', 'failure')))

    def announce(self, instruction: str) -> None:
        """What the next episode is for; to be said some time before it starts."""
        self._instruction.publish(String(data=instruction))

    def start(self) -> None:
        """Begin an episode; :class:`OperatorError` where record_node cannot."""
        self._operator.must('record_node/start')

    def end(self, success: bool) -> None:
        """End it with a verdict."""
        self._operator.rest(_SETTLE_S)
        self._operator.must('record_node/success' if success else 'record_node/failure')
