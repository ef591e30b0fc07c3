# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""trajectory_msgs JointTrajectory: chunks from the policy, windows to controllers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dp_ros.action.chunk import ActionChunk, parse_id
from dp_ros.action.window import Window
from dp_ros.errors import MessageError
from dp_ros.messages.sequences import like, read
from dp_ros.messages.stamps import fill_time, header_ns, to_ns

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A decoded JointTrajectory.

    Attributes:
        stamp_ns: header stamp.
        frame_id: header frame; chunks and windows carry the chunk's id there.
        joint_names: A names.
        times_ns: (N,) int64, time from start of each point.
        positions: (N, A).
        velocities: (N, A), or None if no point has any.
        accelerations: (N, A), or None if no point has any.
    """

    stamp_ns: int
    frame_id: str
    joint_names: tuple[str, ...]
    times_ns: npt.NDArray[np.int64]
    positions: Array
    velocities: Array | None
    accelerations: Array | None = None


def decode_trajectory(message: Any) -> Trajectory:
    """Decode a JointTrajectory with positions; velocities, and accelerations, in all points or in none.

    Raises:
        MessageError: if a point does not have one number for each joint. An empty trajectory is legal here.
    """
    names, points = tuple(message.joint_names), message.points
    positions = _stack(points, 'positions', len(names))
    derivatives = {
        field: _stack(points, field, len(names))
        if any(len(getattr(point, field)) for point in points)
        else None
        for field in ('velocities', 'accelerations')
    }
    return Trajectory(
        header_ns(message),
        str(message.header.frame_id),
        names,
        np.array([to_ns(point.time_from_start) for point in points], np.int64),
        positions,
        **derivatives,
    )


def decode_chunk(message: Any) -> ActionChunk:
    """Decode an action chunk; see :func:`chunk_of`."""
    return chunk_of(decode_trajectory(message))


def chunk_of(trajectory: Trajectory) -> ActionChunk:
    """An action chunk: at least two points at 0, period, 2 * period, ...; the id in frame_id.

    Values are not judged here; the gates do that.

    Raises:
        MessageError: if the points are not equally spaced from 0, or the id is malformed.
    """
    times = trajectory.times_ns
    if len(times) < 2:
        raise MessageError(f'a chunk needs at least 2 points to tell its period, got {len(times)}')
    period_ns = int(times[1])
    wrong = np.flatnonzero(times != np.arange(len(times)) * period_ns)
    if period_ns < 1 or wrong.size:
        i = int(wrong[0]) if wrong.size else 1
        raise MessageError(
            f'chunk: point {i} stands at {int(times[i])} ns, must be at {i} periods of {period_ns} ns, more than 0'
        )
    contract_hash, epoch, seq = parse_id(trajectory.frame_id)
    return ActionChunk(
        trajectory.stamp_ns,
        period_ns,
        trajectory.joint_names,
        trajectory.positions,
        contract_hash,
        epoch,
        seq,
    )


def fill_chunk(message: Any, chunk: ActionChunk, make_point: Callable[[], Any]) -> None:
    """Write a chunk into a JointTrajectory; ``make_point`` makes empty JointTrajectoryPoint messages."""
    times = times_of(chunk)
    fill_trajectory(
        message, chunk.stamp_ns, chunk.id, make_point, chunk.joint_names, times, chunk.positions, None
    )


def times_of(chunk: ActionChunk) -> npt.NDArray[np.int64]:
    """Time from start of each point of a chunk, (N,) ns."""
    return np.arange(len(chunk.positions), dtype=np.int64) * chunk.period_ns


def fill_window(
    message: Any, window: Window, joint_names: Sequence[str], frame_id: str, make_point: Callable[[], Any]
) -> None:
    """Write a window of these joints into a JointTrajectory, with velocities; points that it has are used again.

    ``frame_id`` is the id of the chunk that the window follows; controllers do not read it.
    """
    fill_trajectory(
        message,
        window.stamp_ns,
        frame_id,
        make_point,
        joint_names,
        window.times_ns,
        window.positions,
        window.velocities,
    )


def fill_trajectory(
    message: Any,
    stamp_ns: int,
    frame_id: str,
    make_point: Callable[[], Any],
    joint_names: Sequence[str],
    times_ns: npt.NDArray[np.int64],
    positions: Array,
    velocities: Array | None,
) -> None:
    """Write everything into a JointTrajectory; points that it has are used again.

    Raises:
        MessageError: the columns are not those of the joints, or a time does not fit.
    """
    if positions.shape[1] != len(joint_names):
        raise MessageError(f'trajectory: {positions.shape[1]} columns for joints {tuple(joint_names)}')
    points = list(message.points[: len(times_ns)])
    points += [make_point() for _ in range(len(times_ns) - len(points))]
    if velocities is None:
        velocities = np.empty((len(times_ns), 0))
    for point, time_ns, position, velocity in zip(
        points, times_ns.tolist(), positions, velocities, strict=True
    ):
        fill_time(point.time_from_start, time_ns)
        point.positions = like(point.positions, position)
        point.velocities = like(point.velocities, velocity)
    fill_time(message.header.stamp, stamp_ns)
    message.header.frame_id = frame_id
    message.joint_names = list(joint_names)
    message.points = points


def _stack(points: Any, field: str, width: int) -> Array:
    rows = [getattr(point, field) for point in points]
    if not all(isinstance(row, np.ndarray) for row in rows):
        rows = [read(row, np.float64) for row in rows]
    for i, row in enumerate(rows):
        if len(row) != width:
            raise MessageError(f'trajectory: point {i} has {len(row)} {field} for {width} joints')
    return np.array(rows, np.float64) if rows else np.zeros((0, width))
