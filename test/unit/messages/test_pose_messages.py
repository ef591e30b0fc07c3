# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Stamped poses of every kind of message."""

from types import SimpleNamespace

import numpy as np
import pytest
from message_kinds import bag_header, bag_type, header, live_type

from dp_ros.action.pose import pose_to_quaternion
from dp_ros.errors import MessageError
from dp_ros.messages.pose import decode_pose, fill_pose

# A third of a turn about the diagonal: x becomes y, y becomes z.
ROW = np.array([0.1, -0.2, 0.3, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])


def empty_pose(kind):
    if kind == 'live':
        return live_type('geometry_msgs', 'PoseStamped')()
    if kind == 'bag':
        point = bag_type('geometry_msgs/msg/Point')(0.0, 0.0, 0.0)
        turn = bag_type('geometry_msgs/msg/Quaternion')(0.0, 0.0, 0.0, 0.0)
        pose = bag_type('geometry_msgs/msg/Pose')(point, turn)
        return bag_type('geometry_msgs/msg/PoseStamped')(bag_header(), pose)
    pose = SimpleNamespace(position=SimpleNamespace(), orientation=SimpleNamespace())
    return SimpleNamespace(header=header(), pose=pose)


@pytest.mark.parametrize('kind', ['plain', 'bag', 'live'])
def test_what_is_filled_in_reads_back(kind):
    message = empty_pose(kind)
    fill_pose(message, 12_345_678_901, 'base', *pose_to_quaternion(ROW))
    assert message.pose.orientation.w == pytest.approx(0.5)
    stamp_ns, row = decode_pose(message, 'base')
    assert stamp_ns == 12_345_678_901
    np.testing.assert_allclose(row, ROW, atol=1e-12)


def test_another_frame_and_numbers_that_are_no_pose_are_refused():
    message = empty_pose('plain')
    fill_pose(message, 0, 'world', *pose_to_quaternion(ROW))
    with pytest.raises(MessageError, match="must be given in frame 'base', got frame 'world'"):
        decode_pose(message, 'base')
    message.pose.position.y = np.nan
    with pytest.raises(MessageError, match=r'position .* is not finite'):
        decode_pose(message, 'world')
    message.pose.position.y = 0.0
    message.pose.orientation.w = 0.0
    with pytest.raises(MessageError, match='must have length 1'):
        decode_pose(message, 'world')
    with pytest.raises(MessageError, match='not all finite'):
        fill_pose(message, 0, 'base', np.array([0.0, np.inf, 0.0]), np.array([0, 0, 0, 1.0]))
