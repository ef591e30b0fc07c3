# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Which topics of a bag are published, with which QoS, and as what."""

from collections.abc import Mapping
from typing import Any

import yaml
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from dp_ros.bags.jpeg import COMPRESSED_SUFFIX, COMPRESSED_TYPE, IMAGE_TYPE
from dp_ros.bags.marks import EPISODE_TOPIC_SUFFIX, MARK_TYPE
from dp_ros.bags.reader import Bag, BagMessage
from dp_ros.bags.topics import absolute
from dp_ros.contract.binding import Binding
from dp_ros.errors import ConfigError
from dp_ros.messages.image import decode_image, fill_image
from dp_ros.messages.stamps import header_ns
from dp_ros.nodes.message_class import message_class

CLOCK = '/clock'
# Nobody who listens at all should lose a message because the player publishes in bursts.
_MIN_DEPTH = 50


class Outlet:
    """One topic of a bag on the graph: messages go out as they were recorded."""

    def __init__(self, publisher: Any):
        self.publisher = publisher

    def send(self, message: BagMessage) -> None:
        """Publish a message of the bag.

        Raises:
            BagError, MessageError: it must be decoded for that, and cannot be.
        """
        self.publisher.publish(bytes(message.raw))


class RawOutlet(Outlet):
    """For a camera that was recorded as JPEG only: the Image that its robot publishes."""

    def send(self, message: BagMessage) -> None:
        """Publish a CompressedImage as an Image."""
        compressed, image = message.decode(), Image()
        fill_image(image, decode_image(compressed), header_ns(compressed), compressed.header.frame_id)
        self.publisher.publish(image)


def make_outlets(
    node: Node, bag: Bag, topics: list[str], binding: Binding | None, reliable: bool
) -> Mapping[str, Outlet]:
    """An outlet for each topic; a topic that cannot be published is left out, and said in the log.

    Args:
        node: whose publishers they are.
        bag: what is played.
        topics: of the bag; empty: what a robot with the binding says, or everything where there is none.
        binding: of the robot.
        reliable: publish reliably, however it was recorded.

    Raises:
        ConfigError: the bag lacks a topic, or nothing is left.
    """
    missing = sorted(set(topics) - set(bag.topics))
    if missing:
        raise ConfigError(f'bag {bag.name!r} has no topics {missing}; it has {list(bag.topics)}')
    raw = {} if binding is None else _recorded_as_jpeg(node, bag, binding)
    made: dict[str, Outlet] = {}
    for topic in topics or _said_by(node, bag, binding, raw):
        info = bag.topics[topic]
        profile = offered(info.qos, reliable)
        if topic in raw:
            made[topic] = RawOutlet(node.create_publisher(Image, raw[topic], profile))
            continue
        try:
            kind = message_class(info.type)
        except ConfigError as error:
            node.get_logger().warning(f'topic {topic} is skipped: {error}')
            continue
        made[topic] = Outlet(node.create_publisher(kind, topic, profile))
    if not made:
        why = ''.join(f'; {problem}' for problem in bag.problems)
        raise ConfigError(f'bag {bag.name!r}: there is nothing to publish; it has {list(bag.topics)}{why}')
    return made


def _said_by(node: Node, bag: Bag, binding: Binding | None, raw: Mapping[str, str]) -> list[str]:
    """The topics of the robot and the marks of episodes; without a binding all that can be read."""
    if binding is None:
        return [topic for topic, info in bag.topics.items() if topic != CLOCK and not info.problem]
    parts: list[Any] = [
        *binding.joint_states,
        *binding.pose_states,
        *binding.cameras.values(),
        *binding.vectors.values(),
        *binding.action_sources(),
    ]
    topics = [part.topic for part in parts] + [binding.robot_description] * bool(binding.robot_description)
    names = {absolute(topic, node.get_namespace()) for topic in topics}
    return [
        topic
        for topic, info in bag.topics.items()
        if node.resolve_topic_name(topic) in names
        or topic in raw
        or (info.type == MARK_TYPE and topic.endswith(EPISODE_TOPIC_SUFFIX))
    ]


def _recorded_as_jpeg(node: Node, bag: Bag, binding: Binding) -> dict[str, str]:
    """Topic of the bag to the topic of the robot, for raw cameras of which the recorder kept JPEGs."""
    wanted = {
        absolute(camera.topic, node.get_namespace())
        for camera in binding.cameras.values()
        if camera.type == IMAGE_TYPE
    }
    return {
        topic + COMPRESSED_SUFFIX: topic
        for topic in wanted - set(bag.topics)
        if (info := bag.topics.get(topic + COMPRESSED_SUFFIX)) and info.type == COMPRESSED_TYPE
    }


def offered(profiles: str, reliable: bool = False) -> QoSProfile:
    """The QoS to publish with where a bag says that this was offered (YAML text, maybe of several publishers).

    Reliable and latched only where all publishers were, as a subscriber had to ask for no more than that; where the bag
    says nothing, reliable. ``reliable``: in any case.
    """
    try:
        found = yaml.safe_load(profiles) if profiles else None
    except yaml.YAMLError:
        found = None
    known = [profile for profile in found or [] if isinstance(profile, dict)]

    def all_say(key: str, *legal: object) -> bool:
        return all(str(profile.get(key)).lower() in map(str, legal) for profile in known)

    latched = bool(known) and all_say('durability', 'transient_local', 1)
    depths = [profile['depth'] for profile in known if isinstance(profile.get('depth'), int)]
    return QoSProfile(
        depth=max([1 if latched else _MIN_DEPTH, *depths]),
        reliability=(
            ReliabilityPolicy.RELIABLE
            if reliable or all_say('reliability', 'reliable', 1)
            else ReliabilityPolicy.BEST_EFFORT
        ),
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
