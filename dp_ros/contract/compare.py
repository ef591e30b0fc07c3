# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Can this checkpoint drive this robot?"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dp_ros.contract.contract import Contract
from dp_ros.errors import MismatchError


@dataclass(frozen=True, kw_only=True)
class RobotDescription:
    """What a robot is known to have: from a binding, from a simulator, or from its first messages.

    Attributes:
        joints: every joint that the robot reports, with its unit; None where the source does not tell
            (a JointState carries no unit).
        cameras: every camera field with the (height, width) of its images; None where it is not known.
        arms: every arm with the joints of its controllers.
        vectors: every further vector with its length; None where it is not known.
        poses: every arm that is commanded by poses, with the nine columns of its controller, in its order.
    """

    joints: Mapping[str, str | None]
    cameras: Mapping[str, tuple[int, int] | None] = field(default_factory=dict)
    arms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    poses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vectors: Mapping[str, int | None] = field(default_factory=dict)

    @classmethod
    def of_contract(cls, contract: Contract) -> 'RobotDescription':
        """The robot for which a contract was written, such as a simulated one's."""
        return cls(
            joints={joint.name: joint.unit for joint in contract.embodiment.joints},
            cameras={camera.name: camera.source_size for camera in contract.cameras},
            arms={arm.name: arm.joint_names for arm in contract.embodiment.arms},
            poses={
                arm.name: tuple(joint.name for joint in arm.joints)
                for arm in contract.embodiment.arms
                if arm.acts_in_poses
            },
            vectors={vector.name: vector.dim for vector in contract.vectors},
        )


def compare(contract: Contract, robot: RobotDescription) -> list[str]:
    """Every difference between what a checkpoint promises and a robot has; empty if it fits.

    The order of joints is no difference, because everything is mapped by name. Joints, cameras and vectors that the
    policy does not use are no difference either, but an arm that it does not move, or a controller that
    expects a joint that it does not command, are. The nine columns of a pose mean something by their order, so
    there the order counts.
    """
    out = []
    for joint in contract.embodiment.joints:
        if joint.name not in robot.joints:
            out.append(f'joint {joint.name!r}: needed by the checkpoint, not on the robot')
            continue
        unit = robot.joints[joint.name]
        if unit is not None and unit != joint.unit:
            out.append(f'joint {joint.name!r}: unit {joint.unit!r} in the checkpoint, {unit!r} on the robot')
    arms = {arm.name: arm.joint_names for arm in contract.embodiment.arms}
    for name, joints in arms.items():
        if name not in robot.arms:
            out.append(f'arm {name!r}: needed by the checkpoint, not on the robot')
            continue
        controlled = robot.arms[name]
        out += [
            f'arm {name!r}: its controller does not have joint {joint!r}'
            for joint in joints
            if joint not in controlled
        ]
        out += [
            f'arm {name!r}: its controller expects joint {joint!r}, which the checkpoint does not command'
            for joint in controlled
            if joint not in joints
        ]
    out += _poses(contract, robot)
    out += [
        f'arm {name!r}: on the robot, not moved by the checkpoint' for name in robot.arms if name not in arms
    ]
    for camera in contract.cameras:
        if camera.name not in robot.cameras:
            out.append(f'camera {camera.name!r}: needed by the checkpoint, not on the robot')
            continue
        size = robot.cameras[camera.name]
        if size is not None and tuple(size) != camera.source_size:
            out.append(
                f'camera {camera.name!r}: images of {_size(camera.source_size)} in the checkpoint, '
                f'{_size(size)} on the robot'
            )
    for vector in contract.vectors:
        if vector.name not in robot.vectors:
            out.append(f'vector {vector.name!r}: needed by the checkpoint, not on the robot')
            continue
        dim = robot.vectors[vector.name]
        if dim is not None and dim != vector.dim:
            out.append(f'vector {vector.name!r}: {vector.dim} numbers in the checkpoint, {dim} on the robot')
    return out


def require_match(contract: Contract, robot: RobotDescription, where: str = 'this robot') -> None:
    """Refuse a robot that the checkpoint does not fit.

    Raises:
        MismatchError: lists every difference, one a line.
    """
    differences = compare(contract, robot)
    if differences:
        lines = '\n  '.join(differences)
        raise MismatchError(
            f'checkpoint {contract.name!r} does not fit {where}, {len(differences)} difference(s):\n  {lines}'
        )


def _poses(contract: Contract, robot: RobotDescription) -> list[str]:
    out = []
    for arm in contract.embodiment.arms:
        if arm.name not in robot.arms:
            continue
        columns = robot.poses.get(arm.name)
        wanted = tuple(joint.name for joint in arm.joints)
        if arm.acts_in_poses and columns is None:
            out.append(
                f'arm {arm.name!r}: the checkpoint commands poses, its controllers take joint positions'
            )
        elif columns is not None and not arm.acts_in_poses:
            out.append(
                f'arm {arm.name!r}: the checkpoint commands joint positions, its controller takes poses'
            )
        elif columns is not None and columns != wanted and set(columns) == set(wanted):
            out.append(
                f'arm {arm.name!r}: columns of the pose {wanted} in the checkpoint, {columns} on the robot'
            )
    return out


def _size(size: tuple[int, int]) -> str:
    return f'{size[1]}x{size[0]}'
