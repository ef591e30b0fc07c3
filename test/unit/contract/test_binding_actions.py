# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Where a site says what was commanded, and which of its cameras are depth cameras."""

import pytest
from bag_maker import JOINTS, example_binding

from dp_ros.contract.binding import ActionSourceBinding, Binding
from dp_ros.contract.binding_actions import ARRAY, JOINT_STATE, POSE, TRAJECTORY
from dp_ros.errors import ConfigError
from dp_ros.share import share_path

NINE = [f'c{i}' for i in range(9)]


def test_without_the_section_the_controllers_inputs_say_it():
    for name in ('aloha_sim', 'example_one_arm', 'example_poses'):
        binding = Binding.from_yaml(share_path('config', 'bindings', f'{name}.yaml'))
        controllers = [c for arm in binding.arms.values() for c in arm.controllers]
        sources = binding.action_sources()
        assert [(s.topic, s.joints, s.frame_id) for s in sources] == [
            (c.topic, c.joints, c.frame_id) for c in controllers
        ]
        kinds = {'jtc': TRAJECTORY, 'forward': ARRAY, 'pose': POSE}
        assert [s.type for s in sources] == [kinds[c.output] for c in controllers]


def test_the_section_replaces_the_controllers_inputs():
    binding = example_binding(
        actions=[
            {'topic': '/leader', 'type': JOINT_STATE, 'names': {'a': JOINTS[0]}},
            {'topic': '/fingers', 'type': ARRAY, 'joints': [JOINTS[2]]},
            {'topic': '/window', 'type': TRAJECTORY},
        ]
    )
    assert binding.action_sources() == (
        ActionSourceBinding(topic='/leader', type=JOINT_STATE, joints=JOINTS[:1], names={'a': JOINTS[0]}),
        ActionSourceBinding(topic='/fingers', type=ARRAY, joints=JOINTS[2:]),
        ActionSourceBinding(topic='/window', type=TRAJECTORY),
    )


def test_the_example_names_leaders_for_every_joint():
    binding = Binding.from_yaml(share_path('config', 'bindings', 'example_two_arms.yaml'))
    assert {name for source in binding.action_sources() for name in source.joints} == set(binding.joints)


@pytest.mark.parametrize(
    ('actions', 'reason'),
    [
        ([], r'binding\.actions: expected a list of command topics, got \[\]'),
        ({'topic': '/a'}, r'binding\.actions: expected a list'),
        ([7], r'binding\.actions\[0\]: expected a mapping, got 7'),
        ([{'topic': '/a'}], r"actions\[0\]: missing keys \['type'\]"),
        ([{'topic': '/a', 'type': 'std_msgs/msg/String'}], r'actions\[0\]\.type: must be one of \['),
        ([{'topic': 'a b', 'type': TRAJECTORY}], r'actions\[0\]\.topic: not a legal topic name'),
        ([{'topic': '/a', 'type': ARRAY}], r"actions\[0\]: missing keys \['joints'\]"),
        ([{'topic': '/a', 'type': ARRAY, 'joints': []}], r'actions\[0\]\.joints: expected a list of names'),
        ([{'topic': '/a', 'type': ARRAY, 'joints': ['x']}], r"actions\[0\]: no arm has the joints \['x'\]"),
        (
            [{'topic': '/a', 'type': TRAJECTORY, 'joints': ['x']}],
            r"actions\[0\]: .* unknown keys \['joints'\]",
        ),
        ([{'topic': '/a', 'type': JOINT_STATE, 'names': ['x']}], r'actions\[0\]\.names: expected a mapping'),
        (
            [{'topic': '/a', 'type': JOINT_STATE, 'names': {'x': 1}}],
            r'actions\[0\]\.names\.x: expected a name',
        ),
        (
            [{'topic': '/a', 'type': JOINT_STATE, 'names': {'x': JOINTS[0], 'y': JOINTS[0]}}],
            r'actions\[0\]\.names: joint stands twice',
        ),
        ([{'topic': '/a', 'type': POSE, 'columns': NINE}], r"actions\[0\]: missing keys \['frame_id'\]"),
        (
            [{'topic': '/a', 'type': POSE, 'columns': ['x'], 'frame_id': 'b'}],
            r'columns: expected 9 different',
        ),
        ([{'topic': '/a', 'type': TRAJECTORY}] * 2, r"binding\.actions: topic stands twice: \['/a'\]"),
        (
            [{'topic': f'/{n}', 'type': ARRAY, 'joints': [JOINTS[0]]} for n in 'ab'],
            r'binding\.actions: joint stands twice',
        ),
    ],
)
def test_what_is_illegal_is_named_with_its_path(actions, reason):
    with pytest.raises(ConfigError, match=reason):
        example_binding(actions=actions)


@pytest.mark.parametrize('depth', [[1, 0.2], [-1, 2], [0, float('inf')], [1], 3, ['a', 'b'], [True, 2]])
def test_the_range_of_a_depth_camera_is_near_and_far(depth):
    camera = {'topic': '/depth', 'type': 'sensor_msgs/msg/Image', 'size': [24, 32]}
    made = example_binding(**{'cameras': {'top': {**camera, 'depth_m': [0.2, 1]}}})
    assert made.cameras['top'].depth_m == (0.2, 1.0)
    with pytest.raises(ConfigError, match=r'cameras\.top\.depth_m: expected \[near, far\] in metres'):
        example_binding(**{'cameras': {'top': {**camera, 'depth_m': depth}}})
