# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The parts of a binding from plain data, checked key by key: an error names the key path and what is legal."""

import math
import re
from dataclasses import replace
from typing import Any

from dp_ros.contract.binding_parts import (
    IMAGE_TYPES,
    OUTPUTS,
    QOS,
    VECTOR_TYPES,
    ArmBinding,
    CameraBinding,
    ControllerBinding,
    JointBinding,
    JointStatesBinding,
    PoseSpeed,
    PoseStateBinding,
    VectorBinding,
)
from dp_ros.contract.embodiment import POSE_UNITS, UNITS
from dp_ros.errors import ConfigError

TOPIC = re.compile(r'(~/|/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*')
MAX_LATENCY_S = 1.0
UNLIMITED = 'unlimited'
_POSE_KEYS = (
    'max_linear_velocity',
    'max_linear_acceleration',
    'max_angular_velocity',
    'max_angular_acceleration',
)


def joint_states(data: Any, where: str) -> JointStatesBinding:
    """An entry of ``joint_states``."""
    got = keys(data, where, {'topic'}, {'qos': 'sensor_data'})
    return JointStatesBinding(
        topic=topic(got['topic'], f'{where}.topic'), qos=one_of(got['qos'], QOS, f'{where}.qos')
    )


def pose_state(data: Any, where: str) -> PoseStateBinding:
    """An entry of ``pose_states``."""
    got = keys(data, where, {'topic', 'columns', 'frame_id'}, {'qos': 'sensor_data'})
    return PoseStateBinding(
        topic=topic(got['topic'], f'{where}.topic'),
        qos=one_of(got['qos'], QOS, f'{where}.qos'),
        columns=pose_columns(got['columns'], f'{where}.columns'),
        frame_id=text(got['frame_id'], f'{where}.frame_id'),
    )


def camera(data: Any, where: str) -> CameraBinding:
    """An entry of ``cameras``."""
    optional = {'qos': 'sensor_data', 'latency_s': 0.0, 'depth_m': None}
    got = keys(data, where, {'topic', 'type', 'size'}, optional)
    size = got['size']
    if not isinstance(size, list) or len(size) != 2 or not all(type(v) is int and v > 0 for v in size):
        raise ConfigError(f'{where}.size: expected [height, width] in pixels, got {size!r}')
    return CameraBinding(
        topic=topic(got['topic'], f'{where}.topic'),
        type=one_of(got['type'], IMAGE_TYPES, f'{where}.type'),
        qos=one_of(got['qos'], QOS, f'{where}.qos'),
        size=(size[0], size[1]),
        latency_s=_latency(got['latency_s'], f'{where}.latency_s'),
        depth_m=None if got['depth_m'] is None else _depth(got['depth_m'], f'{where}.depth_m'),
    )


def vector(data: Any, where: str) -> VectorBinding:
    """An entry of ``vectors``."""
    got = keys(data, where, {'topic', 'dim'}, {'type': VECTOR_TYPES[0], 'qos': 'sensor_data'})
    if type(got['dim']) is not int or got['dim'] < 1:
        raise ConfigError(f'{where}.dim: expected how many numbers a message holds, got {got["dim"]!r}')
    return VectorBinding(
        topic=topic(got['topic'], f'{where}.topic'),
        type=one_of(got['type'], VECTOR_TYPES, f'{where}.type'),
        qos=one_of(got['qos'], QOS, f'{where}.qos'),
        dim=got['dim'],
    )


def arm(data: Any, where: str) -> ArmBinding:
    """An entry of ``arms``: with ``controller_topic``, or with a list of ``controllers``."""
    got = keys(
        data,
        where,
        set(),
        {'controller_topic': None, 'controllers': None, 'joints': {}, 'latency_s': 0.0, 'tip_link': ''}
        | dict.fromkeys((*_POSE_KEYS, 'workspace')),
    )
    named = {n: _joint(j, f'{where}.joints.{n}') for n, j in mapping(got['joints'], f'{where}.joints')}
    if (got['controller_topic'] is None) == (got['controllers'] is None):
        raise ConfigError(f'{where}: exactly one of controller_topic and controllers is needed')
    if got['controllers'] is None:
        at = topic(got['controller_topic'], f'{where}.controller_topic')
        controllers = [ControllerBinding(topic=at, output='jtc', joints=tuple(named))]
    else:
        if not isinstance(got['controllers'], list) or not got['controllers']:
            raise ConfigError(f'{where}.controllers: expected a list, got {got["controllers"]!r}')
        controllers = [_controller(c, f'{where}.controllers[{i}]') for i, c in enumerate(got['controllers'])]
    joints = _with_pose_columns(got, named, controllers, where)
    speed = PoseSpeed(
        linear=float(got['max_linear_velocity'] or 0), angular=float(got['max_angular_velocity'] or 0)
    )
    controllers = [replace(c, speed=speed) if c.output == 'pose' else c for c in controllers]
    if not joints:
        raise ConfigError(f'{where}.joints: at least one joint is needed')
    _each_once(joints, controllers, where)
    return ArmBinding(
        controllers=tuple(controllers),
        joints=joints,
        latency_s=_latency(got['latency_s'], f'{where}.latency_s'),
        tip_link='' if got['tip_link'] == '' else text(got['tip_link'], f'{where}.tip_link'),
    )


def keys(data: Any, where: str, required: set[str], optional: dict[str, Any]) -> dict[str, Any]:
    """The mapping with the defaults of what it leaves out."""
    if not isinstance(data, dict):
        raise ConfigError(f'{where}: expected a mapping, got {data!r}')
    legal = sorted(required | set(optional))
    missing, unknown = sorted(required - set(data)), sorted(map(str, set(data) - set(legal)))
    if missing or unknown:
        raise ConfigError(f'{where}: missing keys {missing}, unknown keys {unknown}; legal: {legal}')
    return {**optional, **data}


def mapping(data: Any, where: str) -> list[tuple[str, Any]]:
    """Names and values."""
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(f'{where}: expected a mapping from names, got {data!r}')
    return list(data.items())


def topic(data: Any, where: str) -> str:
    """The name of a topic."""
    if not isinstance(data, str) or not TOPIC.fullmatch(data):
        raise ConfigError(f'{where}: not a legal topic name: {data!r}')
    return data


def text(data: Any, where: str) -> str:
    """A name that is not empty."""
    if not isinstance(data, str) or not data:
        raise ConfigError(f'{where}: expected a name, got {data!r}')
    return data


def one_of(data: Any, legal: tuple[Any, ...], where: str) -> Any:
    """One of the legal values."""
    if data not in legal or isinstance(data, bool):
        raise ConfigError(f'{where}: must be one of {list(legal)}, got {data!r}')
    return data


def unique(values: list[str], what: str) -> None:
    """No value twice."""
    twice = sorted({v for v in values if values.count(v) > 1})
    if twice:
        raise ConfigError(f'{what} stands twice: {twice}')


def names(data: Any, where: str) -> tuple[str, ...]:
    """A list of names."""
    if not isinstance(data, list) or not data or not all(isinstance(name, str) and name for name in data):
        raise ConfigError(f'{where}: expected a list of names, got {data!r}')
    return tuple(data)


def pose_columns(data: Any, where: str) -> tuple[str, ...]:
    """The names of the nine columns of a pose."""
    given = names(data, where)
    if len(given) != len(POSE_UNITS) or len(set(given)) != len(given):
        raise ConfigError(
            f'{where}: expected 9 different names, for x, y, z, a1, a2, a3, b1, b2, b3, got {data!r}'
        )
    return given


def _joint(data: Any, where: str) -> JointBinding:
    optional = dict.fromkeys(('max_velocity', 'max_jerk', 'position', 'latency_s')) | {'margin': 0.0}
    got = keys(data, where, {'unit', 'max_acceleration'}, optional)
    margin = got['margin']
    if not _is_number(margin) or not 0 <= margin < math.inf:
        raise ConfigError(f'{where}.margin: expected a number of at least 0, got {margin!r}')
    rates = {
        key: None if got[key] is None else _positive(got[key], f'{where}.{key}')
        for key in ('max_velocity', 'max_jerk')
    }
    return JointBinding(
        unit=one_of(got['unit'], UNITS, f'{where}.unit'),
        max_acceleration=_positive(got['max_acceleration'], f'{where}.max_acceleration'),
        position=None if got['position'] is None else _range(got['position'], f'{where}.position'),
        margin=float(margin),
        latency_s=None if got['latency_s'] is None else _latency(got['latency_s'], f'{where}.latency_s'),
        **rates,
    )


def _controller(data: Any, where: str) -> ControllerBinding:
    got = keys(data, where, {'topic', 'output', 'joints'}, {'frame_id': ''})
    output = one_of(got['output'], OUTPUTS, f'{where}.output')
    if output == 'pose':
        joints = pose_columns(got['joints'], f'{where}.joints')
        text(got['frame_id'], f'{where}.frame_id')
    else:
        joints = names(got['joints'], f'{where}.joints')
        if got['frame_id'] != '':
            raise ConfigError(f'{where}.frame_id: only an output of poses has a frame, this is {output!r}')
    return ControllerBinding(
        topic=topic(got['topic'], f'{where}.topic'), output=output, joints=joints, frame_id=got['frame_id']
    )


def _with_pose_columns(
    got: dict[str, Any], named: dict[str, JointBinding], controllers: list[ControllerBinding], where: str
) -> dict[str, JointBinding]:
    """The columns by name, with those of a pose, whose limits the arm gives as norms.

    A box around each column that guarantees the norm: a velocity v shared by three columns is v / sqrt(3) in each,
    and the angular velocity is at most the norm of the rate of the six rotation columns (equal to it only about the
    axis of the third column), so each may have w / sqrt(6). The second derivative of those columns differs from the
    angular acceleration by at most w^2 / 2, which is taken off first. All this holds as long as the six columns are
    the first two of a rotation matrix; the gate in action/pose.py measures what a chunk really asks for.
    """
    poses = [c for c in controllers if c.output == 'pose']
    given = [key for key in (*_POSE_KEYS, 'workspace') if got[key] is not None]
    if not poses:
        if given:
            raise ConfigError(f'{where}: {given} belong to an arm with a controller of output pose')
        return named
    if len(poses) > 1:
        raise ConfigError(f'{where}.controllers: one of output pose, got {[c.topic for c in poses]}')
    missing = [key for key in (*_POSE_KEYS, 'workspace') if key not in given]
    if missing:
        raise ConfigError(f'{where}: a controller of output pose needs {missing}')
    linear_v, linear_a, angular_v, angular_a = (_positive(got[key], f'{where}.{key}') for key in _POSE_KEYS)
    if angular_a <= angular_v**2 / 2:
        raise ConfigError(
            f'{where}.max_angular_acceleration: must be more than max_angular_velocity^2 / 2 = '
            f'{angular_v**2 / 2:g}, got {angular_a:g}'
        )
    space = keys(got['workspace'], f'{where}.workspace', {'x', 'y', 'z'}, {})
    columns = [
        JointBinding(
            unit='m',
            max_velocity=linear_v / math.sqrt(3),
            max_acceleration=linear_a / math.sqrt(3),
            position=_range(space[axis], f'{where}.workspace.{axis}'),
        )
        for axis in 'xyz'
    ]
    rotation = JointBinding(
        unit='1',
        max_velocity=angular_v / math.sqrt(6),
        max_acceleration=(angular_a - angular_v**2 / 2) / math.sqrt(6),
        position=(-math.inf, math.inf),
    )
    columns += [rotation] * (len(POSE_UNITS) - len(columns))
    taken = [name for name in poses[0].joints if name in named]
    if taken:
        raise ConfigError(f'{where}.joints: {taken} are columns of a pose, their limits follow from the arm')
    return dict(zip(poses[0].joints, columns, strict=True)) | named


def _each_once(joints: dict[str, JointBinding], controllers: list[ControllerBinding], where: str) -> None:
    moved = [name for controller in controllers for name in controller.joints]
    unique(moved, f'{where}.controllers: joint')
    unknown = [name for name in moved if name not in joints]
    idle = [name for name in joints if name not in moved]
    if unknown or idle:
        raise ConfigError(
            f'{where}.controllers: joints {unknown} are missing in joints; joints {idle} have no controller'
        )


def _range(data: Any, where: str) -> tuple[float, float]:
    if data == UNLIMITED:
        return -math.inf, math.inf
    if (
        not isinstance(data, list)
        or len(data) != 2
        or not all(map(_is_number, data))
        or not data[0] < data[1]
    ):
        raise ConfigError(f'{where}: expected [lowest, highest] or {UNLIMITED}, got {data!r}')
    return float(data[0]), float(data[1])


def _depth(data: Any, where: str) -> tuple[float, float]:
    if (
        not isinstance(data, list)
        or len(data) != 2
        or not all(map(_is_number, data))
        or not 0 <= data[0] < data[1] < math.inf
    ):
        raise ConfigError(f'{where}: expected [near, far] in metres, 0 <= near < far, got {data!r}')
    return float(data[0]), float(data[1])


def _positive(data: Any, where: str) -> float:
    if not _is_number(data) or not 0 < data < math.inf:
        raise ConfigError(f'{where}: expected a positive number, got {data!r}')
    return float(data)


def _latency(data: Any, where: str) -> float:
    if not _is_number(data) or not 0 <= data <= MAX_LATENCY_S:
        raise ConfigError(f'{where}: expected seconds between 0 and {MAX_LATENCY_S}, got {data!r}')
    return float(data)


def _is_number(data: Any) -> bool:
    return isinstance(data, int | float) and not isinstance(data, bool) and not math.isnan(data)
