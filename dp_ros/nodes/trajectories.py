# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Trajectories as bytes, by rclpy's serializer: publishers take them as they are, `raw` subscriptions give them."""

from rclpy.serialization import deserialize_message, serialize_message
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dp_ros.messages.trajectory_bytes import TrajectoryReader, TrajectoryWriter


def trajectory_writer() -> TrajectoryWriter:
    """What makes the bytes of trajectories; not thread-safe."""
    return TrajectoryWriter(serialize_message, JointTrajectory, JointTrajectoryPoint)


def trajectory_reader() -> TrajectoryReader:
    """What reads the bytes of one topic's trajectories; not thread-safe."""
    return TrajectoryReader(lambda raw: deserialize_message(raw, JointTrajectory), trajectory_writer())
