# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Closed-form kinematics of a ViperX-300 whose forearm does not roll.

With forearm_roll = 0 the arm is a waist and a planar chain of three joints, so every finger-tip pose on the
plane through the waist has exactly one elbow-up solution. One branch by construction: a solver that lets the
forearm roll finds three wrist branches for the same poses, and data that jumps between them is hard to learn.
"""

from dataclasses import dataclass

import numpy as np

from dp_ros.errors import TaskError

# Lengths in m, from gym_aloha's model of the arm.
_SHOULDER_HEIGHT = 0.079 + 0.04805
_ELBOW_FORWARD, _UPPER_ARM = 0.05955, 0.3
_FOREARM = 0.2 + 0.1
_WRIST_TO_GRIPPER = 0.069744
_SPAN = float(np.hypot(_ELBOW_FORWARD, _UPPER_ARM))
_SPAN_ANGLE = float(np.arctan2(_ELBOW_FORWARD, _UPPER_ARM))


@dataclass(frozen=True)
class ArmBase:
    """Where an arm stands: base position (x, y) in m and the heading at waist 0 in rad, about +z."""

    x: float
    y: float
    heading: float


LEFT_BASE = ArmBase(-0.469, 0.5, 0.0)
RIGHT_BASE = ArmBase(0.469, 0.5, float(np.pi))


def joints_from_tip(
    base: ArmBase, position: np.ndarray, pitch: float, wrist_rotate: float, tool: float
) -> np.ndarray:
    """Joint positions that bring the tool point to a pose; the yaw follows from the waist.

    Args:
        base: the arm.
        position: tool point in the world, (3,) m.
        pitch: how far the hand points down, rad; 0 is level, pi/2 straight down.
        wrist_rotate: roll of the hand about its own axis, rad.
        tool: distance from the gripper link to the tool point, m.

    Returns:
        waist, shoulder, elbow, forearm_roll (0), wrist_angle, wrist_rotate; (6,) rad.

    Raises:
        TaskError: the pose is out of reach.
    """
    dx, dy = position[0] - base.x, position[1] - base.y
    cos_h, sin_h = np.cos(base.heading), np.sin(base.heading)
    waist = np.arctan2(-sin_h * dx + cos_h * dy, cos_h * dx + sin_h * dy)
    hand = _WRIST_TO_GRIPPER + tool
    reach = np.hypot(dx, dy) - hand * np.cos(pitch)
    height = position[2] - _SHOULDER_HEIGHT + hand * np.sin(pitch)
    distance = np.hypot(reach, height)
    if not abs(_SPAN - _FOREARM) < distance < _SPAN + _FOREARM:
        raise TaskError(f"pose {np.round(position, 3)} m, pitch {pitch:.2f} rad is out of the arm's reach")
    # Angles above the horizon: the upper arm lies above the line from shoulder to wrist, the forearm below it.
    to_wrist = np.arctan2(height, reach)
    upper = to_wrist + _corner(_SPAN, distance, _FOREARM)
    forearm = to_wrist - _corner(_FOREARM, distance, _SPAN)
    # Joints turn downwards; at shoulder 0 the line to the elbow stands _SPAN_ANGLE before the vertical.
    shoulder = np.pi / 2 - _SPAN_ANGLE - upper
    elbow = -forearm - shoulder
    return np.array([waist, shoulder, elbow, 0.0, pitch - shoulder - elbow, wrist_rotate])


def tip_from_joints(base: ArmBase, joints: np.ndarray, tool: float) -> tuple[np.ndarray, float]:
    """Inverse of :func:`joints_from_tip` for forearm_roll = 0: (tool point (3,) m, pitch rad)."""
    waist, shoulder, elbow, _, wrist, _ = joints
    pitch = shoulder + elbow + wrist
    hand = _WRIST_TO_GRIPPER + tool
    upper, forearm = np.pi / 2 - _SPAN_ANGLE - shoulder, -(shoulder + elbow)
    radius = _SPAN * np.cos(upper) + _FOREARM * np.cos(forearm) + hand * np.cos(pitch)
    height = _SPAN * np.sin(upper) + _FOREARM * np.sin(forearm) - hand * np.sin(pitch)
    yaw = base.heading + waist
    position = [base.x + radius * np.cos(yaw), base.y + radius * np.sin(yaw), _SHOULDER_HEIGHT + height]
    return np.array(position), float(pitch)


def _corner(a: float, b: float, opposite: float) -> float:
    """Angle between sides a and b of a triangle, rad."""
    return float(np.arccos(np.clip((a * a + b * b - opposite * opposite) / (2 * a * b), -1.0, 1.0)))
