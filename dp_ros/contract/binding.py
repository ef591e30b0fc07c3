# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The binding: which topic carries which field of a contract at one site, and what moves there, how far and how fast.

The contract travels with the checkpoint, the binding stays with the robot. Topics without a leading slash
live in the namespace of the nodes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dp_ros.contract import binding_schema as schema
from dp_ros.contract.binding_actions import (
    ActionSourceBinding,
    actions,
    check_actions,
    controllers_actions,
)
from dp_ros.contract.binding_parts import (
    ArmBinding,
    CameraBinding,
    ControllerBinding,
    JointBinding,
    JointStatesBinding,
    PoseStateBinding,
    VectorBinding,
)
from dp_ros.contract.compare import RobotDescription
from dp_ros.contract.joint_limits import DEFAULT_POINT_S, JointLimits, joint_limits, position_bounds
from dp_ros.contract.robot_model import RobotModel
from dp_ros.contract.strict_yaml import load_strict_yaml
from dp_ros.errors import ConfigError

VERSION = 1

__all__ = [
    'ActionSourceBinding',
    'ArmBinding',
    'Binding',
    'CameraBinding',
    'ControllerBinding',
    'JointBinding',
    'JointStatesBinding',
    'PoseStateBinding',
    'VectorBinding',
]


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One site's topics; see config/bindings for examples.

    Attributes:
        name: a name for people.
        joint_states, pose_states: what is measured.
        cameras, vectors: by field of the contract.
        arms: by name in the contract.
        robot_description: latched topic of the URDF (std_msgs/String); empty where there is none.
        actions: where demonstrations say what was commanded; empty: in what the controllers are sent.
    """

    name: str
    joint_states: tuple[JointStatesBinding, ...]
    cameras: Mapping[str, CameraBinding]
    arms: Mapping[str, ArmBinding]
    pose_states: tuple[PoseStateBinding, ...] = ()
    robot_description: str = ''
    actions: tuple[ActionSourceBinding, ...] = ()
    vectors: Mapping[str, VectorBinding] = field(default_factory=dict)

    @classmethod
    def from_yaml(cls, path: Path) -> 'Binding':
        """Read a binding.

        Raises:
            ConfigError: names file, key path, and what would be legal.
        """
        return cls.from_dict(load_strict_yaml(path), str(path))

    @classmethod
    def from_dict(cls, data: Any, where: str = 'binding') -> 'Binding':
        """Build a binding from plain data, checked key by key.

        Raises:
            ConfigError: names the key path, and what would be legal.
        """
        optional: dict[str, Any] = {
            'cameras': {},
            'joint_states': [],
            'pose_states': [],
            'robot_description': '',
            'actions': None,
            'vectors': {},
        }
        keys = schema.keys(data, where, {'dp_binding', 'name', 'arms'}, optional)
        schema.one_of(keys['dp_binding'], (VERSION,), f'{where}.dp_binding')
        for key in ('joint_states', 'pose_states'):
            if not isinstance(keys[key], list):
                raise ConfigError(f'{where}.{key}: expected a list of topics, got {keys[key]!r}')
        if not keys['joint_states'] and not keys['pose_states']:
            raise ConfigError(f'{where}: joint_states or pose_states: expected a list of topics, got none')
        described = keys['robot_description']
        binding = cls(
            name=schema.text(keys['name'], f'{where}.name'),
            joint_states=tuple(
                schema.joint_states(s, f'{where}.joint_states[{i}]')
                for i, s in enumerate(keys['joint_states'])
            ),
            pose_states=tuple(
                schema.pose_state(s, f'{where}.pose_states[{i}]') for i, s in enumerate(keys['pose_states'])
            ),
            cameras={
                n: schema.camera(c, f'{where}.cameras.{n}')
                for n, c in schema.mapping(keys['cameras'], f'{where}.cameras')
            },
            arms={
                n: schema.arm(a, f'{where}.arms.{n}')
                for n, a in schema.mapping(keys['arms'], f'{where}.arms')
            },
            robot_description=described and schema.topic(described, f'{where}.robot_description'),
            actions=() if keys['actions'] is None else actions(keys['actions'], f'{where}.actions'),
            vectors={
                n: schema.vector(v, f'{where}.vectors.{n}')
                for n, v in schema.mapping(keys['vectors'], f'{where}.vectors')
            },
        )
        binding._check(where)
        return binding

    @property
    def joints(self) -> dict[str, JointBinding]:
        """Every column of every arm, by name."""
        return {name: joint for arm in self.arms.values() for name, joint in arm.joints.items()}

    def action_sources(self) -> tuple[ActionSourceBinding, ...]:
        """The topics that say what was commanded; where the binding names none, the arms' controllers' own."""
        return self.actions or controllers_actions(self.arms)

    def robot(self) -> RobotDescription:
        """What the site says about its robot, for :func:`dp_ros.contract.compare.compare`."""
        return RobotDescription(
            joints={name: joint.unit for name, joint in self.joints.items()},
            cameras={name: camera.size for name, camera in self.cameras.items()},
            arms={name: tuple(arm.joints) for name, arm in self.arms.items()},
            poses={
                name: controller.joints
                for name, arm in self.arms.items()
                for controller in arm.controllers
                if controller.output == 'pose'
            },
            vectors={name: vector.dim for name, vector in self.vectors.items()},
        )

    def limits(
        self, joint_names: Sequence[str], model: RobotModel | None = None, *, point_s: float = DEFAULT_POINT_S
    ) -> JointLimits:
        """Limits of these columns; the robot description fills what the binding leaves out.

        ``point_s`` is the distance of the plan's points, for the default of the jerk.

        Raises:
            ConfigError: for joints that no arm of the binding has, or that lack a limit; lists all of them.
        """
        self._require(joint_names)
        return joint_limits(self.joints, joint_names, model, where=f'binding {self.name!r}', point_s=point_s)

    def position_bounds(
        self, joint_names: Sequence[str], model: RobotModel | None = None
    ) -> dict[str, tuple[float, float]]:
        """Lowest and highest position of those of these columns for which binding or robot description tells one."""
        return position_bounds(self.joints, joint_names, model)

    def lead_ns(self, joint_names: Sequence[str]) -> npt.NDArray[np.int64]:
        """Time from command to motion of each column, (A,) nanoseconds.

        Raises:
            ConfigError: for joints that no arm of the binding has.
        """
        self._require(joint_names)
        seconds = {
            name: arm.latency_s if joint.latency_s is None else joint.latency_s
            for arm in self.arms.values()
            for name, joint in arm.joints.items()
        }
        return np.array([round(seconds[name] * 1e9) for name in joint_names], np.int64)

    def max_acceleration(self, joint_names: Sequence[str]) -> tuple[float, ...]:
        """Braking deceleration of each of these joints.

        Raises:
            ConfigError: for joints that no arm of the binding has.
        """
        self._require(joint_names)
        return tuple(self.joints[name].max_acceleration for name in joint_names)

    def _require(self, joint_names: Sequence[str]) -> None:
        missing = [name for name in joint_names if name not in self.joints]
        if missing:
            raise ConfigError(f'binding {self.name!r} has no joints {missing}; it has {list(self.joints)}')

    def _check(self, where: str) -> None:
        """What no part can see alone."""
        if not self.arms:
            raise ConfigError(f'{where}.arms: at least one arm is needed')
        states = [s.topic for s in self.joint_states] + [s.topic for s in self.pose_states]
        schema.unique(states, f'{where}.joint_states: topic')
        schema.unique([c.topic for c in self.cameras.values()], f'{where}.cameras: topic')
        schema.unique([v.topic for v in self.vectors.values()], f'{where}.vectors: topic')
        controllers = [c for arm in self.arms.values() for c in arm.controllers]
        schema.unique([c.topic for c in controllers], f'{where}.arms: controller_topic')
        schema.unique([j for arm in self.arms.values() for j in arm.joints], f'{where}.arms: joint')
        schema.unique([name for s in self.pose_states for name in s.columns], f'{where}.pose_states: column')
        check_actions(self.actions, self.joints, f'{where}.actions')
        measured = [state.columns for state in self.pose_states]
        blind = [c.topic for c in controllers if c.output == 'pose' and c.joints not in measured]
        if blind:
            raise ConfigError(f'{where}.pose_states: none has the columns of the poses that go to {blind}')
