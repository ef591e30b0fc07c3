# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a node tells about itself on /diagnostics, once a second of wall clock, whatever the ROS clock does."""

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from dp_ros.nodes.qos import STATUS

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE
)  # fmt: skip
PERIOD_S = 1.0


@dataclass
class Status:
    """One line of /diagnostics: '<node>: <task>', a level, a named state, and its numbers."""

    task: str
    level: bytes
    message: str
    values: Mapping[str, object] = field(default_factory=dict)


class RateMeter:
    """Events a second of wall clock over the last ``window_s``.

    Thread-safe without a lock: appending to a deque and copying it are atomic, and who counts is in no hurry. ``most``
    events are remembered.
    """

    def __init__(self, window_s: float = 5.0, most: int = 8192):
        self._window_s = window_s
        self._times: deque[float] = deque(maxlen=most)

    def hit(self) -> None:
        """Count one event now."""
        self._times.append(time.monotonic())

    @property
    def rate_hz(self) -> float:
        """Mean rate over the window."""
        times = list(self._times)
        return (len(times) - bisect_left(times, time.monotonic() - self._window_s)) / self._window_s


class Percentiles:
    """The last ``size`` values of a duration, in milliseconds; thread-safe as :class:`RateMeter` is."""

    def __init__(self, size: int = 512):
        self._values: deque[float] = deque(maxlen=size)

    def add(self, value_ms: float) -> None:
        """Remember one value."""
        self._values.append(value_ms)

    def clear(self) -> None:
        """Forget everything, for example the warm-up."""
        self._values.clear()

    def summary(self, name: str) -> dict[str, str]:
        """'<name>_p50_ms' and so on; empty where nothing was measured."""
        values = list(self._values)
        if not values:
            return {}
        return {f'{name}_p{q}_ms': f'{np.percentile(values, q):.1f}' for q in (50, 95, 99)}


class DiagnosticsPublisher:
    """Asks ``collect`` for the node's status lines each second and publishes them."""

    def __init__(self, node: Node, collect: Callable[[], Iterable[Status]], hardware_id: str = ''):
        self._node, self._collect, self._hardware_id = node, collect, hardware_id
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', STATUS)
        # A steady clock: a paused or missing /clock must not silence the report about it.
        self._timer = node.create_timer(PERIOD_S, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        """Publish now."""
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        name = self._node.get_name()
        for status in self._collect():
            message.status.append(
                DiagnosticStatus(
                    level=status.level,
                    name=f'{name}: {status.task}',
                    message=status.message,
                    hardware_id=self._hardware_id,
                    values=[KeyValue(key=k, value=_text(v)) for k, v in status.values.items()],
                )
            )
        self._publisher.publish(message)


def _text(value: object) -> str:
    return f'{value:.4g}' if isinstance(value, float) else str(value)
