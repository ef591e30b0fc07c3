# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The committed plan: the one curve that all windows are cut from.

Chunks disagree with each other and arrive when they like; controllers must see one curve. The plan is that curve: a
cubic B-spline on an absolute time grid, within all limits, always ending at rest. A new chunk may change it only after
the freeze horizon, because up to there the controllers may already be running it::

    old plan   ─────────────┐ seam (position, velocity and acceleration are continuous: C2)
    chunk          ● ● ● ● ●│● ● ● ● ● ● ● ● ●
    new plan   ─────────────┴~~~~~~──────────┐ brake
               now      now+freeze           chunk end

How long the seam's difference takes to vanish follows from the limits. See curve.py for what the controls mean.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dp_ros.action.brake import brake
from dp_ros.action.chunk import ActionChunk
from dp_ros.action.curve import accelerations, hermite, knots
from dp_ros.action.fit import fit, mixed
from dp_ros.action.limits import MotionLimits
from dp_ros.action.point_to_point import point_to_point
from dp_ros.action.reference import SoftStart, reference
from dp_ros.action.window import Window
from dp_ros.errors import ChunkError, ConfigError

Array = npt.NDArray[np.float64]

# Controls older than this are dropped; windows reach back by tens of milliseconds.
HISTORY_NS = 1_000_000_000
# So much of a chunk is planned at once; the rest is for its successors.
HORIZON_NS = 3_000_000_000
# From the seam on, so long a difference from the chunk is the seam's; later it is the limits'.
TRANSIENT_NS = 200_000_000
# Lengths of the smoothing systems are multiples of this, so that few are ever made.
_TAIL = 8


@dataclass(frozen=True, eq=False)
class Joined:
    """A chunk joined to a plan; who commits it judges the numbers first.

    Attributes:
        plan: the new plan.
        time_scale: 1, or the slowest rate at which the chunk is played to keep the velocity limits.
        clip_fraction: share of the chunk's coming rows that lie outside of the position limits, and were clipped.
        seam: (A,) chunk minus plan at the seam, rad or m.
        seam_velocity: (A,) the same of the velocities, per second.
        deviation: (A,) the largest distance of the new plan from the slowed and clipped chunk, from 200 ms after the
            seam on.
    """

    plan: 'CommittedPlan'
    time_scale: float
    clip_fraction: float
    seam: Array
    seam_velocity: Array
    deviation: Array


@dataclass(frozen=True, eq=False)
class CommittedPlan:
    """Commanded positions of all arms over time. A value: every change makes a new plan.

    Control i stands at ``(first + i) * point_ns``. Before the first and after the last control the plan rests.

    Attributes:
        point_ns: grid of the controls, and of the knots between which the curve is one cubic.
        first: grid index of the first control.
        controls: (K, A) rad or m, read-only.
        limits: what the curve keeps, brakes included.
    """

    point_ns: int
    first: int
    controls: Array
    limits: MotionLimits

    def __post_init__(self) -> None:
        self.controls.setflags(write=False)

    @classmethod
    def hold(
        cls, position: npt.ArrayLike, now_ns: int, point_ns: int, limits: MotionLimits
    ) -> 'CommittedPlan':
        """A plan that rests at ``position`` (A,).

        Raises:
            ConfigError: if the grid is not positive, the position is not finite, or the limits are of other joints.
        """
        at = np.array(position, np.float64).reshape(-1)
        if point_ns < 1:
            raise ConfigError(f'point_ns must be at least 1, got {point_ns}')
        if not np.all(np.isfinite(at)):
            raise ConfigError(f'a plan must start from finite positions, got {at}')
        if limits.width != len(at):
            raise ConfigError(f'limits of {limits.width} joints for a plan of {len(at)}')
        return cls(point_ns, now_ns // point_ns - 1, at[None], limits)

    @property
    def end_ns(self) -> int:
        """Time from which the plan rests."""
        return (self.first + len(self.controls)) * self.point_ns

    def sample(self, stamp_ns: int) -> tuple[Array, Array]:
        """Commanded position (A,) and velocity (A,) at a time."""
        index, rest_ns = divmod(stamp_ns, self.point_ns)
        p, v = self._knots(index, index + 1)
        return hermite(np.array(rest_ns / self.point_ns), self.point_ns * 1e-9, p[0], v[0], p[1], v[1])

    def acceleration(self, stamp_ns: int) -> Array:
        """Commanded acceleration (A,) at a time."""
        index, rest_ns = divmod(stamp_ns, self.point_ns)
        a = accelerations(self._controls(index - 1, index + 2), self.point_ns * 1e-9)
        out: Array = a[0] + rest_ns / self.point_ns * (a[1] - a[0])
        return out

    def joined(
        self,
        chunk: ActionChunk,
        now_ns: int,
        freeze_ns: int,
        *,
        lead_ns: npt.NDArray[np.int64] | None = None,
        soft_start: SoftStart | None = None,
    ) -> Joined:
        """The plan that follows a chunk, joined on after the freeze horizon.

        Unchanged up to the seam, the first knot at or after ``now_ns + freeze_ns``. From there it is the closest
        curve to the chunk that continues position, velocity and acceleration and keeps the limits; after the chunk's
        end it brakes.

        Args:
            chunk: columns in the plan's order.
            now_ns: time of the commitment, in ROS time.
            freeze_ns: how far the controllers may already have received the plan.
            lead_ns: (A,) actuation latency of each column: it is commanded so much earlier.
            soft_start: the ramp after engaging, while it lasts.

        Raises:
            ChunkError: gate 'names' for another number of joints, 'finite' for NaN or infinity, 'stamp' if
                the chunk is over at the seam.
        """
        self._require_fitting(chunk)
        seam = self._index_after(now_ns + freeze_ns)
        start = seam + 2
        last = min(chunk.end_ns // self.point_ns, start + HORIZON_NS // self.point_ns)
        if last < start + 2:
            raise ChunkError(
                'stamp',
                f'the chunk ends {(chunk.end_ns - now_ns) / 1e6:.0f} ms from now, within the '
                f'{freeze_ns / 1e6:.0f} ms that are committed already and the four points after them',
            )
        # From the seam itself, so that chunk and plan can be compared there.
        stamps = np.arange(seam - 1, last + 1) * self.point_ns
        wanted = reference(chunk, stamps, self.limits, lead_ns, soft_start)
        bounds = self.limits.steps(self.point_ns)
        known = self._controls(seam - 1, seam + 1)
        aim = self._with_tail(wanted.positions[3:], bounds)
        new = fit(known, aim, bounds)
        # The plan as it was keeps all limits to its end at rest, so it is what an illegal motion is mixed with.
        old = self._controls(start, max(start + len(new), self.first + len(self.controls)) - 1)
        new = mixed(known, _padded(new, len(old)), old, bounds, self.limits.lower, self.limits.upper)
        at_seam = knots(known, self.point_ns * 1e-9)
        asked = knots(wanted.positions[:3], self.point_ns * 1e-9)
        settled = slice(TRANSIENT_NS // self.point_ns, len(wanted.positions) - 3)
        off = np.abs(new[: len(aim)] - aim)[settled]
        return Joined(
            self._continued(now_ns, start, new),
            wanted.time_scale,
            wanted.clip_fraction,
            asked[0][0] - at_seam[0][0],
            asked[1][0] - at_seam[1][0],
            off.max(axis=0, initial=0.0),
        )

    def braked(self, stamp_ns: int) -> 'CommittedPlan':
        """The plan that is unchanged up to the first knot at or after ``stamp_ns`` and brakes from there.

        With ``now + freeze`` it is the controlled stop. With the time at which the last window's future ended
        it is what the controllers did when no further window came.
        """
        seam = self._index_after(stamp_ns)
        if self.end_ns <= seam * self.point_ns:
            return self
        known = self._controls(seam - 1, seam + 1)
        bounds = self.limits.steps(self.point_ns)
        new = brake(known, bounds[1], bounds[2])
        if (new < self.limits.lower).any() or (new > self.limits.upper).any():
            # All joints stop together, so one may roll on further than it had to: there the old plan knows better.
            old = self._controls(seam + 2, max(seam + 2 + len(new), self.first + len(self.controls)) - 1)
            new = mixed(known, _padded(new, len(old)), old, bounds, self.limits.lower, self.limits.upper)
        return self._continued(stamp_ns, seam + 2, new)

    def moved_to(
        self, target: npt.ArrayLike, now_ns: int, freeze_ns: int, scale: float = 1.0
    ) -> 'CommittedPlan':
        """The plan that brakes, then goes to ``target`` (A,) at ``scale`` of the limits' speed, and rests there.

        Raises:
            ConfigError: the target is out of range, or the scale not in (0, 1].
        """
        if not 0.0 < scale <= 1.0:
            raise ConfigError(f'scale must be in (0, 1], got {scale}')
        resting = self.braked(now_ns + freeze_ns)
        start = max(self._index_after(now_ns + freeze_ns), resting.end_ns // self.point_ns) + 2
        at = resting.controls[-1]
        new = point_to_point(at, np.array(target, np.float64), self.limits.scaled(scale), self.point_ns)
        return resting._continued(now_ns, start, new)

    def window(self, now_ns: int, past_ns: int, future_ns: int) -> Window:
        """Every knot from ``now - past`` or before to ``now + future`` or after, then the brake's knots to rest."""
        start = (now_ns - past_ns) // self.point_ns
        stop = self._index_after(now_ns + future_ns)
        braking = self.braked(now_ns + future_ns)
        stop = max(stop + 1, braking.end_ns // self.point_ns)
        p, v = braking._knots(start, stop)
        times = np.arange(stop - start + 1, dtype=np.int64) * self.point_ns
        return Window(start * self.point_ns, times, p, v)

    def _index_after(self, stamp_ns: int) -> int:
        """Grid index at or after a time."""
        return -(-stamp_ns // self.point_ns)

    def _controls(self, start: int, stop: int) -> Array:
        """Copies of the controls ``start`` to ``stop`` (both included), constant outside of what is stored."""
        return self.controls.take(np.arange(start - self.first, stop + 1 - self.first), axis=0, mode='clip')

    def _knots(self, start: int, stop: int) -> tuple[Array, Array]:
        return knots(self._controls(start - 1, stop + 1), self.point_ns * 1e-9)

    def _with_tail(self, wanted: Array, bounds: tuple[Array, Array, Array]) -> Array:
        """The reference, and the brake from its end, to a length of few kinds."""
        velocity, second, third = bounds
        first = (wanted[-2:] - wanted[-3:-1]).clip(-velocity, velocity)
        bend = (first[1] - first[0]).clip(-second, second)
        known = wanted[-1] - np.stack([2.0 * first[1] - bend, first[1], 0.0 * first[1]])
        tail = brake(known, second, third).clip(self.limits.lower, self.limits.upper)
        whole = np.concatenate([wanted, tail])
        return _padded(whole, -(-len(whole) // _TAIL) * _TAIL)

    def _continued(self, now_ns: int, start: int, new: Array) -> 'CommittedPlan':
        """The controls up to the one before ``start``, then the new ones, without the still ones at the end."""
        oldest = min(max(self.first, (now_ns - HISTORY_NS) // self.point_ns), start - 3)
        moving = (new != new[-1]).any(axis=1).nonzero()[0]
        keep = int(moving[-1]) + 1 if moving.size else 0
        controls = np.concatenate([self._controls(oldest, start - 1), new[: keep + 1]])
        return CommittedPlan(self.point_ns, oldest, controls, self.limits)

    def _require_fitting(self, chunk: ActionChunk) -> None:
        if chunk.positions.shape[1] != self.controls.shape[1]:
            raise ChunkError(
                'names', f'{chunk.positions.shape[1]} joints, the plan has {self.controls.shape[1]}'
            )
        if not np.isfinite(chunk.positions).all():
            raise ChunkError('finite', f'chunk {chunk.id} holds NaN or infinity')


def _padded(rows: Array, count: int) -> Array:
    """The rows, the last one repeated up to ``count``."""
    if len(rows) >= count:
        return rows
    return np.concatenate([rows, np.repeat(rows[-1:], count - len(rows), axis=0)])
