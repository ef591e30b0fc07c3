# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The robot description of a running robot, from its latched topic."""

import time
from typing import Any

from rclpy.node import Node
from std_msgs.msg import String

from dp_ros.contract.robot_model import RobotModel
from dp_ros.contract.urdf import parse_urdf
from dp_ros.errors import ContractError
from dp_ros.nodes import qos

_POLL_S = 0.01


class RobotModelListener:
    """Listens to the URDF that robot_state_publisher or a controller manager latches.

    Args:
        node: to subscribe with.
        topic: of std_msgs/String.

    Attributes:
        subscription: to destroy with the node's other entities.
        trouble: why the newest description could not be read; empty where it could, or where none came.
    """

    def __init__(self, node: Node, topic: str):
        self._node, self.topic = node, topic
        self._model: RobotModel | None = None
        self.trouble = ''
        self._came = False
        self.subscription: Any = node.create_subscription(String, topic, self._on_text, qos.LATCHED)

    @property
    def model(self) -> RobotModel | None:
        """The newest description that could be read; None before there was one."""
        return self._model

    def wait(self, seconds: float) -> RobotModel | None:
        """The description, waiting up to ``seconds`` of wall clock for the first message; None where none came.

        It takes from the subscription itself, so that a lifecycle transition may wait here: the node's one executor
        thread is the one that waits, and would deliver nothing meanwhile.
        """
        end = time.monotonic() + seconds
        while not self._came and time.monotonic() < end:
            handle = self.subscription.handle
            with handle:
                taken = handle.take_message(String, False)
            if taken is None:
                time.sleep(_POLL_S)
            else:
                self._on_text(taken[0])
        return self._model

    def _on_text(self, message: String) -> None:
        try:
            self._model = parse_urdf(message.data, where=self.topic)
            self.trouble = ''
        except ContractError as error:
            self.trouble = str(error)
            self._node.get_logger().error(self.trouble)
        self._came = True
