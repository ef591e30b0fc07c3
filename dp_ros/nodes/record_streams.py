# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What record_node listens to, and how: the topics of a binding, and others by name."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Qos

from dp_ros.bags.writer import offered_qos
from dp_ros.contract.binding import Binding
from dp_ros.contract.binding_actions import controllers_actions
from dp_ros.nodes.diagnostics import RateMeter
from dp_ros.nodes.message_class import message_class
from dp_ros.observation.intake import JOINTS_TYPE, POSE_TYPE

# A recorder that lags for a second must not lose what it is there to keep.
_DEPTH, _IMAGES_DEPTH = 1000, 60
# Latched messages of so many publishers of one topic are kept, such as those of /tf_static.
_LATCHED_DEPTH = 100
_DESCRIPTION_TYPE = 'std_msgs/msg/String'


class Stream:
    """One topic that is recorded.

    Args:
        topic: absolute.
        kind: its type, such as 'sensor_msgs/msg/Image'.
        reliable, latched, depth: how it is subscribed to.

    Attributes:
        meter: messages that arrived.
        lost: messages that the middleware says it lost.
        offered: what its publishers offer; None before the first message.
        kept: the newest latched messages.
    """

    def __init__(self, topic: str, kind: str, *, reliable: bool, latched: bool = False, depth: int = _DEPTH):
        self.topic, self.kind, self.latched = topic, kind, latched
        self.profile = QoSProfile(
            depth=depth,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        self.meter = RateMeter()
        self.lost = 0
        self.offered: Qos | None = None
        self.kept: deque[bytes] = deque(maxlen=depth if latched else 0)

    def subscribe(self, node: Node, callback: Any) -> None:
        """Serialized messages to ``callback``, untouched.

        Raises:
            ConfigError: the type is not installed.
        """
        events = SubscriptionEventCallbacks(message_lost=self._on_lost)
        node.create_subscription(
            message_class(self.kind), self.topic, callback, self.profile, raw=True, event_callbacks=events
        )

    def look(self, node: Node) -> Qos:
        """What the publishers offer, as seen at the first message."""
        if self.offered is None:
            found = [info.qos_profile for info in node.get_publishers_info_by_topic(self.topic)]
            profile = found[0] if found else self.profile
            self.offered = offered_qos(
                reliable=profile.reliability == ReliabilityPolicy.RELIABLE,
                latched=profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
                # Discovery does not tell the depth of a publisher.
                depth=profile.depth or 10,
            )
        return self.offered

    def _on_lost(self, event: Any) -> None:
        self.lost += event.total_count_change


def binding_streams(node: Node, binding: Binding) -> list[Stream]:
    """One stream a topic of the binding: what is measured, seen, commanded, and the robot description."""
    streams: dict[str, Stream] = {}

    def add(topic: str, kind: str, **how: Any) -> None:
        name = node.resolve_topic_name(topic)
        streams.setdefault(name, Stream(name, kind, **how))

    for joints in binding.joint_states:
        add(joints.topic, JOINTS_TYPE, reliable=joints.qos == 'reliable')
    for pose in binding.pose_states:
        add(pose.topic, POSE_TYPE, reliable=pose.qos == 'reliable')
    for vector in binding.vectors.values():
        add(vector.topic, vector.type, reliable=vector.qos == 'reliable')
    for camera in binding.cameras.values():
        add(camera.topic, camera.type, reliable=camera.qos == 'reliable', depth=_IMAGES_DEPTH)
    for source in (*binding.action_sources(), *controllers_actions(binding.arms)):
        # What reaches a controller is sent reliably; a leader arm's driver may send as sensors do.
        add(source.topic, source.type, reliable=source.type not in (JOINTS_TYPE, POSE_TYPE))
    if binding.robot_description:
        add(binding.robot_description, _DESCRIPTION_TYPE, reliable=True, latched=True, depth=1)
    return list(streams.values())


def extra_stream(node: Node, topic: str) -> Stream | None:
    """A stream that takes whatever the publishers of a topic offer; None where there are none yet."""
    found = node.get_publishers_info_by_topic(topic)
    if not found:
        return None
    profiles = [info.qos_profile for info in found]
    latched = all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in profiles)
    return Stream(
        topic,
        found[0].topic_type,
        reliable=all(p.reliability == ReliabilityPolicy.RELIABLE for p in profiles),
        latched=latched,
        depth=_LATCHED_DEPTH if latched else _DEPTH,
    )


def silent(streams: Sequence[Stream]) -> list[str]:
    """Topics without a message in the last seconds, latched ones aside."""
    return [s.topic for s in streams if not s.latched and not s.meter.rate_hz]
