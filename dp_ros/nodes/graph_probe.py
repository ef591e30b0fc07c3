# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""When the messages of a tick were published, as their publishers stamped them: chunk, windows, stages.

The middleware notes the time of each write in the message, so that the ear's own delays do not count.
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from dp_ros.messages.stamps import header_ns, to_ns
from dp_ros.nodes import qos

_ASK_S = 0.5


class GraphProbe:
    """Listens, and engages the arms when asked to.

    Args:
        node: to listen with.
        topics: controller topic of each arm.
        clock: whether stamps are those of /clock.

    Attributes:
        state: the newest state of action_node.
        previewed: whether the policy has shown what it would do.
        refusal: why the last engagement was refused.
    """

    def __init__(self, node: Node, topics: Mapping[str, str], clock: bool):
        self.state, self.refusal, self.previewed = '', '', False
        self._node = node
        self._first: dict[str, dict[str, int]] = {arm: {} for arm in topics}
        self._chunks: list[tuple[int, int, str]] = []
        self._stages: list[tuple[int, dict[str, float]]] = []
        self._clock: list[tuple[int, int]] = []
        self._lines: dict[str, dict[str, str]] = {}
        self._engage = node.create_client(SetBool, 'action_node/engage')
        self._future: Any = None
        self._asked = 0.0

        def listen(kind: Any, topic: str, callback: Any, profile: Any = qos.RECORD_OUT) -> None:
            node.create_subscription(kind, topic, callback, profile)

        listen(JointTrajectory, 'policy_node/action_chunk', self._on_chunk)
        listen(JointTrajectory, 'policy_node/preview', self._on_preview, qos.COMMAND)
        listen(Float64MultiArray, 'policy_node/latency', self._on_latency)
        listen(String, 'action_node/state', self._on_state, qos.LATCHED)
        listen(DiagnosticArray, '/diagnostics', self._on_diagnostics)
        for arm, topic in topics.items():
            listen(JointTrajectory, topic, partial(self.on_window, arm))
        if clock:
            listen(Clock, '/clock', self._on_clock, qos.CLOCK)

    @property
    def running(self) -> bool:
        """Chunks are followed."""
        return self.state.startswith('RUN')

    def ask_to_engage(self) -> None:
        """Call ~/engage, and again where it is refused; never blocks."""
        if self._future is not None and self._future.done():
            answer, self._future = self._future.result(), None
            self.refusal = '' if answer.success else answer.message
        now = time.monotonic()
        if self._future is None and now - self._asked > _ASK_S and self._engage.service_is_ready():
            self._asked = now
            self._future = self._engage.call_async(SetBool.Request(data=True))

    def forget(self) -> None:
        """Begin to record anew."""
        everything: list[Any] = [self._chunks, self._stages, self._clock, *self._first.values()]
        for heard in everything:
            heard.clear()

    def record(self) -> dict[str, Any]:
        """Everything since :meth:`forget`, as plain data; graph_timing.py makes ticks of it."""
        return {
            'chunks': list(self._chunks),
            'stages': list(self._stages),
            'windows': {arm: dict(first) for arm, first in self._first.items()},
            'clock': list(self._clock),
            'diagnostics': dict(self._lines),
        }

    def on_window(self, arm: str, message: JointTrajectory, info: Mapping[str, int]) -> None:
        """A window of one arm's controller; the first that follows a chunk is the chunk's."""
        self._first[arm].setdefault(message.header.frame_id, info['source_timestamp'])

    def _on_chunk(self, message: JointTrajectory, info: Mapping[str, int]) -> None:
        self._chunks.append((header_ns(message), info['source_timestamp'], message.header.frame_id))

    def _on_preview(self, message: JointTrajectory) -> None:
        self.previewed = True

    def _on_latency(self, message: Float64MultiArray, info: Mapping[str, int]) -> None:
        names = [dim.label for dim in message.layout.dim]
        self._stages.append((info['source_timestamp'], dict(zip(names, message.data, strict=True))))

    def _on_clock(self, message: Clock, info: Mapping[str, int]) -> None:
        self._clock.append((to_ns(message.clock), info['source_timestamp']))

    def _on_state(self, message: String) -> None:
        self.state = message.data

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self._lines[status.name] = {'': status.message, **{v.key: v.value for v in status.values}}
