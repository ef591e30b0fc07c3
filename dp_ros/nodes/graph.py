# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Questions to the ROS graph: is this node alone with its name, who else publishes on a topic."""

import time

from rclpy.node import Node

from dp_ros.errors import ConfigError

_POLL_S = 0.05
# A participant that was killed stays in the graph of the others until its lease ends.
_GHOST = 'a node that was killed stays visible for up to 20 s'


def require_only_one(node: Node, seconds: float) -> None:
    """Watch the graph for ``seconds`` of wall clock and refuse where a second node of the same name is in it.

    Two nodes of one name answer each other's service calls, so neither can be commanded safely. Absence cannot
    be waited for, hence the fixed time: discovery needs a few hundred milliseconds.

    Raises:
        ConfigError: names the node and says how to go on.
    """
    end = time.monotonic() + seconds
    while True:
        if namesakes(node):
            raise ConfigError(
                f'a node {node.get_fully_qualified_name()} already runs: stop it, or give this one another '
                f'namespace ({_GHOST})'
            )
        if time.monotonic() >= end:
            return
        time.sleep(_POLL_S)


def namesakes(node: Node) -> int:
    """Number of other nodes of the same full name that the graph shows now."""
    name = (node.get_name(), node.get_namespace())
    return max(0, list(node.get_node_names_and_namespaces()).count(name) - 1)


def publishers(node: Node, topic: str) -> list[str]:
    """Full names of the nodes that publish on ``topic``, sorted, one entry a publisher."""
    found = node.get_publishers_info_by_topic(node.resolve_topic_name(topic))
    return sorted(f'{i.node_namespace.rstrip("/")}/{i.node_name}' for i in found)


def foreign_publishers(node: Node, topic: str, own: int) -> list[str]:
    """Publishers on ``topic`` beyond the ``own`` of this node; empty where it has the topic to itself."""
    everyone = publishers(node, topic)
    me = node.get_fully_qualified_name()
    others = [n for n in everyone if n != me]
    # A second node of the same name shows as one publisher too many under our own name.
    return others + [me] * max(0, everyone.count(me) - own)
