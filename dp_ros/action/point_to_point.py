# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""From rest to rest in the least time that the limits allow, all joints arriving together (Ruckig)."""

import numpy as np
import numpy.typing as npt
from ruckig import InputParameter, Result, Ruckig, Synchronization, Trajectory

from dp_ros.action.limits import MotionLimits
from dp_ros.errors import ConfigError

Array = npt.NDArray[np.float64]

# Ruckig wants finite numbers; nothing moves faster than this.
_FAST = 1e3


def point_to_point(start: Array, target: Array, limits: MotionLimits, point_ns: int) -> Array:
    """Controls (N, A), one each ``point_ns``, from rest at ``start`` to rest at ``target``.

    The path is a straight line in joint space where the limits allow one. Samples of a motion within the limits are
    controls within them: their differences are means of its derivatives.

    Raises:
        ConfigError: the target is not finite, of other joints, or out of range; names every such column.
    """
    if target.shape != start.shape or not np.all(np.isfinite(target)):
        raise ConfigError(f'a target needs {len(start)} finite positions, got {target}')
    outside = (target < limits.lower) | (target > limits.upper)
    if np.any(outside):
        raise ConfigError(
            'the target is out of range: '
            + '; '.join(
                f'column {i}: {target[i]:.4f}, limits {limits.lower[i]:.4f} to {limits.upper[i]:.4f}'
                for i in np.flatnonzero(outside)
            )
        )
    h = point_ns * 1e-9
    request = InputParameter(len(start))
    request.current_position, request.target_position = start.tolist(), target.tolist()
    request.max_velocity = np.minimum(limits.velocity, _FAST).tolist()
    request.max_acceleration = limits.acceleration.tolist()
    request.max_jerk = np.minimum(limits.jerk, 2.0 * limits.acceleration / h).tolist()
    request.synchronization = Synchronization.Phase
    trajectory = Trajectory(len(start))
    result = Ruckig(len(start)).calculate(request, trajectory)
    if result not in (Result.Working, Result.Finished):
        raise ConfigError(f'no motion from {start} to {target} within the limits: {result}')
    count = int(np.ceil(trajectory.duration / h - 1e-9)) + 1
    rows = [trajectory.at_time(min(k * h, trajectory.duration))[0] for k in range(1, count)]
    return np.array([*rows, target.tolist()])
