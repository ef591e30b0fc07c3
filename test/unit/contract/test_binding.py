# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Bindings: strict keys, and the ones that ship fit their contracts."""

import copy

import pytest
import yaml

from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.contract.compare import compare
from dp_ros.errors import ConfigError
from dp_ros.share import share_path

GOOD = {
    'dp_binding': 1,
    'name': 'site',
    'joint_states': [{'topic': '/left/joint_states'}, {'topic': 'right/joint_states', 'qos': 'reliable'}],
    'cameras': {
        'top': {
            'topic': '/cam/image/compressed',
            'type': 'sensor_msgs/msg/CompressedImage',
            'size': [480, 640],
        }
    },
    'arms': {
        'left': {
            'controller_topic': '/left_controller/joint_trajectory',
            'joints': {
                'l1': {'unit': 'rad', 'max_acceleration': 5},
                'lg': {'unit': 'm', 'max_acceleration': 0.5},
            },
        },
        'right': {
            'controller_topic': '~/right/joint_trajectory',
            'joints': {'r1': {'unit': 'rad', 'max_acceleration': 7.0}},
        },
    },
}


def changed(path, value):
    data = copy.deepcopy(GOOD)
    at = data
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return data


def test_a_binding_reads_as_written():
    binding = Binding.from_dict(GOOD)
    assert [s.qos for s in binding.joint_states] == ['sensor_data', 'reliable']
    assert binding.cameras['top'].size == (480, 640)
    assert binding.arms['left'].controller_topic == '/left_controller/joint_trajectory'
    assert binding.max_acceleration(('r1', 'l1', 'lg')) == (7.0, 5.0, 0.5)
    robot = binding.robot()
    assert robot.joints == {'l1': 'rad', 'lg': 'm', 'r1': 'rad'}
    assert robot.arms == {'left': ('l1', 'lg'), 'right': ('r1',)}
    with pytest.raises(ConfigError, match=r"has no joints \['x'\]; it has \['l1', 'lg', 'r1'\]"):
        binding.max_acceleration(('l1', 'x'))


@pytest.mark.parametrize(
    ('path', 'value', 'reason'),
    [
        (
            ('topics',),
            1,
            r"missing keys \[\], unknown keys \['topics'\]; legal: \['actions', 'arms', 'cameras",
        ),
        (('name',), None, r"missing keys \['name'\]"),
        (('name',), 7, r'\.name: expected a name'),
        (('dp_binding',), 2, r'dp_binding: must be one of \[1\], got 2'),
        (('joint_states',), [], 'joint_states or pose_states: expected a list of topics, got none'),
        (('joint_states',), 'joint_states', r"joint_states: expected a list of topics, got 'joint_states'"),
        (('joint_states', 0, 'topic'), 'no spaces', r'joint_states\[0\].topic: not a legal topic name'),
        (('joint_states', 0, 'topic'), 'right/joint_states', 'joint_states: topic stands twice'),
        (
            ('joint_states', 0, 'qos'),
            'best',
            r"qos: must be one of \['sensor_data', 'reliable'\], got 'best'",
        ),
        (('cameras', 'top', 'type'), 'Image', r'cameras\.top\.type: must be one of'),
        (('cameras', 'top', 'size'), [480], r'cameras\.top\.size: expected \[height, width\]'),
        (('cameras', 'top', 'size'), [480, True], r'cameras\.top\.size: expected'),
        (('cameras',), [1], 'cameras: expected a mapping'),
        (('arms',), {}, 'at least one arm'),
        (('arms', 'left', 'joints'), {}, r'arms\.left\.joints: at least one joint'),
        (('arms', 'left', 'joints', 'l1', 'unit'), 'deg', r"l1\.unit: must be one of \['rad', 'm', '1'\]"),
        (('arms', 'left', 'joints', 'l1', 'max_acceleration'), 0, 'expected a positive number, got 0'),
        (('arms', 'left', 'joints', 'l1', 'max_acceleration'), float('inf'), 'expected a positive number'),
        (('arms', 'left', 'joints', 'l1'), 'rad', 'expected a mapping'),
        (
            ('arms', 'left', 'joints', 'r1'),
            {'unit': 'rad', 'max_acceleration': 1},
            r"joint stands twice: \['r1'\]",
        ),
        (
            ('arms', 'right', 'controller_topic'),
            '/left_controller/joint_trajectory',
            'controller_topic stands twice',
        ),
    ],
)
def test_what_is_illegal_is_named_with_its_path(path, value, reason):
    with pytest.raises(ConfigError, match=reason):
        Binding.from_dict(changed(path, value), 'site.yaml')


def test_files_are_read_strictly(tmp_path):
    path = tmp_path / 'site.yaml'
    path.write_text(yaml.safe_dump(GOOD))
    assert Binding.from_yaml(path) == Binding.from_dict(GOOD)
    path.write_text('dp_binding: 1\nname: a\nname: b\n')
    with pytest.raises(ConfigError, match=r"site.yaml: line 3: key 'name' stands twice"):
        Binding.from_yaml(path)
    path.write_text('a: [')
    with pytest.raises(ConfigError, match=r'site.yaml: not valid YAML'):
        Binding.from_yaml(path)
    path.write_text('a: !!python/object/apply:os.getcwd []')
    with pytest.raises(ConfigError, match=r'site.yaml: not valid YAML'):
        Binding.from_yaml(path)
    path.write_bytes(b'\xff\xfe\xfa')
    with pytest.raises(ConfigError, match=r'site.yaml: not valid YAML'):
        Binding.from_yaml(path)
    with pytest.raises(ConfigError, match=r'none.yaml: cannot be read: No such file'):
        Binding.from_yaml(tmp_path / 'none.yaml')


def test_the_binding_of_the_simulation_fits_its_contract():
    contract = Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))
    binding = Binding.from_yaml(share_path('config', 'bindings', 'aloha_sim.yaml'))
    assert compare(contract, binding.robot()) == []
    assert len(binding.max_acceleration(contract.joint_names)) == 14
