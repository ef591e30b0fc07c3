# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a policy's own chunks have commanded in this epoch, at the moments that its past tokens stand for."""

import numpy as np
import numpy.typing as npt

from dp_ros.action.chunk import ActionChunk

PastActions = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]
"""Positions (H, A), rad or m, the oldest first, at H periods down to one period before an observation; and (H,)
which of them were commanded: the others lie before the epoch."""


class CommandedPast:
    """The curve through the rows of all chunks, each up to where the next one begins.

    As training reads its labels: lines between points, one point a row, so that a tick that comes late or off the
    period's grid is asked about the same moments. It is the policy's command, before the action node's limits.

    Args:
        count: H, actions of the past that the policy looks at; with 0 nothing is kept.
        period_ns: time between two of them.
    """

    def __init__(self, count: int, period_ns: int):
        self.count, self.period_ns = count, period_ns
        self.forget()

    def forget(self) -> None:
        """An epoch begins."""
        self._stamps_ns = np.empty(0, np.int64)
        self._rows = np.empty((0, 0))
        self._first_ns = 0

    def follow(self, chunk: ActionChunk) -> None:
        """From its stamp on this chunk is what is commanded."""
        if not self.count:
            return
        stamps_ns = chunk.stamp_ns + np.arange(len(chunk.positions)) * chunk.period_ns
        if not len(self._stamps_ns):
            self._stamps_ns, self._rows, self._first_ns = stamps_ns, chunk.positions, chunk.stamp_ns
            return
        oldest_ns = chunk.stamp_ns - (self.count + 1) * self.period_ns
        kept = (self._stamps_ns < chunk.stamp_ns) & (self._stamps_ns >= oldest_ns)
        self._stamps_ns = np.concatenate([self._stamps_ns[kept], stamps_ns])
        self._rows = np.concatenate([self._rows[kept], chunk.positions])

    def before(self, stamp_ns: int) -> PastActions | None:
        """What was commanded before an observation at ``stamp_ns``; None where nothing was, or nothing is kept."""
        if not len(self._stamps_ns):
            return None
        wanted_ns = stamp_ns + np.arange(-self.count, 0) * self.period_ns
        # Differences, because a stamp of a real clock has more digits than a float.
        at, points = (wanted_ns - stamp_ns).astype(float), (self._stamps_ns - stamp_ns).astype(float)
        rows = np.stack([np.interp(at, points, joint) for joint in self._rows.T], axis=1)
        return rows, wanted_ns >= self._first_ns
