# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Windows are read as the package's own decoder reads them, and samples survive the way there and back."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs rclpy: a sourced ROS distribution, or the extra ros-jazzy')

from rclpy.serialization import deserialize_message, serialize_message
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dp_ros.action.window import Window
from dp_ros.errors import MessageError
from dp_ros.messages.trajectory import decode_trajectory, fill_window
from dp_ros.nodes.fault_ports import chunk_message, chunk_sample, joints_message, window_of
from dp_ros.simulation.fault_stream import Sample


@pytest.mark.parametrize('points', [1, 2, 14])
@pytest.mark.parametrize('names', [('a',), ('ab', 'abc', 'abcd'), ('left_arm_waist', 'left_arm_shoulder')])
@pytest.mark.parametrize('frame_id', ['', 'x', 'cafe1234:12:345'])
def test_a_window_is_read_as_the_decoder_reads_it(points, names, frame_id):
    rng = np.random.default_rng(points)
    shape = (points, len(names))
    times = np.arange(points, dtype=np.int64) * 20_000_000 + 3
    window = Window(123_456_789_012_345, times, rng.standard_normal(shape), rng.standard_normal(shape))
    message = JointTrajectory()
    fill_window(message, window, names, frame_id, JointTrajectoryPoint)
    read, expected = window_of(message), decode_trajectory(message)
    assert (read.stamp_ns, read.frame_id, read.joint_names) == (
        expected.stamp_ns,
        expected.frame_id,
        expected.joint_names,
    )
    for field in ('times_ns', 'positions', 'velocities'):
        np.testing.assert_array_equal(getattr(read, field), getattr(expected, field))


def test_a_window_that_is_none_is_refused():
    message = JointTrajectory(joint_names=['a', 'b'])
    message.points = [JointTrajectoryPoint(positions=[1.0, 2.0])]
    with pytest.raises(MessageError, match='velocities'):
        window_of(message)


def test_what_is_wrong_with_a_sample_is_wrong_with_its_message():
    rows = (np.array([1.0, np.nan]), np.array([3.0]))
    sample = Sample(5_000_000_001, ('a', 'b'), rows, (0, 40), 'cafe:1:2')
    message = deserialize_message(serialize_message(chunk_message(sample)), JointTrajectory)
    back = chunk_sample(message)
    assert (back.stamp_ns, back.names, back.times_ns, back.frame_id) == (
        5_000_000_001,
        ('a', 'b'),
        (0, 40),
        'cafe:1:2',
    )
    for sent, received in zip(rows, back.rows, strict=True):
        np.testing.assert_array_equal(sent, received)
    joints = joints_message(Sample(1, ('a', 'b', 'c'), (np.array([1.0]),)))
    assert (list(joints.name), list(joints.position)) == (['a', 'b', 'c'], [1.0])
