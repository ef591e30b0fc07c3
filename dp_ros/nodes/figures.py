# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Numbers about the plan, for /diagnostics: how well chunks agree, and what it took to follow them. No ROS."""

from collections import deque

import numpy as np

from dp_ros.action.plan import Joined

_LAST = 256


class PlanFigures:
    """The last few hundred joins."""

    def __init__(self) -> None:
        self._seams: deque[float] = deque(maxlen=_LAST)
        self._speeds: deque[float] = deque(maxlen=_LAST)
        self._last: Joined | None = None
        self._slowest = 1.0

    def add(self, joined: Joined) -> None:
        """A chunk was taken over."""
        self._last = joined
        self._seams.append(float(np.abs(joined.seam).max()))
        self._speeds.append(float(np.abs(joined.seam_velocity).max()))
        self._slowest = min(self._slowest, joined.time_scale)

    def values(self) -> dict[str, float]:
        """Name to number; empty before the first chunk. Largest of all joints, in rad or m and per second."""
        if self._last is None:
            return {}
        return {
            'seam': self._seams[-1],
            'seam_p95': float(np.percentile(self._seams, 95)),
            'seam_velocity': self._speeds[-1],
            'seam_velocity_p95': float(np.percentile(self._speeds, 95)),
            'clip_fraction': self._last.clip_fraction,
            'deviation': float(np.abs(self._last.deviation).max()),
            'time_scale': self._last.time_scale,
            'time_scale_min': self._slowest,
        }
