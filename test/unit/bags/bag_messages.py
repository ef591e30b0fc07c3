# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Messages of rosbags' types, built by hand."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rosbags.typesys import Stores, get_typestore

SECOND_NS = 1_000_000_000
STORE = get_typestore(Stores.ROS2_JAZZY)
IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
JOINT_STATE, TRAJECTORY = 'sensor_msgs/msg/JointState', 'trajectory_msgs/msg/JointTrajectory'
ARRAY, POSE, TEXT = 'std_msgs/msg/Float64MultiArray', 'geometry_msgs/msg/PoseStamped', 'std_msgs/msg/String'
NO_FLOATS = np.zeros(0)


def picture(size: tuple[int, int], number: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Frame ``number`` of a camera: (H, W, 3) RGB, a smooth pattern that moves and never repeats soon."""
    y, x = np.mgrid[: size[0], : size[1]]
    shift = 7 * number + 31 * seed
    rgb = np.stack([x * 3 + shift, y * 5 + 2 * shift, x + y + 3 * shift], axis=2)
    return (np.abs(rgb % 511 - 255)).astype(np.uint8)


def header(stamp_ns: int, frame_id: str = '') -> Any:
    """A header of rosbags' types."""
    stamp = STORE.types['builtin_interfaces/msg/Time'](*divmod(stamp_ns, SECOND_NS))
    return STORE.types['std_msgs/msg/Header'](stamp, frame_id)


def image_message(rgb: npt.NDArray[np.uint8], encoding: str, stamp_ns: int, frame_id: str = 'top') -> Any:
    """An Image or, for 'jpeg' and 'png', a CompressedImage of these pixels; others may be called whatever they like."""
    if encoding in ('jpeg', 'png'):
        data = cv2.imencode(f'.{encoding}', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1]
        return STORE.types[COMPRESSED](header(stamp_ns, frame_id), encoding, data)
    pixels = ENCODERS.get(encoding, lambda rgb: rgb)(rgb)
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(rgb), -1)
    return STORE.types[IMAGE](
        header(stamp_ns, frame_id), rgb.shape[0], rgb.shape[1], encoding, 0, rows.shape[1], rows.reshape(-1)
    )


def trajectory_message(
    names: Sequence[str], stamp_ns: int, times_ns: Sequence[int], positions: Any, velocities: Any = None
) -> Any:
    """A JointTrajectory: positions (N, A), velocities (N, A) or None."""
    points = [
        STORE.types['trajectory_msgs/msg/JointTrajectoryPoint'](
            np.asarray(positions[i], np.float64),
            NO_FLOATS if velocities is None else np.asarray(velocities[i], np.float64),
            NO_FLOATS,
            NO_FLOATS,
            STORE.types['builtin_interfaces/msg/Duration'](*divmod(int(times_ns[i]), SECOND_NS)),
        )
        for i in range(len(times_ns))
    ]
    return STORE.types[TRAJECTORY](header(stamp_ns), list(names), points)


def joint_message(names: Sequence[str], stamp_ns: int, positions: npt.ArrayLike) -> Any:
    """A JointState without velocities."""
    values = np.asarray(positions, np.float64)
    return STORE.types[JOINT_STATE](header(stamp_ns), list(names), values, NO_FLOATS, NO_FLOATS)


def array_message(values: npt.ArrayLike) -> Any:
    """A Float64MultiArray."""
    layout = STORE.types['std_msgs/msg/MultiArrayLayout']([], 0)
    return STORE.types[ARRAY](layout, np.asarray(values, np.float64))


def pose_message(stamp_ns: int, frame_id: str, position: npt.ArrayLike, quaternion: npt.ArrayLike) -> Any:
    """A PoseStamped; quaternion (x, y, z, w)."""
    place = STORE.types['geometry_msgs/msg/Point'](*np.asarray(position, np.float64).tolist())
    turn = STORE.types['geometry_msgs/msg/Quaternion'](*np.asarray(quaternion, np.float64).tolist())
    return STORE.types[POSE](header(stamp_ns, frame_id), STORE.types['geometry_msgs/msg/Pose'](place, turn))


def text_message(text: str) -> Any:
    """A String."""
    return STORE.types[TEXT](text)


ENCODERS: dict[str, Callable[[npt.NDArray[np.uint8]], npt.NDArray[Any]]] = {
    'rgb8': lambda rgb: rgb,
    'bgr8': lambda rgb: rgb[..., ::-1],
    'rgba8': lambda rgb: np.concatenate([rgb, np.full_like(rgb[..., :1], 200)], axis=2),
    'bgra8': lambda rgb: np.concatenate([rgb[..., ::-1], np.full_like(rgb[..., :1], 200)], axis=2),
    'mono8': lambda rgb: rgb[..., 1],
    'mono16': lambda rgb: rgb[..., 1].astype(np.uint16) * 257,
    '16UC1': lambda rgb: rgb[..., 1].astype(np.uint16) * 10,
    '32FC1': lambda rgb: rgb[..., 1].astype(np.float32) / 100,
}
