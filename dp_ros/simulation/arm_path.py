# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Joint targets of one ViperX arm through finger-tip waypoints: minimum jerk between them, one branch throughout."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dp_ros.simulation.viperx import ArmBase, joints_from_tip, tip_from_joints

STEPS = 300
_ARM = 7


@dataclass(frozen=True)
class Waypoint:
    """Where the tool point is at a control step: position (3,) m, pitch and roll of the hand in rad (viperx.py)."""

    step: int
    position: np.ndarray
    pitch: float
    rotate: float


def arm_path(
    base: ArmBase,
    start: np.ndarray,
    waypoints: Sequence[Waypoint],
    gripper: Sequence[tuple[int, float]],
    tool: float,
) -> np.ndarray:
    """Targets of an episode, (300, 7): six joints in rad and the finger in m; the arm rests at every waypoint.

    Args:
        base: the arm.
        start: its joint positions at step 0, (7,).
        waypoints: in the order of their steps.
        gripper: finger positions in m at steps; it holds its start until the first of them, whose value is not used.
        tool: distance from the gripper link to the tool point, m.

    Raises:
        TaskError: a pose on the way is out of reach.
    """
    position, pitch = tip_from_joints(base, start[:6], tool)
    poses = [np.array([*position, pitch, start[5]])]
    steps = [0]
    for w in waypoints:
        poses.append(np.array([*w.position, w.pitch, w.rotate]))
        steps.append(w.step)
    path = _min_jerk(np.array(steps), np.array(poses))
    out = np.empty((STEPS, _ARM))
    for k, pose in enumerate(path):
        out[k, :6] = joints_from_tip(base, pose[:3], pose[3], pose[4], tool)
    values = [start[6], *(v for _, v in gripper[1:])]
    out[:, 6] = _min_jerk(np.array([k for k, _ in gripper]), np.array(values)[:, None])[:, 0]
    return out


def _min_jerk(steps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Rest-to-rest quintic segments through values (K, D) at steps (K,); constant outside; (STEPS, D)."""
    k = np.arange(STEPS)
    i = np.clip(np.searchsorted(steps, k, side='right') - 1, 0, len(steps) - 2)
    u = np.clip((k - steps[i]) / (steps[i + 1] - steps[i]), 0.0, 1.0)[:, None]
    blend = u * u * u * (10.0 + u * (6.0 * u - 15.0))
    return values[i] + blend * (values[i + 1] - values[i])
