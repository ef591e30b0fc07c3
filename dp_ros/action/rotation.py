# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Rotations as networks like them, as robots like them, and as messages like them.

Six numbers, the first two columns of the rotation matrix, are the continuous representation of Zhou et al. (2019): no
two of them jump where the rotation does not. Matrices are (3, 3), quaternions (x, y, z, w) as in ROS.
"""

import numpy as np
import numpy.typing as npt
from transforms3d.quaternions import mat2quat, quat2mat

from dp_ros.errors import ChunkError, MessageError

Array = npt.NDArray[np.float64]

# Shorter than this, a column no longer says which way it points: noise turns it by tens of degrees.
MIN_LENGTH = 0.1
_UNIT_TOLERANCE = 0.1


def rotation_from_6d(columns: npt.ArrayLike) -> Array:
    """The rotation (..., 3, 3) of six numbers (..., 6): a keeps its direction, b is made normal to it.

    Raises:
        ChunkError: gate 'finite', where a or what b adds to it is shorter than MIN_LENGTH, or not finite.
    """
    six = np.asarray(columns, np.float64)
    a, b = six[..., :3], six[..., 3:]
    length = np.linalg.norm(a, axis=-1, keepdims=True)
    _require_long(length, 'a')
    _require_long(np.linalg.norm(b, axis=-1), 'b')
    first = a / length
    across = b - np.sum(first * b, axis=-1, keepdims=True) * first
    length = np.linalg.norm(across, axis=-1, keepdims=True)
    _require_long(length, 'b, normal to a,')
    second = across / length
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def rotation_to_6d(rotation: npt.ArrayLike) -> Array:
    """The first two columns of rotations (..., 3, 3) as (..., 6)."""
    matrix = np.asarray(rotation, np.float64)
    return np.concatenate([matrix[..., 0], matrix[..., 1]], axis=-1)


def quaternion_from_rotation(rotation: Array) -> Array:
    """Unit quaternion (x, y, z, w) of a rotation (3, 3), w not negative."""
    w, x, y, z = mat2quat(rotation)
    return np.array([x, y, z, w], np.float64)


def rotation_from_quaternion(quaternion: npt.ArrayLike) -> Array:
    """Rotation (3, 3) of a quaternion (x, y, z, w), which need not be exactly of length 1.

    Raises:
        MessageError: it is not finite, or its length says that it is no rotation, as all zeros do.
    """
    x, y, z, w = (float(part) for part in np.asarray(quaternion, np.float64))
    length = float(np.linalg.norm([x, y, z, w]))
    if not abs(length - 1.0) <= _UNIT_TOLERANCE:
        raise MessageError(f'quaternion (x, y, z, w) must have length 1, got {(x, y, z, w)}')
    return np.asarray(quat2mat([w, x, y, z]), np.float64)


def angle_between(first: Array, second: Array) -> Array:
    """The angle (...,) in rad, 0 to pi, by which one rotation (..., 3, 3) must turn to become the other."""
    turn = np.swapaxes(first, -1, -2) @ second
    skew = np.stack(
        [
            turn[..., 2, 1] - turn[..., 1, 2],
            turn[..., 0, 2] - turn[..., 2, 0],
            turn[..., 1, 0] - turn[..., 0, 1],
        ],
        axis=-1,
    )
    # The arc cosine of the trace alone would lose half of the digits of small angles.
    sine, cosine = np.linalg.norm(skew, axis=-1), np.trace(turn, axis1=-2, axis2=-1) - 1.0
    return np.asarray(np.arctan2(sine, cosine), np.float64)


def _require_long(length: Array, what: str) -> None:
    short = ~(np.isfinite(length) & (length >= MIN_LENGTH))
    if short.any():
        worst = length[short].min() if np.isfinite(length[short]).all() else np.nan
        raise ChunkError(
            'finite',
            f'6D rotation: column {what} has length {worst:.3g} in {int(short.sum())} row(s), '
            f'at least {MIN_LENGTH} is needed to tell its direction',
        )
