# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The robot description that a recorder kept."""

from dp_ros.bags.reader import Bag
from dp_ros.contract.robot_model import RobotModel
from dp_ros.contract.urdf import parse_urdf
from dp_ros.errors import BagError, ContractError


def described_robot(bag: Bag, topic: str) -> RobotModel | None:
    """The first description on a topic (absolute); None where there is none, and a problem where it is damaged."""
    info = bag.topics.get(topic)
    if info is None or info.problem or not info.count:
        return None
    try:
        message = next(bag.messages([topic]), None)
        return None if message is None else parse_urdf(str(message.decode().data), f'topic {topic}')
    except (AttributeError, BagError, ContractError) as error:
        bag.problems.add(f'no limits from the robot description: {error}')
        return None
