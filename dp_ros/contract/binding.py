# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The binding: which topic carries which field of a contract at one site, and what moves there.

The contract travels with the checkpoint, the binding stays with the robot. Topics without a leading slash
live in the namespace of the nodes.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dp_ros.contract.compare import RobotDescription
from dp_ros.contract.embodiment import UNITS
from dp_ros.contract.strict_yaml import load_strict_yaml
from dp_ros.errors import ConfigError

VERSION = 1
QOS = ('sensor_data', 'reliable')
IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
TOPIC = re.compile(r'(~/|/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*')


@dataclass(frozen=True, kw_only=True)
class JointStatesBinding:
    """One topic of sensor_msgs/JointState, with any subset of the joints in any order; qos is one of QOS."""

    topic: str
    qos: str


@dataclass(frozen=True, kw_only=True)
class CameraBinding:
    """The topic of one camera field: type is one of IMAGE_TYPES, size is (height, width) of its images."""

    topic: str
    type: str
    qos: str
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class JointBinding:
    """A joint of a controller: unit of its position, and the deceleration of a braking stop, per second
    squared."""

    unit: str
    max_acceleration: float


@dataclass(frozen=True, kw_only=True)
class ArmBinding:
    """The joint trajectory controller of one arm: its topic, and its joints by name."""

    controller_topic: str
    joints: Mapping[str, JointBinding]


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One site's topics; see config/bindings for examples."""

    name: str
    joint_states: tuple[JointStatesBinding, ...]
    cameras: Mapping[str, CameraBinding]
    arms: Mapping[str, ArmBinding]

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
        keys = _keys(data, where, {'dp_binding', 'name', 'joint_states', 'arms'}, {'cameras': {}})
        _one_of(keys['dp_binding'], (VERSION,), f'{where}.dp_binding')
        if not isinstance(keys['name'], str) or not keys['name']:
            raise ConfigError(f'{where}.name: expected a name, got {keys["name"]!r}')
        states = keys['joint_states']
        if not isinstance(states, list) or not states:
            raise ConfigError(f'{where}.joint_states: expected a list of topics, got {states!r}')
        binding = cls(
            name=keys['name'],
            joint_states=tuple(_joint_states(s, f'{where}.joint_states[{i}]') for i, s in enumerate(states)),
            cameras={
                n: _camera(c, f'{where}.cameras.{n}') for n, c in _map(keys['cameras'], f'{where}.cameras')
            },
            arms={n: _arm(a, f'{where}.arms.{n}') for n, a in _map(keys['arms'], f'{where}.arms')},
        )
        if not binding.arms:
            raise ConfigError(f'{where}.arms: at least one arm is needed')
        _unique([s.topic for s in binding.joint_states], f'{where}.joint_states: topic')
        _unique([c.topic for c in binding.cameras.values()], f'{where}.cameras: topic')
        _unique([a.controller_topic for a in binding.arms.values()], f'{where}.arms: controller_topic')
        _unique([j for a in binding.arms.values() for j in a.joints], f'{where}.arms: joint')
        return binding

    def robot(self) -> RobotDescription:
        """What the site says about its robot, for :func:`dp_ros.contract.compare.compare`."""
        return RobotDescription(
            joints={name: joint.unit for arm in self.arms.values() for name, joint in arm.joints.items()},
            cameras={name: camera.size for name, camera in self.cameras.items()},
            arms={name: tuple(arm.joints) for name, arm in self.arms.items()},
        )

    def max_acceleration(self, joint_names: Sequence[str]) -> tuple[float, ...]:
        """Braking deceleration of each of these joints.

        Raises:
            ConfigError: for joints that no arm of the binding has.
        """
        joints = {name: joint for arm in self.arms.values() for name, joint in arm.joints.items()}
        missing = [name for name in joint_names if name not in joints]
        if missing:
            raise ConfigError(f'binding {self.name!r} has no joints {missing}; it has {list(joints)}')
        return tuple(joints[name].max_acceleration for name in joint_names)


def _joint_states(data: Any, where: str) -> JointStatesBinding:
    keys = _keys(data, where, {'topic'}, {'qos': 'sensor_data'})
    return JointStatesBinding(
        topic=_topic(keys['topic'], f'{where}.topic'), qos=_one_of(keys['qos'], QOS, f'{where}.qos')
    )


def _camera(data: Any, where: str) -> CameraBinding:
    keys = _keys(data, where, {'topic', 'type', 'size'}, {'qos': 'sensor_data'})
    size = keys['size']
    if not isinstance(size, list) or len(size) != 2 or not all(type(v) is int and v > 0 for v in size):
        raise ConfigError(f'{where}.size: expected [height, width] in pixels, got {size!r}')
    return CameraBinding(
        topic=_topic(keys['topic'], f'{where}.topic'),
        type=_one_of(keys['type'], IMAGE_TYPES, f'{where}.type'),
        qos=_one_of(keys['qos'], QOS, f'{where}.qos'),
        size=(size[0], size[1]),
    )


def _arm(data: Any, where: str) -> ArmBinding:
    keys = _keys(data, where, {'controller_topic', 'joints'}, {})
    joints = {n: _joint(j, f'{where}.joints.{n}') for n, j in _map(keys['joints'], f'{where}.joints')}
    if not joints:
        raise ConfigError(f'{where}.joints: at least one joint is needed')
    return ArmBinding(
        controller_topic=_topic(keys['controller_topic'], f'{where}.controller_topic'), joints=joints
    )


def _joint(data: Any, where: str) -> JointBinding:
    keys = _keys(data, where, {'unit', 'max_acceleration'}, {})
    limit = keys['max_acceleration']
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit < math.inf:
        raise ConfigError(f'{where}.max_acceleration: expected a positive number, got {limit!r}')
    return JointBinding(unit=_one_of(keys['unit'], UNITS, f'{where}.unit'), max_acceleration=float(limit))


def _keys(data: Any, where: str, required: set[str], optional: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ConfigError(f'{where}: expected a mapping, got {data!r}')
    legal = sorted(required | set(optional))
    missing, unknown = sorted(required - set(data)), sorted(map(str, set(data) - set(legal)))
    if missing or unknown:
        raise ConfigError(f'{where}: missing keys {missing}, unknown keys {unknown}; legal: {legal}')
    return {**optional, **data}


def _map(data: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(f'{where}: expected a mapping from names, got {data!r}')
    return list(data.items())


def _topic(data: Any, where: str) -> str:
    if not isinstance(data, str) or not TOPIC.fullmatch(data):
        raise ConfigError(f'{where}: not a legal topic name: {data!r}')
    return data


def _one_of(data: Any, legal: tuple[Any, ...], where: str) -> Any:
    if data not in legal or isinstance(data, bool):
        raise ConfigError(f'{where}: must be one of {list(legal)}, got {data!r}')
    return data


def _unique(values: list[str], what: str) -> None:
    twice = sorted({v for v in values if values.count(v) > 1})
    if twice:
        raise ConfigError(f'{what} stands twice: {twice}')
