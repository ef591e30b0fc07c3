# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Recent positions of all joints, in one stream for those that always come together."""

from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dp_ros.observation.stream_buffer import Pushed, StreamBuffer

Array = npt.NDArray[np.float64]


class JointGroup(NamedTuple):
    """Joints that every message so far carried together, or left out together.

    Attributes:
        joints: their places in the contract, increasing.
        stream: their positions, (len(joints),) float64.
    """

    joints: tuple[int, ...]
    stream: StreamBuffer[Array]


class JointStreams:
    """As a stream for each joint, but as many as messages differ in what they carry: one arm, both, a single gripper.

    Args:
        count: joints of the contract.
        horizon_ns, backward_jump_ns: see :class:`StreamBuffer`.
    """

    def __init__(self, count: int, horizon_ns: int, backward_jump_ns: int) -> None:
        self._groups = [JointGroup(tuple(range(count)), StreamBuffer[Array](horizon_ns, backward_jump_ns))]

    def __iter__(self) -> Iterator[JointGroup]:
        """Groups in the order of their first joints; each joint is in one."""
        return iter(self._groups)

    def push(self, stamp_ns: int, joints: tuple[int, ...], values: Array) -> Pushed:
        """Store the positions (len(joints),) of some joints; the most unusual thing that became of one of them."""
        outcome = Pushed.NEWEST
        for group in self._carried(joints):
            row = (
                values if group.joints == joints else values[[joints.index(joint) for joint in group.joints]]
            )
            outcome = max(outcome, group.stream.push(stamp_ns, row))
        return outcome

    def clear(self) -> None:
        """Forget all positions."""
        for group in self._groups:
            group.stream.clear()

    def newest_ns(self) -> int | None:
        """The oldest of the joints' newest stamps; None while one has none."""
        newest = [group.stream.newest_ns for group in self._groups]
        known = [stamp for stamp in newest if stamp is not None]
        return min(known) if len(known) == len(newest) else None

    def _carried(self, joints: tuple[int, ...]) -> list[JointGroup]:
        """The groups that make up these joints; those that lie across are split first."""
        for group in self._groups:
            if group.joints == joints:
                return [group]
        wanted, split = set(joints), []
        for group in self._groups:
            inside = [i for i, joint in enumerate(group.joints) if joint in wanted]
            outside = [i for i, joint in enumerate(group.joints) if joint not in wanted]
            for part in (inside, outside):
                if part and inside and outside:
                    stream = group.stream.map(itemgetter(part))
                    split.append(JointGroup(tuple(group.joints[i] for i in part), stream))
                elif part:
                    split.append(group)
        self._groups = sorted(split, key=lambda group: group.joints)
        return [group for group in self._groups if group.joints[0] in wanted]
