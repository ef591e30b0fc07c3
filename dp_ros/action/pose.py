# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""End-effector poses as nine columns: x, y, z (m) and the first two columns of the rotation, a1 to a3, b1 to b3.

Plans treat the nine columns like joints, each within limits of its own, and the limits of the whole pose follow from
those of the columns (dp_ros/contract/binding_schema.py says how). That holds while a and b are close to orthonormal,
which a policy's raw output need not be: the gate here makes them so, and measures how fast the pose really moves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.rotation import (
    angle_between,
    quaternion_from_rotation,
    rotation_from_6d,
    rotation_from_quaternion,
    rotation_to_6d,
)
from dp_ros.contract.binding import Binding
from dp_ros.errors import ChunkError

Array = npt.NDArray[np.float64]

WIDTH = 9


@dataclass(frozen=True)
class PoseColumns:
    """Where a pose stands among the columns of a chunk, and how fast it may move.

    Attributes:
        arm: name of the arm.
        index: nine column numbers, in the order x, y, z, a1 to a3, b1 to b3.
        linear: largest speed, m/s.
        angular: largest angular speed, rad/s.
    """

    arm: str
    index: tuple[int, ...]
    linear: float
    angular: float


def pose_columns(binding: Binding, joint_names: Sequence[str]) -> tuple[PoseColumns, ...]:
    """The poses among these columns; empty where every arm is commanded by its joints."""
    names = list(joint_names)
    return tuple(
        PoseColumns(arm, tuple(names.index(n) for n in controller.joints), speed.linear, speed.angular)
        for arm, bound in binding.arms.items()
        for controller in bound.controllers
        if (speed := controller.speed) is not None and set(controller.joints) <= set(names)
    )


def gate_poses(chunk: ActionChunk, poses: Sequence[PoseColumns], max_speed_ratio: float = 1.0) -> ActionChunk:
    """The chunk with orthonormal rotations, or not at all.

    Args:
        chunk: as it passed the gates of names and finite values.
        poses: see :func:`pose_columns`.
        max_speed_ratio: how many times the limits a chunk may be; the plan slows it down by so much.

    Raises:
        ChunkError: gate 'finite' for numbers that are no rotation, 'limits' for a chunk that is too fast; both
            name the arm.
    """
    if not poses:
        return chunk
    positions = np.array(chunk.positions)
    for pose in poses:
        rows = positions[:, pose.index]
        try:
            rows = orthonormal(rows)
        except ChunkError as error:
            raise ChunkError(error.gate, f'arm {pose.arm!r}: {str(error).split(": ", 1)[1]}') from error
        positions[:, pose.index] = rows
        speeds = pose_speeds(rows, chunk.period_ns * 1e-9)
        for what, unit, speed, limit in zip(
            ('linear', 'angular'), ('m/s', 'rad/s'), speeds, (pose.linear, pose.angular), strict=True
        ):
            fastest = float(np.max(speed, initial=0.0))
            if not fastest <= limit * max_speed_ratio:
                raise ChunkError(
                    'limits',
                    f'arm {pose.arm!r}: {what} speed of {fastest:.3g} {unit} between two rows, '
                    f'limit {limit:.3g} {unit}, of which {max_speed_ratio:g} times can be slowed down',
                )
    return replace(chunk, positions=positions)


def orthonormal(rows: npt.ArrayLike) -> Array:
    """Poses (..., 9) with the rotation columns of true rotations; :class:`ChunkError` 'finite' as in rotation.py."""
    poses = np.asarray(rows, np.float64)
    return np.concatenate([poses[..., :3], rotation_to_6d(rotation_from_6d(poses[..., 3:]))], axis=-1)


def pose_speeds(rows: Array, period_s: float) -> tuple[Array, Array]:
    """Mean linear (m/s) and angular (rad/s) speed between successive poses: (T, 9) to twice (T - 1,)."""
    rotations = rotation_from_6d(rows[:, 3:])
    linear = np.linalg.norm(np.diff(rows[:, :3], axis=0), axis=-1) / period_s
    return linear, angle_between(rotations[:-1], rotations[1:]) / period_s


def pose_to_quaternion(row: npt.ArrayLike) -> tuple[Array, Array]:
    """Position (3,) and quaternion (x, y, z, w) of a pose (9,); :class:`ChunkError` as in rotation.py."""
    pose = np.asarray(row, np.float64)
    return pose[:3], quaternion_from_rotation(rotation_from_6d(pose[3:]))


def pose_from_quaternion(position: npt.ArrayLike, quaternion: npt.ArrayLike) -> Array:
    """Pose (9,) of a position (3,) and a quaternion (x, y, z, w); :class:`MessageError` as in rotation.py."""
    place = np.asarray(position, np.float64)
    return np.concatenate([place, rotation_to_6d(rotation_from_quaternion(quaternion))])
