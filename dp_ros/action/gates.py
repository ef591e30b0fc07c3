# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The gates that a chunk passes before it may move anything."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.plan import Joined
from dp_ros.action.pose import PoseColumns, gate_poses
from dp_ros.errors import ChunkError, ConfigError, DpRosError

MS = 1_000_000
# No joint is ever here, in rad or m; numbers beyond it only overflow.
_MOST = 1e6
PerJoint = float | tuple[float, ...]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ChunkLimits:
    """What a chunk may be. ``PerJoint``: one number for all joints, or one for each; inf: no limit.

    Attributes:
        max_age_ns: since its observation, when it arrives.
        max_future_ns: how far its stamp may lie ahead of the clock.
        min_remaining_ns: how much of it must still lie ahead: at least the freeze horizon and one point.
        start_jump: how far the first action may be from the measured position, rad or m.
        max_seam: how far a later chunk may be from the plan where it takes over, rad or m.
        max_seam_speed: the same for velocities, rad/s or m/s.
        position_tolerance: how far a row may lie beyond the position limits, rad or m; what is within is clipped.
        max_speed_ratio: how many times the velocity limits a chunk may be; the plan is slowed down by so much.
        poses: columns that are end-effector poses: made true rotations, and judged by their own speeds.
        clip_budget: share of the rows that may lie beyond the position limits at all.
        max_deviation: how far the plan may be from the chunk that it follows, rad or m.
    """

    max_age_ns: int = 300 * MS
    max_future_ns: int = 100 * MS
    min_remaining_ns: int = 80 * MS
    start_jump: PerJoint = 0.05
    max_seam: PerJoint = np.inf
    max_seam_speed: PerJoint = np.inf
    position_tolerance: PerJoint = 0.1
    max_speed_ratio: float = 4.0
    clip_budget: float = 0.2
    poses: tuple[PoseColumns, ...] = ()
    max_deviation: PerJoint = np.inf


class ChunkGates:
    """Checks chunks in a fixed order and counts what each gate refused.

    Before the chunk joins the plan (:meth:`check`): ``contract`` (made for another contract), ``names`` (not
    exactly these joints), ``finite``, ``stamp`` (too old, from the future, over too soon), ``monotone`` (older than
    one already accepted). After it (:meth:`judge`): ``continuity`` (too far from the plan at the seam, in position or
    velocity), ``limits`` (too far beyond the position limits, or too fast to be slowed down), ``clip`` (too much of it
    would be clipped, or the plan cannot follow it). Messages that are no chunk count as ``shape``.

    Args:
        joint_names: the joints of all arms, in the plan's order.
        contract_hash: hash of the contract; an empty one, here or in the chunk, is not compared.
        limits: see there.

    Raises:
        ConfigError: if a limit per joint does not have one number for each joint.
    """

    def __init__(
        self, joint_names: Sequence[str], contract_hash: str = '', limits: ChunkLimits | None = None
    ) -> None:
        self.joint_names = tuple(joint_names)
        self.contract_hash = contract_hash
        self.limits = limits = limits or ChunkLimits()
        self._start_jump = self._per_joint('start_jump', limits.start_jump)
        self._max_seam = self._per_joint('max_seam', limits.max_seam)
        self._max_seam_speed = self._per_joint('max_seam_speed', limits.max_seam_speed)
        self._tolerance = self._per_joint('position_tolerance', limits.position_tolerance)
        self._max_deviation = self._per_joint('max_deviation', limits.max_deviation)
        self._counters: Counter[str] = Counter()
        self._newest: ActionChunk | None = None
        self.rejected_in_a_row = 0
        self.last_refusal = ''

    @property
    def counters(self) -> dict[str, int]:
        """``accepted`` and ``rejected.<gate>``, since the start."""
        return dict(self._counters)

    def reset(self) -> None:
        """Forget which chunks were accepted: at every engagement, because the policy may have restarted."""
        self._newest, self.rejected_in_a_row = None, 0

    def refused(self, error: DpRosError) -> None:
        """Count a refusal that was raised elsewhere: a message that is no chunk, or a chunk that joins no plan."""
        gate = error.gate if isinstance(error, ChunkError) else 'shape'
        self._counters[f'rejected.{gate}'] += 1
        self.rejected_in_a_row += 1
        self.last_refusal = str(error)

    def check(self, chunk: ActionChunk, now_ns: int) -> ActionChunk:
        """The gates that need nothing but the chunk and the clock.

        Returns:
            The chunk with its columns in the order of ``joint_names``.

        Raises:
            ChunkError: names the first gate that refuses it, the value and the limit. Not counted yet: the caller
                counts every refusal once, by :meth:`refused`.
        """
        ours, theirs = self.contract_hash[:8], chunk.contract_hash[:8]
        if ours and theirs and ours != theirs:
            raise ChunkError('contract', f'made for contract {theirs}, this robot runs {ours}')
        chunk = chunk.reordered(self.joint_names)
        self._require_finite(chunk)
        self._require_timely(chunk, now_ns)
        self._require_newer(chunk)
        return gate_poses(chunk, self.limits.poses, self.limits.max_speed_ratio)

    def check_start(self, chunk: ActionChunk, measured: npt.ArrayLike, now_ns: int) -> None:
        """Refuse to start where the first action is not where the arms are.

        Args:
            chunk: columns in the order of ``joint_names``, as :meth:`check` returns it.
            measured: (A,) measured positions in the same order.
            now_ns: ROS time; the row in force now is compared.

        Raises:
            ChunkError: gate 'start', naming every joint that is too far, with both values and its limit.
        """
        row = int(np.clip((now_ns - chunk.stamp_ns) // chunk.period_ns, 0, len(chunk.positions) - 1))
        wanted, actual = chunk.positions[row], np.asarray(measured, np.float64)
        # Not "difference > limit": NaN must not pass.
        far = np.flatnonzero(~(np.abs(wanted - actual) <= self._start_jump))
        if far.size:
            raise ChunkError(
                'start',
                '; '.join(
                    f'{self.joint_names[i]}: action {wanted[i]:.4f}, measured {actual[i]:.4f}, '
                    f'difference {wanted[i] - actual[i]:+.4f}, limit {self._start_jump[i]:.4f}'
                    for i in far
                ),
            )

    def judge(self, chunk: ActionChunk, joined: Joined, now_ns: int, starting: bool = False) -> None:
        """The gates that look at what the plan would become; then the chunk counts as accepted.

        Args:
            chunk: as :meth:`check` returned it.
            joined: the plan that follows it, not committed yet, and what that took.
            now_ns: ROS time; only rows that are still to come are judged.
            starting: during the soft start the plan lies up to ``start_jump`` from the chunk on purpose.

        Raises:
            ChunkError: as :meth:`check`.
        """
        limits = self.limits
        allowed = self._max_seam + (self._start_jump if starting else 0.0)
        self._require_small('continuity', 'chunk minus plan at the seam', joined.seam, allowed)
        if not starting:
            self._require_small(
                'continuity', 'speed minus plan at the seam', joined.seam_velocity, self._max_seam_speed
            )
        rows = chunk.positions[max(0, (now_ns - chunk.stamp_ns) // chunk.period_ns) :]
        bounds = joined.plan.limits
        beyond = np.maximum(rows - bounds.upper, bounds.lower - rows).max(axis=0)
        self._require_small(
            'limits', 'beyond the position limits by', np.maximum(beyond, 0.0), self._tolerance
        )
        if not joined.time_scale * limits.max_speed_ratio >= 1.0:
            raise ChunkError(
                'limits',
                f'{1.0 / max(joined.time_scale, 1e-9):.1f} times faster than the velocity limits, '
                f'at most {limits.max_speed_ratio:.1f} times can be slowed down',
            )
        if not joined.clip_fraction <= limits.clip_budget:
            raise ChunkError(
                'clip',
                f'{joined.clip_fraction:.0%} of the rows lie beyond the position limits, '
                f'budget {limits.clip_budget:.0%}',
            )
        self._require_small('clip', 'the plan stays off the chunk by', joined.deviation, self._max_deviation)
        self._counters['accepted'] += 1
        self._newest, self.rejected_in_a_row = chunk, 0

    def _require_finite(self, chunk: ActionChunk) -> None:
        # Not "larger than": NaN must not pass.
        usable = np.abs(chunk.positions) <= _MOST
        if usable.all():
            return
        rows, columns = np.nonzero(~usable)
        names = sorted({self.joint_names[c] for c in columns})
        raise ChunkError('finite', f'{rows.size} values of {names} are not finite, first in row {rows[0]}')

    def _require_timely(self, chunk: ActionChunk, now_ns: int) -> None:
        limits, age = self.limits, now_ns - chunk.stamp_ns
        if age > limits.max_age_ns:
            raise ChunkError('stamp', f'{age / MS:.0f} ms old, limit {limits.max_age_ns / MS:.0f} ms')
        if -age > limits.max_future_ns:
            limit = limits.max_future_ns / MS
            raise ChunkError('stamp', f'{-age / MS:.0f} ms in the future, limit {limit:.0f} ms')
        remaining = chunk.end_ns - now_ns
        if remaining < limits.min_remaining_ns:
            limit = limits.min_remaining_ns / MS
            raise ChunkError('stamp', f'only {remaining / MS:.0f} ms of it lie ahead, limit {limit:.0f} ms')

    def _require_newer(self, chunk: ActionChunk) -> None:
        last = self._newest
        if last is None:
            return
        # Without an id, epoch and seq are 0 in all chunks; then the stamp alone decides.
        counted = (chunk.epoch, chunk.seq) != (last.epoch, last.seq) or bool(chunk.contract_hash)
        if chunk.stamp_ns <= last.stamp_ns:
            raise ChunkError(
                'monotone', f'stamp {chunk.stamp_ns} ns is not after the last accepted {last.stamp_ns} ns'
            )
        if counted and (chunk.epoch, chunk.seq) <= (last.epoch, last.seq):
            raise ChunkError('monotone', f'chunk {chunk.id} is not after the last accepted {last.id}')

    def _require_small(self, gate: str, what: str, values: Array, limit: Array) -> None:
        large = (~(np.abs(values) <= limit)).nonzero()[0]
        if large.size:
            found = '; '.join(f'{self.joint_names[i]} {values[i]:+.4f}, limit {limit[i]:.4f}' for i in large)
            raise ChunkError(gate, f'{what}: {found}')

    def _per_joint(self, name: str, value: PerJoint) -> Array:
        limit = np.asarray(value, np.float64)
        if limit.shape not in ((), (len(self.joint_names),)) or not np.all(limit >= 0):
            raise ConfigError(
                f'{name} must be one number or one for each of {len(self.joint_names)} joints, none negative, '
                f'got {value}'
            )
        return np.array(np.broadcast_to(limit, (len(self.joint_names),)))
