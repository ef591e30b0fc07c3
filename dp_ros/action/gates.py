# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The gates that a chunk passes before it may move anything."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.plan import CommittedPlan
from dp_ros.errors import ChunkError, ConfigError

MS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ChunkLimits:
    """What a chunk may be.

    Attributes:
        max_age_ns: since its observation, when it arrives.
        max_future_ns: how far its stamp may lie ahead of the clock.
        min_remaining_ns: how much of it must still lie ahead: at least the freeze horizon and one point.
        start_jump: how far the first action may be from the measured position, rad or m; one number or one
            per joint.
        max_jump: how far a later chunk may be from the plan where it takes over; None: the blend copes with
            all.
    """

    max_age_ns: int = 300 * MS
    max_future_ns: int = 100 * MS
    min_remaining_ns: int = 80 * MS
    start_jump: float | tuple[float, ...] = 0.05
    max_jump: float | tuple[float, ...] | None = None


class ChunkGates:
    """Checks chunks in a fixed order and counts what each gate refused.

    The gates are: ``contract`` (made for another contract), ``names`` (not exactly these joints), ``finite``,
    ``stamp`` (too old, from the future, over too soon), ``monotone`` (older than one already accepted),
    ``jump``.

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
        self._max_jump = None if limits.max_jump is None else self._per_joint('max_jump', limits.max_jump)
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

    def check(self, chunk: ActionChunk, now_ns: int, plan: CommittedPlan | None = None) -> ActionChunk:
        """Let a chunk pass, or not.

        Args:
            chunk: as received.
            now_ns: ROS time.
            plan: the committed plan, for the gate ``jump``.

        Returns:
            The chunk with its columns in the order of ``joint_names``.

        Raises:
            ChunkError: names the first gate that refused it, the value and the limit.
        """
        try:
            passed = self._checked(chunk, now_ns, plan)
        except ChunkError as error:
            self._refused(error)
            raise
        self._counters['accepted'] += 1
        self._newest, self.rejected_in_a_row = passed, 0
        return passed

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
        try:
            self._require_near(
                'start', 'measured', chunk.positions[row], np.asarray(measured, np.float64), self._start_jump
            )
        except ChunkError as error:
            self._refused(error)
            raise

    def _checked(self, chunk: ActionChunk, now_ns: int, plan: CommittedPlan | None) -> ActionChunk:
        limits = self.limits
        ours, theirs = self.contract_hash[:8], chunk.contract_hash[:8]
        if ours and theirs and ours != theirs:
            raise ChunkError('contract', f'the chunk follows contract {theirs}, this node {ours}')
        chunk = chunk.reordered(self.joint_names)
        rows, columns = np.nonzero(~np.isfinite(chunk.positions))
        if rows.size:
            names = sorted({self.joint_names[c] for c in columns})
            raise ChunkError(
                'finite', f'{rows.size} values of {names} are not finite, first in row {rows[0]}'
            )
        age = now_ns - chunk.stamp_ns
        if age > limits.max_age_ns:
            raise ChunkError('stamp', f'{age / MS:.0f} ms old, limit {limits.max_age_ns / MS:.0f} ms')
        if -age > limits.max_future_ns:
            raise ChunkError(
                'stamp', f'{-age / MS:.0f} ms in the future, limit {limits.max_future_ns / MS:.0f} ms'
            )
        remaining = chunk.end_ns - now_ns
        if remaining < limits.min_remaining_ns:
            raise ChunkError(
                'stamp',
                f'only {remaining / MS:.0f} ms of it lie ahead, limit {limits.min_remaining_ns / MS:.0f} ms',
            )
        self._require_newer(chunk)
        if plan is not None and self._max_jump is not None:
            row = int(np.clip(age // chunk.period_ns, 0, len(chunk.positions) - 1))
            at_ns = chunk.stamp_ns + row * chunk.period_ns
            self._require_near(
                'jump', 'commanded', chunk.positions[row], plan.sample(at_ns)[0], self._max_jump
            )
        return chunk

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

    def _require_near(
        self,
        gate: str,
        what: str,
        wanted: npt.NDArray[np.float64],
        actual: npt.NDArray[np.float64],
        limit: npt.NDArray[np.float64],
    ) -> None:
        # Not "difference > limit": NaN must not pass.
        far = np.flatnonzero(~(np.abs(wanted - actual) <= limit))
        if far.size:
            raise ChunkError(
                gate,
                '; '.join(
                    f'{self.joint_names[i]}: action {wanted[i]:.4f}, {what} {actual[i]:.4f}, '
                    f'difference {wanted[i] - actual[i]:+.4f}, limit {limit[i]:.4f}'
                    for i in far
                ),
            )

    def _refused(self, error: ChunkError) -> None:
        self._counters[f'rejected.{error.gate}'] += 1
        self.rejected_in_a_row += 1
        self.last_refusal = str(error)

    def _per_joint(self, name: str, value: float | tuple[float, ...]) -> npt.NDArray[np.float64]:
        limit = np.asarray(value, np.float64)
        if limit.shape not in ((), (len(self.joint_names),)) or not np.all(limit >= 0):
            raise ConfigError(
                f'{name} must be one number or one for each of {len(self.joint_names)} joints, none negative, '
                f'got {value}'
            )
        return np.array(np.broadcast_to(limit, (len(self.joint_names),)))
