# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The newest measured position of each joint, and whether it can be trusted. No ROS."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dp_ros.errors import MessageError, StaleObservationError

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

# A message that is older than what is known by less than this overtook another one; by more, its clock was set back.
_REORDER_NS = 1_000_000_000
# Nothing arriving for so long means that one side stood still, and the next messages waited meanwhile. None of them is
# later than the pause was long, so this lies below joint_timeout_s (0.25 s as shipped).
_SILENCE_NS = 200_000_000


class MeasuredJoints:
    """The newest measured position of each joint, by name; whatever else the robot reports is ignored.

    Attributes:
        reordered: messages that came after newer ones, and were not stored.
    """

    def __init__(self, joint_names: Sequence[str]):
        self.joint_names = tuple(joint_names)
        self._index = {name: i for i, name in enumerate(self.joint_names)}
        self._positions = np.full(len(self._index), np.nan)
        self._stamps_ns = np.zeros(len(self._index), np.int64)
        self._received_ns = np.zeros(len(self._index), np.int64)
        self._resumed_ns = np.zeros(len(self._index), np.int64)
        # Drivers keep the order of their names; looking them up at 500 Hz would cost more than all the rest.
        self._layout: tuple[tuple[str, ...], Index, Index] | None = None
        self.reordered = 0

    def put(
        self, stamp_ns: int, names: Sequence[str], positions: Array, received_ns: int | None = None
    ) -> None:
        """Store one message, with any of the joints in any order.

        Args:
            stamp_ns: when it was measured.
            names: joints of the message.
            positions: one for each name.
            received_ns: our time at its arrival; the stamp where it does not matter.

        Raises:
            MessageError: a position is not finite; nothing of the message is stored.
        """
        joints, columns = self._columns(tuple(names))
        if not len(joints):
            return
        values = positions[columns]
        finite = np.isfinite(values)
        if not finite.all():
            bad = [self.joint_names[i] for i in joints[~finite]]
            raise MessageError(
                f'joint state at {stamp_ns} ns: positions of {bad} are not finite; message dropped'
            )
        arrival_ns = stamp_ns if received_ns is None else received_ns
        resumed = joints[arrival_ns - self._received_ns[joints] > _SILENCE_NS]
        self._resumed_ns[resumed] = self._received_ns[joints] = arrival_ns
        behind = int(self._stamps_ns[joints].max()) - stamp_ns
        if 0 < behind < _REORDER_NS:
            self.reordered += 1
            return
        self._positions[joints], self._stamps_ns[joints] = values, stamp_ns

    @property
    def stamps_ns(self) -> npt.NDArray[np.int64]:
        """When each joint was measured, (A,); 0 where it never was."""
        return self._stamps_ns

    @property
    def newest(self) -> Array:
        """Newest positions (A,), however old; NaN where a joint was never measured."""
        return self._positions

    def forget(self) -> None:
        """The clock went back: stamps of the old one would look newer than everything that comes."""
        self._positions = np.full(len(self._index), np.nan)
        self._stamps_ns = np.zeros(len(self._index), np.int64)

    def age_ns(self, now_ns: int) -> int | None:
        """Age of the joint that was measured longest ago; None where one never was."""
        return None if np.isnan(self._positions).any() else now_ns - int(self._stamps_ns.min())

    def ahead_ns(self, now_ns: int) -> int:
        """How far the newest stamp lies ahead of our clock; negative where it does not."""
        return int(self._stamps_ns.max(initial=0)) - now_ns

    def positions(self, now_ns: int, limit_ns: int) -> Array:
        """Measured positions (A,).

        Raises:
            StaleObservationError: names every joint that was never measured, or not for longer than the limit.
        """
        if now_ns - int(self._stamps_ns.min(initial=now_ns)) <= limit_ns and self._stamps_ns.all():
            return self._positions.copy()
        never = [name for name, i in self._index.items() if np.isnan(self._positions[i])]
        if never:
            raise StaleObservationError(f'no measured position yet of {never}')
        late = now_ns - self._stamps_ns > limit_ns
        old = [name for name, i in self._index.items() if late[i]]
        if not old:
            return self._positions.copy()
        age = (now_ns - int(self._stamps_ns.min())) / 1e6
        text = f'measured positions are up to {age:.0f} ms old, limit {limit_ns / 1e6:.0f} ms'
        if self.late_clock(now_ns, limit_ns):
            text += (
                ', although they arrive: the clock of their sender differs from ours, or we cannot keep up'
            )
        raise StaleObservationError(f'{text}: {old}')

    def late_clock(self, now_ns: int, limit_ns: int) -> bool:
        """Whether every joint that is too old arrived just now, in a steady flow: then a clock is wrong.

        After a pause, of the sender, the connection or this process, the first messages are those that waited.
        """
        late = now_ns - self._stamps_ns > limit_ns
        if not late.any():
            return False
        arrive = now_ns - self._received_ns[late] <= limit_ns
        flow = now_ns - self._resumed_ns[late] > limit_ns
        return bool((arrive & flow).all())

    def _columns(self, names: tuple[str, ...]) -> tuple[Index, Index]:
        """Our indices of the joints of a message that we know, and their columns there."""
        if self._layout is None or self._layout[0] != names:
            known = [(self._index[name], i) for i, name in enumerate(names) if name in self._index]
            joints = np.array([joint for joint, _ in known], np.intp)
            self._layout = (names, joints, np.array([i for _, i in known], np.intp))
        return self._layout[1], self._layout[2]
