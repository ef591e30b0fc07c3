# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Where a site's demonstrations say what was commanded: the section ``actions`` of a binding."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dp_ros.contract import binding_schema as schema
from dp_ros.contract.binding_parts import ArmBinding
from dp_ros.errors import ConfigError

TRAJECTORY = 'trajectory_msgs/msg/JointTrajectory'
ARRAY = 'std_msgs/msg/Float64MultiArray'
JOINT_STATE = 'sensor_msgs/msg/JointState'
POSE = 'geometry_msgs/msg/PoseStamped'
ACTION_TYPES = (TRAJECTORY, ARRAY, JOINT_STATE, POSE)
_OF_OUTPUT = {'jtc': TRAJECTORY, 'forward': ARRAY, 'pose': POSE}


@dataclass(frozen=True, kw_only=True)
class ActionSourceBinding:
    """One topic that says what was commanded.

    Attributes:
        topic: its name.
        type: one of ACTION_TYPES.
        joints: the columns that it commands. Of an array: in its order. Of a pose: x, y, z, a1 to a3, b1 to b3. Of
            the other two, whose messages name their joints, empty unless it is known.
        names: of a JointState: the leader's joint to the column that follows it; empty where both have one name.
        frame_id: frame of the poses; empty for the other types.
    """

    topic: str
    type: str
    joints: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    frame_id: str = ''


def actions(data: Any, where: str) -> tuple[ActionSourceBinding, ...]:
    """The section ``actions``.

    Raises:
        ConfigError: names the key path, and what would be legal.
    """
    if not isinstance(data, list) or not data:
        raise ConfigError(f'{where}: expected a list of command topics, got {data!r}')
    return tuple(_action(entry, f'{where}[{i}]') for i, entry in enumerate(data))


def controllers_actions(arms: Mapping[str, ArmBinding]) -> tuple[ActionSourceBinding, ...]:
    """What the arms' controllers are sent."""
    return tuple(
        ActionSourceBinding(
            topic=controller.topic,
            type=_OF_OUTPUT[controller.output],
            joints=controller.joints,
            frame_id=controller.frame_id,
        )
        for arm in arms.values()
        for controller in arm.controllers
    )


def check_actions(sources: tuple[ActionSourceBinding, ...], joints: Collection[str], where: str) -> None:
    """What no entry can see alone: topics and columns stand once, and all columns are the arms'.

    Raises:
        ConfigError: names the key path.
    """
    schema.unique([source.topic for source in sources], f'{where}: topic')
    schema.unique([name for source in sources for name in source.joints], f'{where}: joint')
    for i, source in enumerate(sources):
        strange = [name for name in source.joints if name not in joints]
        if strange:
            raise ConfigError(f'{where}[{i}]: no arm has the joints {strange}; legal: {list(joints)}')


def _action(data: Any, where: str) -> ActionSourceBinding:
    kind = data.get('type') if isinstance(data, dict) else None
    own: dict[str, tuple[set[str], dict[str, Any]]] = {
        ARRAY: ({'joints'}, {}),
        JOINT_STATE: (set(), {'names': {}}),
        POSE: ({'columns', 'frame_id'}, {}),
    }
    required, optional = own.get(str(kind), (set(), {}))
    got = schema.keys(data, where, {'topic', 'type'} | required, optional)
    names: dict[str, str] = {}
    joints: tuple[str, ...] = ()
    if schema.one_of(kind, ACTION_TYPES, f'{where}.type') == ARRAY:
        joints = schema.names(got['joints'], f'{where}.joints')
    elif kind == POSE:
        joints = schema.pose_columns(got['columns'], f'{where}.columns')
    elif kind == JOINT_STATE:
        for leader, follower in schema.mapping(got['names'], f'{where}.names'):
            names[leader] = schema.text(follower, f'{where}.names.{leader}')
        schema.unique(list(names.values()), f'{where}.names: joint')
        joints = tuple(names.values())
    return ActionSourceBinding(
        topic=schema.topic(got['topic'], f'{where}.topic'),
        type=str(kind),
        joints=joints,
        names=names,
        frame_id=schema.text(got['frame_id'], f'{where}.frame_id') if kind == POSE else '',
    )
