# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""geometry_msgs PoseStamped: the nine columns of a pose."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dp_ros.action.pose import pose_from_quaternion
from dp_ros.errors import MessageError
from dp_ros.messages.stamps import fill_time, header_ns

Array = npt.NDArray[np.float64]


def decode_pose(message: Any, frame_id: str) -> tuple[int, Array]:
    """Stamp in nanoseconds and the nine columns (9,) of a PoseStamped.

    Args:
        message: the message.
        frame_id: the frame in which the pose must be given; nothing is transformed here.

    Raises:
        MessageError: another frame, a quaternion that is no rotation, or a position that is not finite.
    """
    found = str(message.header.frame_id)
    if found != frame_id:
        raise MessageError(f'pose: must be given in frame {frame_id!r}, got frame {found!r}')
    place, turn = message.pose.position, message.pose.orientation
    position = np.array([place.x, place.y, place.z], np.float64)
    if not np.all(np.isfinite(position)):
        raise MessageError(f'pose: position {position.tolist()} is not finite')
    return header_ns(message), pose_from_quaternion(position, [turn.x, turn.y, turn.z, turn.w])


def fill_pose(message: Any, stamp_ns: int, frame_id: str, position: Array, quaternion: Array) -> None:
    """Write a position (3,) in m and a unit quaternion (x, y, z, w) into a PoseStamped.

    Raises:
        MessageError: a number is not finite.
    """
    numbers = [float(value) for value in (*position, *quaternion)]
    if not np.all(np.isfinite(numbers)):
        raise MessageError(f'pose for frame {frame_id!r}: {numbers} are not all finite')
    fill_time(message.header.stamp, stamp_ns)
    message.header.frame_id = frame_id
    place, turn = message.pose.position, message.pose.orientation
    place.x, place.y, place.z = numbers[:3]
    turn.x, turn.y, turn.z, turn.w = numbers[3:]
