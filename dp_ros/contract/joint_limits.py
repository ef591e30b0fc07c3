# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The limits of every column from its two sources: what the site's YAML says, else what the robot description says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dp_ros.contract.binding_parts import JointBinding
from dp_ros.contract.robot_model import JointModel, RobotModel
from dp_ros.errors import ConfigError

Array = npt.NDArray[np.float64]

DEFAULT_POINT_S = 0.02


@dataclass(frozen=True, kw_only=True, eq=False)
class JointLimits:
    """Limits of A columns, each array (A,) float64, in rad or m, per second and its powers.

    Attributes:
        lower, upper: of the position, the margin taken off; infinite where there is no bound.
        velocity, acceleration, jerk: positive and finite.
    """

    lower: Array
    upper: Array
    velocity: Array
    acceleration: Array
    jerk: Array


def joint_limits(
    site: Mapping[str, JointBinding],
    joint_names: Sequence[str],
    model: RobotModel | None,
    *,
    where: str,
    point_s: float = DEFAULT_POINT_S,
) -> JointLimits:
    """Limits of these columns, in this order.

    Args:
        site: columns by name, as the binding says; what it says wins.
        joint_names: which columns; all must be in ``site``.
        model: the robot description, or None where there is none.
        where: what error messages call the binding.
        point_s: distance of the plan's points; the default jerk turns the acceleration round within one.

    Raises:
        ConfigError: lists every joint with what it lacks, or what is impossible.
    """
    rows, problems = [], []
    for name in joint_names:
        joint = site[name]
        described = None if model is None else model.joints.get(name)
        bounds, velocity = _bounds(joint, described), joint.max_velocity or _velocity(described)
        lacks = [what for what, value in (('position', bounds), ('max_velocity', velocity)) if value is None]
        if bounds is None or velocity is None:
            problems.append(f'joint {name!r}: no {" and no ".join(lacks)}{_looked(model, described)}')
            continue
        lower, upper = bounds[0] + joint.margin, bounds[1] - joint.margin
        if not lower < upper:
            problems.append(
                f'joint {name!r}: nothing is left of the range {list(bounds)} with a margin of {joint.margin}'
            )
        jerk = joint.max_jerk or 2.0 * joint.max_acceleration / point_s
        rows.append((lower, upper, velocity, joint.max_acceleration, jerk))
    if problems:
        lines = '\n  '.join(problems)
        raise ConfigError(f'{where}: {len(problems)} joint(s) without usable limits:\n  {lines}')
    lower, upper, velocity, acceleration, jerk = np.array(rows, np.float64).reshape(-1, 5).T
    return JointLimits(lower=lower, upper=upper, velocity=velocity, acceleration=acceleration, jerk=jerk)


def position_bounds(
    site: Mapping[str, JointBinding], joint_names: Sequence[str], model: RobotModel | None
) -> dict[str, tuple[float, float]]:
    """Lowest and highest position of those columns for which the site or the robot description tells one; no margin."""
    out = {}
    for name in joint_names:
        described = None if model is None else model.joints.get(name)
        bounds = _bounds(site[name], described) if name in site else None
        if bounds is not None:
            out[name] = bounds
    return out


def _bounds(joint: JointBinding, described: JointModel | None) -> tuple[float, float] | None:
    if joint.position is not None:
        return joint.position
    if described is None or described.type not in ('revolute', 'prismatic', 'continuous'):
        return None
    return described.lower, described.upper


def _velocity(described: JointModel | None) -> float | None:
    return None if described is None else described.velocity


def _looked(model: RobotModel | None, described: JointModel | None) -> str:
    """Where else was looked."""
    if model is None:
        return ', and there is no robot_description'
    if described is None:
        return f', and the robot_description has no such joint; it has {sorted(model.joints)}'
    return f', and the robot_description names none for this {described.type} joint'
