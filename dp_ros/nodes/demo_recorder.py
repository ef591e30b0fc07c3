# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Listens to a run as any node could, and keeps what its report needs."""

from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory

from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.evaluation.record import ChunkRecord, EpisodeRecord, FrameRecord
from dp_ros.messages.image import decode_image
from dp_ros.messages.joint_state import decode_joint_state
from dp_ros.messages.stamps import header_ns
from dp_ros.messages.trajectory import decode_chunk
from dp_ros.nodes import qos

# What is only looked at later may wait in a long queue.
_QUEUE = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)


class DemoRecorder:
    """Subscriptions of one node; :meth:`begin` forgets the past, :meth:`end` makes the record of an episode.

    Attributes:
        episode: newest values of sim_node's ~/episode, with 'state'.
        state, engaged: newest of action_node's ~/state and ~/engaged.
        now_ns: stamp of the newest joint state.
        preview_ns: stamp of the newest observation that the policy looked at.
        counters: newest counters of all nodes, '<node>.<name>'.
    """

    def __init__(self, node: Node, contract: Contract, binding: Binding, frame_every_ns: int):
        self._names = contract.joint_names
        self._frame_every_ns = frame_every_ns
        self.camera = contract.cameras[0].name if contract.cameras else ''
        self.episode: dict[str, str] = {}
        self.state = ''
        self.engaged = False
        self.counters: dict[str, int] = {}
        self.preview_ns = 0
        self.now_ns = 0
        self.begin()
        node.create_subscription(DiagnosticStatus, 'sim_node/episode', self._on_episode, qos.LATCHED)
        node.create_subscription(String, 'action_node/state', self._on_state, qos.LATCHED)
        node.create_subscription(Bool, 'action_node/engaged', self._on_engaged, qos.LATCHED)
        node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, _QUEUE)
        node.create_subscription(JointTrajectory, 'policy_node/action_chunk', self._on_chunk, _QUEUE)
        node.create_subscription(JointTrajectory, 'policy_node/preview', self._on_preview, qos.COMMAND)
        node.create_subscription(Float64MultiArray, 'policy_node/latency', self._on_latency, _QUEUE)
        node.create_subscription(JointState, 'sim_node/commanded', self._on_commanded, _QUEUE)
        for joints in binding.joint_states:
            node.create_subscription(JointState, joints.topic, self._on_joints, _QUEUE)
        if self.camera:
            topic = binding.cameras[self.camera].topic
            node.create_subscription(
                Image, topic, self._on_image, qos.sensor('sensor_data', qos.IMAGES_DEPTH)
            )

    def begin(self) -> None:
        """A new episode starts with the next message."""
        self._measured: dict[int, np.ndarray] = {}
        self._commanded: dict[int, np.ndarray] = {}
        self._chunks: list[ChunkRecord] = []
        self._frames: list[FrameRecord] = []
        self._latency: dict[str, list[float]] = {}
        self._states: list[tuple[int, str]] = []

    def complete(self) -> bool:
        """Whether every step that sim_node counted has been heard of."""
        start_ns, steps = int(self.episode.get('start_ns', 0)), int(self.episode.get('steps', 0))
        return sum(t >= start_ns and t in self._measured for t in self._commanded) >= steps

    def end(self, wall_s: float, counters: dict[str, int]) -> EpisodeRecord:
        """The episode since :meth:`begin`, up to the last step that sim_node counted."""
        steps = int(self.episode.get('steps', 0))
        start_ns = int(self.episode.get('start_ns', 0))
        times = [t for t in sorted(self._commanded) if t >= start_ns and t in self._measured][:steps]
        width = len(self._names)
        last = times[-1] if times else 0
        return EpisodeRecord(
            seed=int(self.episode.get('seed', 0)),
            success=self.episode.get('success') == 'True',
            strict_success=self.episode.get('strict_success') == 'True',
            max_reward=float(self.episode.get('max_reward', 0.0)),
            steps=steps,
            times_ns=np.array(times, np.int64),
            measured=np.array([self._measured[t] for t in times]).reshape(-1, width),
            commanded=np.array([self._commanded[t] for t in times]).reshape(-1, width),
            chunks=[c for c in self._chunks if start_ns <= c.stamp_ns <= last],
            frames=[f for f in self._frames if start_ns <= f.stamp_ns <= last],
            latency_ms=self._latency,
            counters={'ticks': len(self._chunks), **counters},
            states=list(self._states),
            wall_s=wall_s,
        )

    def _on_episode(self, message: DiagnosticStatus) -> None:
        self.episode = {'state': message.message, **{v.key: v.value for v in message.values}}

    def _on_state(self, message: String) -> None:
        self.state = message.data
        self._states.append((self.now_ns, message.data))

    def _on_engaged(self, message: Bool) -> None:
        self.engaged = message.data

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            node, _, task = status.name.partition(': ')
            if task == 'counters':
                self.counters.update({f'{node}.{v.key}': int(v.value) for v in status.values})

    def _on_chunk(self, message: JointTrajectory) -> None:
        chunk = decode_chunk(message)
        self._chunks.append(ChunkRecord(chunk.stamp_ns, chunk.positions))

    def _on_preview(self, message: JointTrajectory) -> None:
        self.preview_ns = header_ns(message)

    def _on_latency(self, message: Float64MultiArray) -> None:
        if not self.engaged:
            return
        for dim, value in zip(message.layout.dim, message.data, strict=True):
            self._latency.setdefault(dim.label, []).append(float(value))

    def _on_joints(self, message: JointState) -> None:
        stamp_ns, positions = self._by_name(message)
        self.now_ns = max(self.now_ns, stamp_ns)
        self._measured[stamp_ns] = positions

    def _on_commanded(self, message: JointState) -> None:
        stamp_ns, positions = self._by_name(message)
        self._commanded[stamp_ns] = positions

    def _by_name(self, message: JointState) -> tuple[int, np.ndarray]:
        stamp_ns, names, positions = decode_joint_state(message)
        return stamp_ns, positions[[names.index(name) for name in self._names]]

    def _on_image(self, message: Any) -> None:
        stamp_ns = header_ns(message)
        newest = self._frames[-1].stamp_ns if self._frames else -(2**62)
        if self.engaged and stamp_ns - newest >= self._frame_every_ns:
            self._frames.append(FrameRecord.encode(stamp_ns, decode_image(message)))
