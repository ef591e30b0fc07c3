# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What action_node shows to people and other nodes: ~/state, ~/engaged, ~/preview, ~/executed."""

from collections.abc import Callable
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import Bool, String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.supervisor import State
from dp_ros.action.window import Window
from dp_ros.messages.trajectory import fill_chunk, fill_window
from dp_ros.nodes import qos


class ActionViews:
    """Publishers that nothing depends on; what is large is made only while somebody looks.

    Args:
        node: for its log.
        joint_names: columns of chunks and windows.
        publisher: makes a publisher from type, topic and profile.
    """

    def __init__(self, node: Node, joint_names: tuple[str, ...], publisher: Callable[..., Any]):
        self._node, self._joint_names = node, joint_names
        self._states = publisher(String, '~/state', qos.LATCHED)
        self._engaged = publisher(Bool, '~/engaged', qos.LATCHED)
        self._preview = publisher(JointTrajectory, '~/preview', qos.VIEW)
        self._executed = publisher(JointTrajectory, '~/executed', qos.COMMAND)
        self._said = ''

    def state(self, state: State) -> None:
        """Say the state where it changed."""
        text = str(state)
        if text == self._said:
            return
        self._said = text
        self._states.publish(String(data=text))
        self._engaged.publish(Bool(data=state.engaged))
        self._node.get_logger().info(text)

    def chunk(self, chunk: ActionChunk) -> None:
        """An accepted chunk."""
        if self._preview.get_subscription_count():
            message = JointTrajectory()
            fill_chunk(message, chunk, JointTrajectoryPoint)
            self._preview.publish(message)

    def window(self, window: Window, chunk_id: str) -> None:
        """A window of all joints in one message, as published to the controllers or, in a dry run, as it would be."""
        if self._executed.get_subscription_count():
            message = JointTrajectory()
            fill_window(message, window, self._joint_names, chunk_id, JointTrajectoryPoint)
            self._executed.publish(message)

    def flush(self, seconds: float) -> None:
        """Wait until those who listen to the state have heard it."""
        for publisher in (self._engaged, self._states):
            publisher.wait_for_all_acked(Duration(seconds=seconds))
