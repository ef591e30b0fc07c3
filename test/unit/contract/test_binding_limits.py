# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Limits, latencies and controllers of a binding: their sources, and which source wins."""

import copy
import math

import numpy as np
import pytest

from dp_ros.contract.binding import Binding
from dp_ros.contract.urdf import parse_urdf
from dp_ros.errors import ConfigError
from dp_ros.share import share_path

COLUMNS = [f'tool_{name}' for name in ('x', 'y', 'z', 'a1', 'a2', 'a3', 'b1', 'b2', 'b3')]
JOINTS = {
    'dp_binding': 1,
    'name': 'site',
    'joint_states': [{'topic': 'joint_states'}],
    'arms': {
        'arm': {
            'latency_s': 0.04,
            'controllers': [
                {'topic': 'arm/joint_trajectory', 'output': 'jtc', 'joints': ['j2', 'j1']},
                {'topic': 'gripper/commands', 'output': 'forward', 'joints': ['finger']},
            ],
            'joints': {
                'j1': {'unit': 'rad', 'max_acceleration': 4, 'margin': 0.1},
                'j2': {'unit': 'rad', 'max_acceleration': 5, 'max_velocity': 1.5, 'max_jerk': 70},
                'finger': {
                    'unit': 'm',
                    'max_acceleration': 0.5,
                    'max_velocity': 0.1,
                    'position': [0, 0.04],
                    'latency_s': 0.1,
                },
            },
        }
    },
}
POSES = {
    'dp_binding': 1,
    'name': 'site',
    'pose_states': [{'topic': 'pose', 'columns': COLUMNS, 'frame_id': 'base'}],
    'arms': {
        'arm': {
            'controllers': [{'topic': 'target', 'output': 'pose', 'frame_id': 'base', 'joints': COLUMNS}],
            'max_linear_velocity': 0.6,
            'max_linear_acceleration': 2.0,
            'max_angular_velocity': 1.2,
            'max_angular_acceleration': 5.0,
            'workspace': {'x': [0, 1], 'y': [-1, 1], 'z': [0.1, 0.9]},
        }
    },
}
ARM = (
    '<robot name="r"><link name="base"/><link name="a"/><link name="b"/>'
    '<joint name="j1" type="revolute"><parent link="base"/><child link="a"/>'
    '<limit lower="-1" upper="2" velocity="3" effort="9"/></joint>'
    '<joint name="j2" type="continuous"><parent link="a"/><child link="b"/>'
    '<limit velocity="2.5" effort="9"/></joint></robot>'
)


def changed(data, path, value):
    data = copy.deepcopy(data)
    at = data
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return data


def test_the_robot_description_fills_what_the_yaml_leaves_out_and_the_yaml_wins():
    binding = Binding.from_dict(JOINTS)
    limits = binding.limits(('finger', 'j1', 'j2'), parse_urdf(ARM), point_s=0.02)
    np.testing.assert_allclose(limits.lower, [0.0, -0.9, -math.inf])
    np.testing.assert_allclose(limits.upper, [0.04, 1.9, math.inf])
    np.testing.assert_allclose(limits.velocity, [0.1, 3.0, 1.5])
    np.testing.assert_allclose(limits.acceleration, [0.5, 4.0, 5.0])
    # Without a jerk of its own, a joint may turn its acceleration round within one point.
    np.testing.assert_allclose(limits.jerk, [2 * 0.5 / 0.02, 2 * 4 / 0.02, 70.0])
    assert all(a.dtype == np.float64 and a.shape == (3,) for a in vars(limits).values())


def test_every_joint_without_limits_is_named_with_what_it_lacks():
    binding = Binding.from_dict(JOINTS)
    with pytest.raises(ConfigError) as refused:
        binding.limits(('j1', 'j2', 'finger'), None)
    text = str(refused.value)
    assert text.startswith("binding 'site': 2 joint(s) without usable limits:")
    assert "joint 'j1': no position and no max_velocity, and there is no robot_description" in text
    assert "joint 'j2': no position, and there" in text
    assert "'finger'" not in text
    with pytest.raises(ConfigError, match=r"'j1': no position and.*no such joint; it has \['j2'\]"):
        binding.limits(('j1',), parse_urdf(chain_urdf(['j2'])))
    with pytest.raises(ConfigError, match=r"has no joints \['j7'\]"):
        binding.limits(('j7',), None)


def test_a_margin_that_eats_the_range_is_refused():
    data = changed(JOINTS, ('arms', 'arm', 'joints', 'finger', 'margin'), 0.02)
    with pytest.raises(
        ConfigError, match=r'nothing is left of the range \[0\.0, 0\.04\] with a margin of 0\.02'
    ):
        Binding.from_dict(data).limits(('finger',))


def test_latency_is_the_joints_own_or_the_arms():
    lead = Binding.from_dict(JOINTS).lead_ns(('finger', 'j1'))
    assert lead.dtype == np.int64
    assert lead.tolist() == [100_000_000, 40_000_000]


def test_controllers_keep_their_own_order():
    arm = Binding.from_dict(JOINTS).arms['arm']
    assert [(c.output, c.joints) for c in arm.controllers] == [
        ('jtc', ('j2', 'j1')),
        ('forward', ('finger',)),
    ]
    with pytest.raises(ConfigError, match='not moved by one joint trajectory controller, but by'):
        _ = arm.controller_topic


@pytest.mark.parametrize('seed', range(20))
def test_the_columns_of_a_pose_keep_the_norms_of_the_arm(seed):
    """Whatever linear and angular motion the boxes around the columns allow, the norms hold."""
    limits = Binding.from_dict(POSES).limits(COLUMNS)
    rng = np.random.default_rng(seed)
    assert np.linalg.norm(limits.velocity[:3]) <= 0.6 + 1e-12
    assert np.linalg.norm(limits.acceleration[:3]) <= 2.0 + 1e-12
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    a, b = rotation[:, 0], rotation[:, 1]
    omega, alpha = rng.normal(size=3), rng.normal(size=3) * 10.0 ** rng.uniform(-2, 2)
    rate = np.concatenate([np.cross(omega, column) for column in (a, b)])
    # As fast as the box allows, in this direction.
    omega = omega * np.min(limits.velocity[3:] / np.abs(rate))
    rate = np.concatenate([np.cross(omega, column) for column in (a, b)])
    assert np.all(np.abs(rate) <= limits.velocity[3:] + 1e-12)
    assert np.linalg.norm(omega) <= 1.2 + 1e-9
    # The columns' second derivative: alpha x a + omega x (omega x a). Scale alpha until the box is reached.
    still = np.concatenate([np.cross(omega, np.cross(omega, column)) for column in (a, b)])
    turning = np.concatenate([np.cross(alpha, column) for column in (a, b)])
    largest = 0.0
    for scale in np.geomspace(1e-3, 1e3, 400):
        if np.all(np.abs(still + scale * turning) <= limits.acceleration[3:]):
            largest = scale
    assert np.linalg.norm(largest * alpha) <= 5.0 + 1e-9


def test_a_pose_has_units_and_a_workspace():
    binding = Binding.from_dict(POSES)
    assert [binding.joints[name].unit for name in COLUMNS] == ['m'] * 3 + ['1'] * 6
    limits = binding.limits(COLUMNS)
    np.testing.assert_allclose(limits.lower, [0.0, -1.0, 0.1] + [-math.inf] * 6)
    np.testing.assert_allclose(limits.upper, [1.0, 1.0, 0.9] + [math.inf] * 6)
    assert binding.robot().poses == {'arm': tuple(COLUMNS)}


@pytest.mark.parametrize(
    ('data', 'path', 'value', 'reason'),
    [
        (JOINTS, ('arms', 'arm', 'controllers'), None, 'exactly one of controller_topic and controllers'),
        (JOINTS, ('arms', 'arm', 'controller_topic'), 'x', 'exactly one of controller_topic and controllers'),
        (JOINTS, ('arms', 'arm', 'controllers'), [], r'controllers: expected a list, got \[\]'),
        (
            JOINTS,
            ('arms', 'arm', 'controllers', 1, 'output'),
            'action',
            r"controllers\[1\]\.output: must be one of \['jtc', 'forward', 'pose'\]",
        ),
        (JOINTS, ('arms', 'arm', 'controllers', 0, 'joints'), ['j1'], r"joints \['j2'\] have no controller"),
        (JOINTS, ('arms', 'arm', 'controllers', 0, 'joints'), ['j1', 'j2', 'finger'], 'joint stands twice'),
        (JOINTS, ('arms', 'arm', 'controllers', 0, 'joints'), ['j1', 'j3'], r"joints \['j3'\] are missing"),
        (JOINTS, ('arms', 'arm', 'controllers', 0, 'joints'), 'j1', 'expected a list of names'),
        (JOINTS, ('arms', 'arm', 'controllers', 0, 'frame_id'), 'base', 'only an output of poses has a frame'),
        (JOINTS, ('arms', 'arm', 'latency_s'), -0.1, r'latency_s: expected seconds between 0 and 1\.0'),
        (JOINTS, ('arms', 'arm', 'joints', 'j1', 'latency_s'), 'slow', r'j1\.latency_s: expected seconds'),
        (JOINTS, ('arms', 'arm', 'joints', 'j1', 'margin'), -1, r'j1\.margin: expected a number of at least 0'),
        (JOINTS, ('arms', 'arm', 'joints', 'j1', 'max_velocity'), 0, r'j1\.max_velocity: expected a positive'),
        (JOINTS, ('arms', 'arm', 'joints', 'j1', 'max_jerk'), True, r'j1\.max_jerk: expected a positive'),
        (JOINTS, ('arms', 'arm', 'joints', 'j1', 'position'), [2, 1], r'expected \[lowest, highest\] or unlimited'),
        (JOINTS, ('arms', 'arm', 'joints', 'j1', 'position'), [0, float('nan')], r'position: expected \[lowest'),
        (JOINTS, ('arms', 'arm', 'max_linear_velocity'), 1, "'max_linear_velocity'.*belong to an arm with"),
        (JOINTS, ('arms', 'arm', 'tip_link'), 7, 'tip_link: expected a name'),
        (JOINTS, ('robot_description',), 'no spaces', 'robot_description: not a legal topic name'),
        (POSES, ('arms', 'arm', 'workspace'), None, r"output pose needs \['workspace'\]"),
        (POSES, ('arms', 'arm', 'workspace', 'z'), None, r"workspace: missing keys \['z'\]"),
        (POSES, ('arms', 'arm', 'max_angular_acceleration'), 0.7, r'more than max_angular_velocity\^2 / 2 = 0\.72'),
        (POSES, ('arms', 'arm', 'controllers', 0, 'frame_id'), None, 'frame_id: expected a name'),
        (POSES, ('arms', 'arm', 'controllers', 0, 'joints'), COLUMNS[:8], 'expected 9 different names'),
        (POSES, ('arms', 'arm', 'joints'), {'tool_x': {'unit': 'm', 'max_acceleration': 1}}, "'tool_x'.*columns of"),
        (POSES, ('pose_states', 0, 'columns'), COLUMNS[::-1], r"none has the columns of the poses .*\['target'\]"),
    ],
)  # fmt: skip
def test_what_is_illegal_is_named_with_its_path(data, path, value, reason):
    with pytest.raises(ConfigError, match=reason):
        Binding.from_dict(changed(data, path, value), 'site.yaml')


@pytest.mark.parametrize('name', ['example_one_arm', 'example_two_arms', 'example_poses'])
def test_the_examples_load(name):
    binding = Binding.from_yaml(share_path('config', 'bindings', f'{name}.yaml'))
    assert binding.name == name
    model = None
    if binding.robot_description:
        described = [n for arm in binding.arms.values() for n in arm.joints]
        model = parse_urdf(chain_urdf(described))
    limits = binding.limits(tuple(binding.joints), model)
    assert np.all(limits.lower < limits.upper)
    assert np.all(limits.velocity > 0)


def chain_urdf(joints):
    """A chain of revolute joints of these names."""
    links = ''.join(f'<link name="l{i}"/>' for i in range(len(joints) + 1))
    return f'<robot name="chain">{links}' + ''.join(
        f'<joint name="{name}" type="revolute"><parent link="l{i}"/><child link="l{i + 1}"/>'
        '<limit lower="-3" upper="3" velocity="2" effort="10"/></joint>'
        for i, name in enumerate(joints)
    ) + '</robot>'  # fmt: skip
