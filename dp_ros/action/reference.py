# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a chunk asks for on the plan's grid: in time, at a speed that the joints have, and within their range."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.curve import hermite, row_slopes
from dp_ros.action.limits import MotionLimits

Array = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]

_OUTSIDE = 1e-6


@dataclass(frozen=True, eq=False)
class SoftStart:
    """The first seconds after engaging: from where the arms are over to what the policy wants.

    The reference is ``origin + w(t) (chunk - origin)``, w going from 0 to 1 with velocity and acceleration zero at
    both ends.

    Attributes:
        origin: (A,) where the arms were when they were engaged.
        start_ns, duration_ns: of the ramp, ROS time.
    """

    origin: Array
    start_ns: int
    duration_ns: int

    def weight(self, stamps: Stamps) -> Array:
        """w (K, 1) at these times."""
        u = ((stamps - self.start_ns) / max(self.duration_ns, 1)).clip(0.0, 1.0)[:, None]
        weight: Array = u**3 * (10.0 + u * (6.0 * u - 15.0))
        return weight


@dataclass(frozen=True, eq=False)
class Reference:
    """The chunk on the grid.

    Attributes:
        positions: (K, A).
        time_scale: 1, or the slowest rate at which the chunk is played, to keep the velocity limits.
        clip_fraction: share of the chunk's rows that are still to come and lie outside of the position limits.
    """

    positions: Array
    time_scale: float
    clip_fraction: float


def reference(
    chunk: ActionChunk,
    stamps: Stamps,
    limits: MotionLimits,
    lead_ns: npt.NDArray[np.int64] | None = None,
    soft_start: SoftStart | None = None,
) -> Reference:
    """The chunk at these equally spaced times, slowed where it is too fast, then cut off where it leaves the range.

    Where any joint would exceed its velocity limit, time runs slower for all: the arms keep their path, and what is
    lost in time the next chunk makes up for, because chunks are absolute in time. Only then are positions clipped.

    Args:
        chunk: columns in the limits' order.
        stamps: (K,) ROS time.
        limits: velocity and position limits.
        lead_ns: (A,) how much earlier than in force each column must be commanded.
        soft_start: see :class:`SoftStart`.
    """
    wanted = sample_chunk(chunk, stamps, lead_ns)
    if soft_start is not None:
        wanted = soft_start.origin + soft_start.weight(stamps) * (wanted - soft_start.origin)
    wanted, scale = _slowed(wanted, float(stamps[1] - stamps[0]) * 1e-9, limits.velocity)
    coming = chunk.positions[max(0, -((chunk.stamp_ns - int(stamps[0])) // chunk.period_ns)) :]
    outside = (coming < limits.lower - _OUTSIDE) | (coming > limits.upper + _OUTSIDE)
    fraction = float(outside.any(axis=1).mean()) if len(coming) else 0.0
    return Reference(wanted.clip(limits.lower, limits.upper), scale, fraction)


def sample_chunk(chunk: ActionChunk, stamps: Stamps, lead_ns: npt.NDArray[np.int64] | None = None) -> Array:
    """Positions (K, A) of the cubic through the chunk's rows; before and after it the first and last row."""
    if lead_ns is not None and np.any(lead_ns):
        out = np.empty((len(stamps), chunk.positions.shape[1]))
        for lead in np.unique(lead_ns):
            columns = lead_ns == lead
            out[:, columns] = sample_chunk(chunk, stamps + lead)[:, columns]
        return out
    points = chunk.positions
    slopes = row_slopes(points, chunk.period_ns * 1e-9)
    since = stamps - chunk.stamp_ns
    index = (since // chunk.period_ns).clip(0, max(len(points) - 2, 0))
    after = np.minimum(index + 1, len(points) - 1)
    u = ((since - index * chunk.period_ns) / chunk.period_ns).clip(0.0, 1.0)[:, None]
    return hermite(u, chunk.period_ns * 1e-9, points[index], slopes[index], points[after], slopes[after])[0]


def _slowed(wanted: Array, dt_s: float, velocity: Array) -> tuple[Array, float]:
    """The same path with every step within the velocity limit, cut off after as many rows; and the slowest rate."""
    slowness = (np.abs(wanted[1:] - wanted[:-1]) / (velocity * dt_s)).max(axis=1, initial=0.0)
    if not (slowness > 1.0).any():
        return wanted, 1.0
    # Row i of the path is reached at times[i], in rows; between rows the path is a line, so no step is too long.
    times = np.concatenate([[0.0], np.cumsum(np.maximum(slowness, 1.0))])
    rows = np.interp(np.arange(len(wanted)), times, np.arange(len(wanted)))
    index = np.minimum(rows.astype(int), len(wanted) - 2)
    u = (rows - index)[:, None]
    return wanted[index] + u * (wanted[index + 1] - wanted[index]), float(1.0 / slowness.max())
