# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What must hold before arms start to move: a start pose within reach, and arms that stand where they were held."""

import numpy as np
import numpy.typing as npt

from dp_ros.action.limits import MotionLimits
from dp_ros.action.plan import CommittedPlan
from dp_ros.errors import ConfigError
from dp_ros.nodes.measured import MeasuredJoints


def require_start_pose(names: tuple[str, ...], pose: tuple[float, ...], limits: MotionLimits) -> None:
    """Raise :class:`ConfigError` where the pose, if there is one, is not one of these joints within their limits."""
    if not pose:
        return
    if len(pose) != len(names) or not np.isfinite(pose).all():
        raise ConfigError(f'start_pose must hold {len(names)} numbers, for {names}; got {pose}')
    outside = [
        f'{name}: {value}, limits {low:.4f} to {high:.4f}'
        for name, value, low, high in zip(names, pose, limits.lower, limits.upper, strict=True)
        if not low <= value <= high
    ]
    if outside:
        raise ConfigError(f'start_pose lies beyond the position limits: {"; ".join(outside)}')


def strayed(plan: CommittedPlan, measured: MeasuredJoints, limit: npt.NDArray[np.float64]) -> str:
    """Which joints stand further than ``limit`` (A,) from the end of a plan at rest, with values; empty where none."""
    held, now = plan.sample(plan.end_ns)[0], measured.newest
    return '; '.join(
        f'{measured.joint_names[i]}: held at {held[i]:.4f}, measured {now[i]:.4f}, limit {limit[i]:.4f}'
        for i in np.flatnonzero(~(np.abs(now - held) <= limit))
    )
