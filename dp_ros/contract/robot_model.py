# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A robot as a tree of links and joints, and where a link is for given joint positions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dp_ros.errors import ContractError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mimic:
    """A joint whose position is ``multiplier * position of joint + offset``."""

    joint: str
    multiplier: float
    offset: float


@dataclass(frozen=True, kw_only=True, eq=False)
class JointModel:
    """A joint of a robot description.

    Attributes:
        name, type: as in URDF: revolute, continuous, prismatic, fixed, floating or planar.
        parent, child: links.
        offset: (3,) m, and ``rotation`` (3, 3): the joint's frame in that of the parent link.
        axis: (3,) unit vector in the joint's frame.
        lower, upper: bounds of the position, rad or m, soft limits included; infinite where there are none.
        velocity: limit in rad/s or m/s; None where the description names none.
        effort: limit in Nm or N; None where the description names none.
        mimic: the joint that it follows, or None.
    """

    name: str
    type: str
    parent: str
    child: str
    offset: Array
    rotation: Array
    axis: Array
    lower: float
    upper: float
    velocity: float | None
    effort: float | None
    mimic: Mimic | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class RobotModel:
    """Links, joints by name, and the root link; :func:`dp_ros.contract.urdf.parse_urdf` makes them."""

    name: str
    links: tuple[str, ...]
    joints: Mapping[str, JointModel]
    root: str

    def chain(self, link: str, base: str | None = None) -> tuple[JointModel, ...]:
        """The joints from ``base`` (default: the root) down to a link, fixed ones included.

        Raises:
            ContractError: no such link, or the link does not hang on the base.
        """
        for name in (link, base or self.root):
            if name not in self.links:
                raise ContractError(f'robot {self.name!r} has no link {name!r}; it has {list(self.links)}')
        above = {joint.child: joint for joint in self.joints.values()}
        out, at = [], link
        while at != (base or self.root):
            if at not in above:
                raise ContractError(f'robot {self.name!r}: link {link!r} does not hang on link {base!r}')
            out.append(above[at])
            at = above[at].parent
        return tuple(reversed(out))

    def tip(self, joints: Iterable[str]) -> str:
        """The link that the deepest of these joints moves.

        Raises:
            ContractError: the robot has none of them.
        """
        known = [self.joints[name] for name in joints if name in self.joints]
        if not known:
            raise ContractError(f'robot {self.name!r} has none of the joints {list(joints)}')
        return max(known, key=lambda joint: len(self.chain(joint.child))).child

    def base(self, link: str, known: Iterable[str]) -> str:
        """The highest link from which ``link`` can be found with the positions of these joints alone.

        It is the root, unless a joint on the way is moved by somebody else.
        """
        names = set(known)
        base = link
        for joint in reversed(self.chain(link)):
            driver = joint.name if joint.mimic is None else joint.mimic.joint
            if joint.type != 'fixed' and driver not in names:
                break
            base = joint.parent
        return base

    def forward_kinematics(
        self, link: str, positions: Mapping[str, Any], base: str | None = None
    ) -> tuple[Array, Array]:
        """Where a link is, in the frame of ``base`` (default: the root).

        Args:
            link: name of the link.
            positions: joint name to a position or to an array of them, rad or m; all of one shape (...,). Those
                of joints that are not on the way are not looked at; a mimic joint follows by itself.
            base: see above.

        Returns:
            Position (..., 3) in m and rotation (..., 3, 3).

        Raises:
            ContractError: names the joints on the way whose position is missing, or that cannot be followed.
        """
        chain = self.chain(link, base)
        moving = [joint for joint in chain if joint.type != 'fixed']
        drivers = {j.name: j.name if j.mimic is None else j.mimic.joint for j in moving}
        missing = sorted({driver for driver in drivers.values() if driver not in positions})
        if missing:
            raise ContractError(f'the way to link {link!r} needs the positions of joints {missing}')
        place, turn = np.zeros(3), np.eye(3)
        for joint in chain:
            place = place + _times(turn, joint.offset)
            turn = turn @ joint.rotation
            if joint.type == 'fixed':
                continue
            value = np.asarray(positions[drivers[joint.name]], np.float64)
            if joint.mimic is not None:
                value = joint.mimic.multiplier * value + joint.mimic.offset
            if joint.type in ('revolute', 'continuous'):
                turn = turn @ axis_rotation(joint.axis, value)
            elif joint.type == 'prismatic':
                place = place + _times(turn, value[..., None] * joint.axis)
            else:
                raise ContractError(f'joint {joint.name!r} is {joint.type}: its link cannot be followed')
        return place, turn


def axis_rotation(axis: Array, angle: npt.ArrayLike) -> Array:
    """Rotation (..., 3, 3) by angles (...,) about a unit vector (3,)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    wide = np.asarray(angle, np.float64)[..., None, None]
    turned = np.eye(3) + np.sin(wide) * cross + (1.0 - np.cos(wide)) * (cross @ cross)
    return np.asarray(turned, np.float64)


def _times(turn: Array, vector: Array) -> Array:
    """``turn`` (..., 3, 3) times ``vector`` (..., 3)."""
    return np.asarray((turn @ vector[..., None])[..., 0], np.float64)
