# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""From the parameters of action_node, a contract and a binding to the settings of what decides. No ROS calls."""

import math

from dp_ros.action.gates import ChunkLimits
from dp_ros.action.limits import MotionLimits
from dp_ros.action.pose import pose_columns
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.contract.robot_model import RobotModel
from dp_ros.errors import ConfigError
from dp_ros.nodes.motion_settings import MotionSettings
from dp_ros.nodes.params import ActionParams

CONFLICTS = ('error', 'warn')


def motion_limits(
    params: ActionParams, contract: Contract, binding: Binding, model: RobotModel | None
) -> MotionLimits:
    """Limits of all joints, in the contract's order.

    Raises:
        ConfigError: lists every joint and what it lacks.
    """
    return MotionLimits.of_joints(binding.limits(contract.joint_names, model, point_s=params.point_s))


def motion_settings(params: ActionParams, contract: Contract, binding: Binding) -> MotionSettings:
    """Times and tolerances of motion.

    Raises:
        ConfigError: a parameter that its range cannot judge is illegal.
    """
    if params.publisher_conflict not in CONFLICTS:
        raise ConfigError(
            f'publisher_conflict must be one of {list(CONFLICTS)}, got {params.publisher_conflict!r}'
        )
    times = {
        f'{name}_ns': _ns(getattr(params, f'{name}_s'))
        for name in (
            'point', 'past', 'future', 'freeze', 'chunk_timeout', 'sync_timeout', 'joint_timeout', 'max_future',
            'tracking_error', 'deadman_timeout', 'soft_start',
        )
    }  # fmt: skip
    lead = binding.lead_ns(contract.joint_names)
    return MotionSettings(
        lead_ns=tuple(int(ns) for ns in lead) if lead.any() else None,
        max_tracking_error=_tracking_errors(params, contract),
        position_tolerance=_by_unit(contract, params.limit_tolerance_rad, params.limit_tolerance_m),
        rest_tolerance=_by_unit(contract, params.rest_tolerance_rad, params.rest_tolerance_m),
        reject_limit=params.reject_limit,
        clock_timeout_s=params.clock_timeout_s,
        start_pose=params.start_pose,
        start_pose_scale=params.start_pose_scale,
        **times,
    )


def chunk_limits(params: ActionParams, contract: Contract, binding: Binding) -> ChunkLimits:
    """What the gates let pass."""
    return ChunkLimits(
        max_age_ns=_ns(params.max_chunk_age_s),
        max_future_ns=_ns(params.max_future_s),
        min_remaining_ns=_ns(params.freeze_s + 5 * params.point_s),
        start_jump=_by_unit(contract, params.start_jump_rad, params.start_jump_m),
        max_seam=_by_unit(contract, params.max_seam_rad or math.inf, params.max_seam_m or math.inf),
        max_seam_speed=_by_unit(contract, params.max_seam_rad_s or math.inf, params.max_seam_m_s or math.inf),
        position_tolerance=_by_unit(contract, params.limit_tolerance_rad, params.limit_tolerance_m),
        max_speed_ratio=params.max_speed_ratio,
        clip_budget=params.clip_budget,
        poses=pose_columns(binding, contract.joint_names),
        max_deviation=_by_unit(
            contract, params.max_deviation_rad or math.inf, params.max_deviation_m or math.inf
        ),
    )


def _tracking_errors(params: ActionParams, contract: Contract) -> tuple[float, ...]:
    if params.dry_run:
        # The arms do not follow the plan: they stand, or somebody else, or a bag, moves them.
        return (math.inf,) * len(contract.joint_names)
    limits = _by_unit(
        contract, params.max_tracking_error_rad or math.inf, params.max_tracking_error_m or math.inf
    )
    grippers = {arm.gripper.name for arm in contract.embodiment.arms if arm.gripper is not None}
    gripper = params.max_tracking_error_gripper or math.inf
    return tuple(
        gripper if name in grippers else limit
        for name, limit in zip(contract.joint_names, limits, strict=True)
    )


def _by_unit(contract: Contract, rad: float, m: float) -> tuple[float, ...]:
    """One number for each joint. Columns of other units, as of rotations, are about as large as radians."""
    return tuple(m if joint.unit == 'm' else rad for joint in contract.embodiment.joints)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
