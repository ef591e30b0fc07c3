# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Samples of the fault tests to messages and back; unlike the package's own converters they write what is wrong too."""

from array import array

import numpy as np
from builtin_interfaces.msg import Duration
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dp_ros.errors import MessageError
from dp_ros.messages.image import fill_image
from dp_ros.messages.stamps import fill_time, header_ns, to_ns
from dp_ros.messages.trajectory import Trajectory
from dp_ros.simulation.fault_stream import Sample


def clock_message(sample: Sample) -> Clock:
    """The time of a sample."""
    message = Clock()
    fill_time(message.clock, sample.stamp_ns)
    return message


def joints_message(sample: Sample) -> JointState:
    """Names and positions, as many of each as there are."""
    message = JointState()
    fill_time(message.header.stamp, sample.stamp_ns)
    message.name = list(sample.names)
    row = sample.rows[0] if sample.rows else np.zeros(0)
    message.position = array('d', np.asarray(row, np.float64).tobytes())
    return message


def image_message(sample: Sample, picture: np.ndarray) -> Image:
    """A picture (H, W, 3) with the stamp and the frame of a sample; a sample without rows lost its pixels."""
    message = Image()
    fill_image(message, picture, sample.stamp_ns, sample.frame_id)
    if not sample.rows:
        message.data = array('B')
    return message


def chunk_message(sample: Sample) -> JointTrajectory:
    """A chunk, point by point."""
    message = JointTrajectory()
    fill_time(message.header.stamp, sample.stamp_ns)
    message.header.frame_id = sample.frame_id
    message.joint_names = list(sample.names)
    for time_ns, row in zip(sample.times_ns, sample.rows, strict=True):
        point = JointTrajectoryPoint(time_from_start=Duration())
        fill_time(point.time_from_start, time_ns)
        point.positions = array('d', np.asarray(row, np.float64).tobytes())
        message.points.append(point)
    return message


def window_of(message: JointTrajectory) -> Trajectory:
    """A window as a controller reads it; the soak reads hundreds a second, so without a look at each field.

    Raises:
        MessageError: the points do not have one position and one velocity for each joint.
    """
    points = message.points
    shape = (len(points), len(message.joint_names))
    positions = np.frombuffer(b''.join(point.positions.tobytes() for point in points))
    velocities = np.frombuffer(b''.join(point.velocities.tobytes() for point in points))
    if positions.size != shape[0] * shape[1] or velocities.size != positions.size:
        raise MessageError(f'window: {positions.size} positions, {velocities.size} velocities for {shape}')
    times = np.array([to_ns(point.time_from_start) for point in points], np.int64)
    names, frame_id = tuple(message.joint_names), message.header.frame_id
    return Trajectory(
        header_ns(message), frame_id, names, times, positions.reshape(shape), velocities.reshape(shape)
    )


def chunk_sample(message: JointTrajectory) -> Sample:
    """A chunk as it was received."""
    return Sample(
        header_ns(message),
        tuple(message.joint_names),
        tuple(np.array(point.positions, np.float64) for point in message.points),
        tuple(to_ns(point.time_from_start) for point in message.points),
        message.header.frame_id,
    )
