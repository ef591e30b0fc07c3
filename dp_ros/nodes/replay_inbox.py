# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a live replay hears: the robot's topics from the bag, the policy's chunks and their latency, action_node."""

from collections import Counter
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory

from dp_ros.action.chunk import ActionChunk
from dp_ros.bags.marks import Mark
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.errors import BagError, MessageError
from dp_ros.evaluation.replay import LEAST_FRAME_NS
from dp_ros.evaluation.replay_assembly import Predicted, fill, skipped_ticks
from dp_ros.evaluation.replay_record import ReplayRecord
from dp_ros.evaluation.replay_witness import WitnessBuffer
from dp_ros.messages.trajectory import decode_chunk
from dp_ros.nodes import qos
from dp_ros.nodes.message_class import message_class
from dp_ros.observation.command_stream import CommandStream
from dp_ros.observation.intake import Intake, Source

_NO_CHUNK = 'the policy made no chunk; its /diagnostics say why'
_FOREVER_NS = 2**63 - 1


class ReplayInbox:
    """Subscriptions of one node, and the record that follows from what they heard.

    Args:
        node: whose subscriptions they are; its clock is that of the bag.
        contract, binding: of the robot.
        policy, action: names of the nodes that are listened to; ``action`` may be empty.
        episode_topic: where the recorder's marks are.

    Attributes:
        marks: (time, mark) of the episodes' starts and stops.
        state: newest state of action_node.
        states: how often action_node entered each state.
    """

    def __init__(
        self, node: Node, contract: Contract, binding: Binding, policy: str, action: str, episode_topic: str
    ):
        self._node, self._policy, self._action = node, policy, action
        self._witness = WitnessBuffer(contract, frame_every_ns=LEAST_FRAME_NS)
        self._commands = CommandStream(contract, binding.action_sources())
        self._unreadable: Counter[str] = Counter()
        self._ticks: list[tuple[int, str, ActionChunk]] = []
        self._latencies: list[dict[str, float]] = []
        self._for_the_arms: set[str] = set()
        self._values: dict[str, dict[str, str]] = {}
        self.marks: list[tuple[int, Mark]] = []
        self.state = ''
        self.states: Counter[str] = Counter()
        for source in Intake(contract, binding, self._witness).sources:
            self._listen(
                source.type, source.topic, partial(self._on_source, source), qos.sensor(source.qos, 500)
            )
        for topic, kind in self._commands.topics:
            self._listen(kind, topic, partial(self._on_command, topic), qos.sensor('sensor_data', 500))
        for name, callback in (('action_chunk', self._on_chunk), ('preview', self._on_preview)):
            node.create_subscription(JointTrajectory, f'{policy}/{name}', callback, qos.RECORD_OUT)
        node.create_subscription(Float64MultiArray, f'{policy}/latency', self._on_latency, qos.RECORD_OUT)
        node.create_subscription(String, episode_topic, self._on_mark, qos.RECORD_OUT)
        node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.RECORD_OUT)
        if action:
            node.create_subscription(String, f'{action}/state', self._on_state, qos.LATCHED)

    @property
    def now_ns(self) -> int:
        """The time of the bag."""
        return int(self._node.get_clock().now().nanoseconds)

    def complete(self, record: ReplayRecord) -> None:
        """Lay what the policy made beside what was recorded."""
        predicted, last = [], -1
        for (log_ns, identity, chunk), stages in zip_longest(
            self._ticks, self._latencies[: len(self._ticks)]
        ):
            episode = self._episode(log_ns)
            # A preview that is not for the arms was overtaken by a reset.
            if identity not in self._for_the_arms or episode < 0:
                continue
            last = max(last, episode)
            predicted.append(
                Predicted(
                    stamp_ns=chunk.stamp_ns,
                    log_ns=log_ns,
                    chunk=np.asarray(chunk.positions, np.float64),
                    stage_ms={k: v for k, v in (stages or {}).items() if k != 'total'},
                    episode=episode,
                )
            )
        stops = {episode: self._span(episode)[1] for episode in range(last + 1)}
        fill(record, predicted, self._commands, self._witness, stops)
        missed = skipped_ticks(record, {}).total()
        record.skipped.update({_NO_CHUNK: missed} if missed else {})
        record.unreadable.update(self._unreadable)
        record.provenance |= self._verdicts()

    def _verdicts(self) -> dict[str, str]:
        """What the nodes counted: the gates of action_node, its seams, its states."""
        out = {}
        for line in (f'{self._policy}: counters', f'{self._action}: counters', f'{self._action}: plan'):
            values = self._values.get(line, {})
            if values:
                out[line] = ', '.join(f'{name} {value}' for name, value in sorted(values.items()))
        if self.states:
            out[f'{self._action}: states'] = '; '.join(
                f'{n} x {text}' for text, n in self.states.most_common()
            )
        return out

    def _episode(self, log_ns: int) -> int:
        """Which episode a time belongs to, -1 none; without marks everything is one episode."""
        starts = [at for at, mark in self.marks if mark.event == 'start']
        if not starts:
            return 0
        episode = sum(at <= log_ns for at in starts) - 1
        return episode if episode >= 0 and log_ns < self._span(episode)[1] else -1

    def _span(self, episode: int) -> tuple[int, int]:
        starts = [at for at, mark in self.marks if mark.event == 'start'] or [0]
        begin = starts[episode]
        ends = [at for at, _ in self.marks if at > begin]
        return begin, min(ends, default=_FOREVER_NS)

    def _listen(self, kind: str, topic: str, callback: Any, profile: Any) -> None:
        self._node.create_subscription(message_class(kind), topic, callback, profile)

    def _on_source(self, source: Source, message: Any) -> None:
        try:
            source.put(message, self.now_ns)
        except MessageError as error:
            self._unreadable[f'{source.topic}: {error}'] += 1

    def _on_command(self, topic: str, message: Any) -> None:
        try:
            self._commands.put(topic, message, self.now_ns)
        except MessageError as error:
            self._unreadable[f'{topic}: {error}'] += 1

    def _on_chunk(self, message: JointTrajectory) -> None:
        self._for_the_arms.add(message.header.frame_id)

    def _on_preview(self, message: JointTrajectory) -> None:
        try:
            chunk = decode_chunk(message)
        except MessageError as error:
            self._unreadable[f'{self._policy}/preview: {error}'] += 1
            return
        self._ticks.append((self.now_ns, message.header.frame_id, chunk))

    def _on_latency(self, message: Float64MultiArray) -> None:
        labels = [dimension.label for dimension in message.layout.dim]
        self._latencies.append(dict(zip(labels, map(float, message.data), strict=False)))

    def _on_mark(self, message: String) -> None:
        try:
            mark = Mark.from_json(message.data)
        except BagError as error:
            self._unreadable[str(error)] += 1
            return
        if mark.event != 'judge':
            self.marks.append((self.now_ns, mark))

    def _on_state(self, message: String) -> None:
        if message.data != self.state:
            self.state = message.data
            self.states[message.data] += 1

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self._values[status.name] = {v.key: v.value for v in status.values}
