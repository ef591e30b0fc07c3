# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The robot's body as data: arms, joints, grippers, units."""

from dataclasses import dataclass

from dp_ros.errors import ContractError

UNITS = ('rad', 'm', '1')
# An end-effector pose as nine columns: x, y, z, and the first two columns of its rotation matrix, a1 to a3, b1 to b3.
POSE_UNITS = ('m',) * 3 + ('1',) * 6


@dataclass(frozen=True, kw_only=True)
class Joint:
    """One joint by its ROS name, with the SI unit of its position: 'rad' or 'm', or '1' where it has no dimension.

    The columns of an end-effector pose count as joints: whatever is matched by name has a name here.
    """

    name: str
    unit: str = 'rad'

    def __post_init__(self) -> None:
        if not self.name:
            raise ContractError('a joint needs a name')
        if self.unit not in UNITS:
            raise ContractError(f'joint {self.name!r}: unit must be one of {UNITS}, got {self.unit!r}')


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One arm with the joints of its controller, in the controller's order, gripper last if it has one."""

    name: str
    joints: tuple[Joint, ...]
    gripper: Joint | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, 'joints', tuple(self.joints))
        if not self.name or not self.joints:
            raise ContractError(f'an arm needs a name and at least one joint, got {self}')

    @property
    def acts_in_poses(self) -> bool:
        """Whether the arm, its gripper aside, is commanded by the pose of its end effector (see POSE_UNITS)."""
        return tuple(joint.unit for joint in self.joints) == POSE_UNITS

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of all joints of the arm, the gripper last."""
        return tuple(j.name for j in self.all_joints)

    @property
    def all_joints(self) -> tuple[Joint, ...]:
        """All joints of the arm, the gripper last."""
        return self.joints if self.gripper is None else (*self.joints, self.gripper)


@dataclass(frozen=True, kw_only=True)
class Embodiment:
    """All arms, in the order in which their joints are concatenated everywhere. Left before right."""

    arms: tuple[Arm, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, 'arms', tuple(self.arms))
        if not self.arms:
            raise ContractError('an embodiment needs at least one arm')
        for what, names in (
            ('arm', [arm.name for arm in self.arms]),
            ('joint', [n for arm in self.arms for n in arm.joint_names]),
        ):
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ContractError(f'embodiment: {what} names must be unique, these stand twice: {twice}')

    @property
    def joints(self) -> tuple[Joint, ...]:
        """All joints, arm after arm; the order of every vector of joint positions."""
        return tuple(j for arm in self.arms for j in arm.all_joints)

    @property
    def displaceable(self) -> tuple[bool, ...]:
        """Of each of :attr:`joints`, whether the difference of two positions is a motion of its own kind.

        It is for joints of arms in rad or m. A gripper's command may be an effort and its measurement a width, and a
        rotation is no difference of columns.
        """
        return tuple(
            joint.unit != '1' and joint is not arm.gripper for arm in self.arms for joint in arm.all_joints
        )

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of :attr:`joints`."""
        return tuple(j.name for j in self.joints)

    @property
    def slices(self) -> dict[str, slice]:
        """Arm name to the columns that it owns in a vector of joint positions."""
        out, start = {}, 0
        for arm in self.arms:
            stop = start + len(arm.joint_names)
            out[arm.name] = slice(start, stop)
            start = stop
        return out
