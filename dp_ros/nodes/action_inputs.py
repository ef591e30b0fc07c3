# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What action_node hears: chunks, measured joints, the emergency stop and the dead-man switch."""

import contextlib
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from dp_ros.action.window import Window
from dp_ros.contract.binding import Binding, PoseStateBinding
from dp_ros.errors import ChunkError, MessageError
from dp_ros.messages.joint_state import decode_joint_state
from dp_ros.messages.pose import decode_pose
from dp_ros.messages.trajectory import chunk_of
from dp_ros.nodes import qos
from dp_ros.nodes.diagnostics import RateMeter
from dp_ros.nodes.motion import Motion
from dp_ros.nodes.trajectories import trajectory_reader


class ActionInputs:
    """Subscriptions that turn messages into calls of :class:`Motion`.

    Args:
        node: the node to subscribe with; its clock is the time of everything.
        motion: what decides.
        binding: where the joint states come from.
        chunk_topic: where the chunks come from.
        preview_topic: what the policy would do if it were engaged; empty: not listened to.
        deadman: whether there is a dead-man switch.
        after: called after every message that may change the state or make a window due, with the window if any.
    """

    def __init__(
        self,
        node: Node,
        motion: Motion,
        binding: Binding,
        chunk_topic: str,
        preview_topic: str,
        deadman: bool,
        after: Callable[[Window | None], None],
    ):
        self._node, self._motion, self._after = node, motion, after
        self.active = False
        self.trouble = ''
        self.rates = {name: RateMeter() for name in ('joints', 'chunks')}
        self.subscriptions: list[Any] = []
        self._chunks, self._previews = trajectory_reader(), trajectory_reader()

        def subscribe(kind: Any, topic: str, callback: Any, profile: Any, **more: Any) -> None:
            self.subscriptions.append(node.create_subscription(kind, topic, callback, profile, **more))

        # As bytes: objects for all of a chunk's points would cost more than everything else that happens to it here.
        subscribe(JointTrajectory, chunk_topic, self._on_chunk, qos.COMMAND, raw=True)
        if preview_topic:
            subscribe(JointTrajectory, preview_topic, self._on_preview, qos.COMMAND, raw=True)
        for joints in binding.joint_states:
            subscribe(JointState, joints.topic, self._on_joints, qos.sensor(joints.qos, qos.JOINTS_DEPTH))
        for pose in binding.pose_states:
            profile = qos.sensor(pose.qos, qos.JOINTS_DEPTH)
            subscribe(PoseStamped, pose.topic, partial(self._on_pose, pose), profile)
        # A stop must be heard from a publisher that latches, also by who comes late, and from one that does not.
        subscribe(Bool, '~/estop', self._on_estop, qos.SWITCH)
        quiet = SubscriptionEventCallbacks(incompatible_qos=lambda _: None, use_default_callbacks=False)
        subscribe(Bool, '~/estop', self._on_estop, qos.SWITCH_LATCHED, event_callbacks=quiet)
        if deadman:
            subscribe(Bool, '~/deadman', self._on_deadman, qos.SWITCH)

    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _on_joints(self, message: JointState) -> None:
        self._measured(lambda: decode_joint_state(message))

    def _on_pose(self, pose: PoseStateBinding, message: PoseStamped) -> None:
        def decoded() -> tuple[int, Sequence[str], Any]:
            stamp_ns, row = decode_pose(message, pose.frame_id)
            return stamp_ns, pose.columns, row

        self._measured(decoded)

    def _measured(self, decode: Callable[[], tuple[int, Sequence[str], Any]]) -> None:
        now_ns = self._now_ns()
        try:
            stamp_ns, names, positions = decode()
            self._motion.measured.put(stamp_ns or now_ns, names, positions, now_ns)
        except MessageError as error:
            self._motion.counters['joint_states_refused'] += 1
            self.trouble = str(error)
            self._node.get_logger().warning(str(error), throttle_duration_sec=1.0)
            return
        self.rates['joints'].hit()

    def _on_chunk(self, raw: bytes) -> None:
        self.rates['chunks'].hit()
        if not self.active:
            return
        now_ns, window = self._now_ns(), None
        try:
            chunk = chunk_of(self._chunks.read(raw))
        except (MessageError, ChunkError) as error:
            self._motion.refused(error, now_ns)
            self._say_refused(error)
        else:
            try:
                window = self._motion.chunk(chunk, now_ns)
            except ChunkError as error:
                self._say_refused(error)
            except Exception as error:
                # No message may end the process that brakes the arms.
                reason = f'a chunk cannot be used: {type(error).__name__}: {error}'
                self._node.get_logger().error(f'{reason}\n{traceback.format_exc()}')
                self._motion.fault(now_ns, 'chunk_error', reason)
        self._after(window)

    def _on_preview(self, raw: bytes) -> None:
        # A preview that is no chunk leads to chunks that are none: the gates say so then.
        with contextlib.suppress(MessageError, ChunkError):
            self._motion.previewed = chunk_of(self._previews.read(raw))

    def _say_refused(self, error: Exception) -> None:
        self._node.get_logger().warning(f'chunk refused, {error}', throttle_duration_sec=1.0)

    def _on_estop(self, message: Bool) -> None:
        self._motion.estop(message.data, self._now_ns())
        self._after(None)

    def _on_deadman(self, message: Bool) -> None:
        self._motion.deadman_heard(message.data, self._now_ns())
        self._after(None)
