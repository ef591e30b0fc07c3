# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The committed plan: the one curve that all windows are cut from.

Chunks disagree with each other and arrive when they like; controllers must see one curve. The plan is that
curve: knots on an absolute grid, cubic between them, always ending at rest. A new chunk may change it only
after the freeze horizon, because up to there the controllers may already be running it::

    old plan   ─────────────┐ seam (same position and velocity: C1)
    chunk          ● ● ● ● ●│● ● ● ● ● ● ● ● ●
    new plan   ─────────────┴~~~~~~──────────┐ brake
               now      now+freeze  +blend   chunk end
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dp_ros.action.brake import brake_tail
from dp_ros.action.chunk import ActionChunk
from dp_ros.action.curve import hermite, limit_slopes, monotone_slopes
from dp_ros.action.window import Window
from dp_ros.errors import ChunkError, ConfigError

Array = npt.NDArray[np.float64]

# Knots older than this are dropped; windows reach back by tens of milliseconds.
HISTORY_NS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class CommittedPlan:
    """Commanded positions of all arms over time. A value: every change makes a new plan.

    Knot i stands at ``(first + i) * point_ns``. Before the first and after the last knot the plan rests.

    Attributes:
        point_ns: grid of the knots.
        first: grid index of the first knot.
        positions: (K, A) rad or m, read-only.
        velocities: (K, A) per second, read-only; zero in the last row.
        max_acceleration: (A,) positive; the deceleration of every brake.
    """

    point_ns: int
    first: int
    positions: Array
    velocities: Array
    max_acceleration: Array

    def __post_init__(self) -> None:
        for array in (self.positions, self.velocities, self.max_acceleration):
            array.setflags(write=False)

    @classmethod
    def hold(
        cls,
        position: npt.ArrayLike,
        now_ns: int,
        point_ns: int,
        max_acceleration: float | Sequence[float] | Array,
    ) -> 'CommittedPlan':
        """A plan that rests at ``position`` (A,); ``max_acceleration`` is one number or one per joint.

        Raises:
            ConfigError: if the acceleration or the grid is not positive, or the position is not finite.
        """
        at = np.array(position, np.float64).reshape(-1)
        if point_ns < 1:
            raise ConfigError(f'point_ns must be at least 1, got {point_ns}')
        if not np.all(np.isfinite(at)):
            raise ConfigError(f'a plan must start from finite positions, got {at}')
        limit = np.asarray(max_acceleration, np.float64)
        if limit.shape not in ((), (1,), at.shape) or not np.all((limit > 0) & np.isfinite(limit)):
            raise ConfigError(
                f'max_acceleration must be one positive number, or one for each of the {len(at)} joints, '
                f'got {limit}'
            )
        limit = np.array(np.broadcast_to(limit, at.shape))
        return cls(point_ns, now_ns // point_ns, at[None], np.zeros((1, len(at))), limit)

    @property
    def end_ns(self) -> int:
        """Time from which the plan rests."""
        return (self.first + len(self.positions) - 1) * self.point_ns

    def sample(self, stamp_ns: int) -> tuple[Array, Array]:
        """Commanded position (A,) and velocity (A,) at a time."""
        index, rest_ns = divmod(stamp_ns, self.point_ns)
        p, v = self._knots(index, index + 1)
        return hermite(np.array(rest_ns / self.point_ns), self.point_ns * 1e-9, p[0], v[0], p[1], v[1])

    def joined(self, chunk: ActionChunk, now_ns: int, freeze_ns: int, blend_ns: int) -> 'CommittedPlan':
        """The plan that follows a chunk, joined on after the freeze horizon.

        Unchanged up to the seam, the first knot at or after ``now_ns + freeze_ns``. From there it is the
        monotone cubic through the chunk's points plus what the old plan differs from it at the seam, in
        position and velocity, fading out over ``blend_ns``. After the chunk's end it brakes.

        Args:
            chunk: columns in the plan's order.
            now_ns: time of the commitment, in ROS time.
            freeze_ns: how far the controllers may already have received the plan.
            blend_ns: how long the seam's difference takes to vanish.

        Raises:
            ChunkError: gate 'names' for another number of joints, 'finite' for NaN or infinity, 'stamp' if
                the chunk is over at the seam.
        """
        if chunk.positions.shape[1] != self.positions.shape[1]:
            raise ChunkError(
                'names', f'{chunk.positions.shape[1]} joints, the plan has {self.positions.shape[1]}'
            )
        if not np.all(np.isfinite(chunk.positions)):
            raise ChunkError('finite', f'chunk {chunk.id} holds NaN or infinity')
        seam = -(-(now_ns + freeze_ns) // self.point_ns)
        last = chunk.end_ns // self.point_ns
        if last <= seam:
            raise ChunkError(
                'stamp',
                f'the chunk ends {(chunk.end_ns - now_ns) / 1e6:.0f} ms from now, within the '
                f'{freeze_ns / 1e6:.0f} ms that are committed already',
            )
        stamps = np.arange(seam, last + 1) * self.point_ns
        p, v = _chunk_curve(chunk, stamps, self.point_ns)
        at_seam_p, at_seam_v = self._knots(seam, seam)
        u = np.clip((stamps - stamps[0]) / max(blend_ns, self.point_ns), 0.0, 1.0)[:, None]
        zero = np.zeros_like(at_seam_p)
        fade_p, fade_v = hermite(
            u, max(blend_ns, self.point_ns) * 1e-9, at_seam_p - p[:1], at_seam_v - v[:1], zero, zero
        )
        faded = u >= 1.0
        p, v = p + np.where(faded, 0.0, fade_p), v + np.where(faded, 0.0, fade_v)
        p[0], v[0] = at_seam_p[0], at_seam_v[0]
        return self._continued(now_ns, seam, p, v)

    def braked(self, stamp_ns: int) -> 'CommittedPlan':
        """The plan that is unchanged up to the first knot at or after ``stamp_ns`` and brakes from there.

        With ``now + freeze`` it is the controlled stop. With the time at which the last window's future ended
        it is what the controllers did when no further window came.
        """
        last = -(-stamp_ns // self.point_ns)
        p, v = self._knots(last, last)
        return self._continued(stamp_ns, last, p, v)

    def window(self, now_ns: int, past_ns: int, future_ns: int) -> Window:
        """Every knot from ``now - past`` or before to ``now + future`` or after, then one brake point."""
        start = (now_ns - past_ns) // self.point_ns
        stop = -(-(now_ns + future_ns) // self.point_ns)
        p, v = self._knots(start, stop)
        brake_ns, rest = brake_tail(p[-1], v[-1], self.max_acceleration, self.point_ns)
        times = np.arange(stop - start + 2, dtype=np.int64) * self.point_ns
        times[-1] = times[-2] + brake_ns
        return Window(
            start * self.point_ns,
            times,
            np.concatenate([p, rest[None]]),
            np.concatenate([v, 0.0 * rest[None]]),
        )

    def _knots(self, start: int, stop: int) -> tuple[Array, Array]:
        """Copies of the knots ``start`` to ``stop`` (both included), resting outside of what is stored."""
        index = np.arange(start, stop + 1) - self.first
        inside = (index >= 0) & (index < len(self.positions))
        index = np.clip(index, 0, len(self.positions) - 1)
        return self.positions[index], np.where(inside[:, None], self.velocities[index], 0.0)

    def _continued(self, now_ns: int, seam: int, p: Array, v: Array) -> 'CommittedPlan':
        """The plan up to the knot before ``seam``, then the knots (p, v), then a brake to rest."""
        brake_ns, rest = brake_tail(p[-1], v[-1], self.max_acceleration, self.point_ns)
        steps = brake_ns // self.point_ns
        u = (np.arange(1, steps + 1) / steps)[:, None]
        tail_p, tail_v = hermite(u, brake_ns * 1e-9, p[-1], v[-1], rest, 0.0 * rest)
        tail_p[-1], tail_v[-1] = rest, 0.0
        start = min(max(self.first, (now_ns - HISTORY_NS) // self.point_ns), seam)
        kept_p, kept_v = self._knots(start, seam - 1)
        return CommittedPlan(
            self.point_ns,
            start,
            np.concatenate([kept_p, p, tail_p]),
            np.concatenate([kept_v, v, tail_v]),
            self.max_acceleration,
        )


def _chunk_curve(chunk: ActionChunk, stamps: npt.NDArray[np.int64], point_ns: int) -> tuple[Array, Array]:
    """Position and velocity (K, A) of the monotone cubic through the chunk at knots up to the chunk's end."""
    slopes = monotone_slopes(chunk.positions, chunk.period_ns * 1e-9)
    since = stamps - chunk.stamp_ns
    index = np.clip(since // chunk.period_ns, 0, max(len(slopes) - 2, 0))
    after = np.minimum(index + 1, len(slopes) - 1)
    u = np.clip((since - index * chunk.period_ns) / chunk.period_ns, 0.0, 1.0)[:, None]
    points = chunk.positions
    p, v = hermite(u, chunk.period_ns * 1e-9, points[index], slopes[index], points[after], slopes[after])
    v = np.where((since < 0)[:, None], 0.0, v)
    return p, limit_slopes(p, v, point_ns * 1e-9)
