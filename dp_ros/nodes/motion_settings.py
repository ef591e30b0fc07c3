# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The numbers that the motion of all arms follows."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MotionSettings:
    """Times in nanoseconds; tuples hold one number for each joint, in rad or m; see the parameters of action_node."""

    point_ns: int
    past_ns: int
    future_ns: int
    freeze_ns: int
    chunk_timeout_ns: int
    sync_timeout_ns: int
    joint_timeout_ns: int
    max_future_ns: int
    tracking_error_ns: int
    deadman_timeout_ns: int = 0
    soft_start_ns: int = 0
    lead_ns: tuple[int, ...] | None = None
    max_tracking_error: tuple[float, ...]
    position_tolerance: tuple[float, ...]
    rest_tolerance: tuple[float, ...] | float = 0.0
    reject_limit: int = 5
    clock_timeout_s: float = 0.0
    start_pose: tuple[float, ...] = ()
    start_pose_scale: float = 0.2
