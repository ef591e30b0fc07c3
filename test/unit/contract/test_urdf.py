# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Robot descriptions: what is read, what is refused by name, and where links are."""

import math

import numpy as np
import pytest

from dp_ros.contract.urdf import parse_urdf
from dp_ros.errors import ContractError

# A planar arm of two links of 0.5 m and 0.3 m, a slide at its end, and a finger that mimics the slide.
ARM = """<?xml version="1.0"?>
<robot name="planar">
  <!-- a comment -->
  <material name="grey"><color rgba="0.5 0.5 0.5 1"/></material>
  <link name="base"/><link name="upper"/><link name="lower"/><link name="flange"/><link name="hand"/>
  <link name="finger"/>
  <joint name="shoulder" type="revolute">
    <parent link="base"/><child link="upper"/><axis xyz="0 0 2"/>
    <limit lower="-1.5" upper="2.5" velocity="3.0" effort="50"/>
    <safety_controller soft_lower_limit="-1.2" soft_upper_limit="3.0" k_velocity="1"/>
  </joint>
  <joint name="elbow" type="continuous">
    <origin xyz="0.5 0 0"/><parent link="upper"/><child link="lower"/><axis xyz="0 0 1"/>
    <limit velocity="0" effort="20"/>
  </joint>
  <joint name="tool" type="fixed"><origin xyz="0.3 0 0" rpy="0 0 0"/><parent link="lower"/><child link="flange"/>
  </joint>
  <joint name="slide" type="prismatic">
    <parent link="flange"/><child link="hand"/><limit lower="0" upper="0.04" velocity="0.2" effort="5"/>
  </joint>
  <joint name="follower" type="prismatic">
    <parent link="flange"/><child link="finger"/><axis xyz="0 1 0"/>
    <limit lower="-1" upper="1" velocity="1" effort="1"/>
    <mimic joint="slide" multiplier="-0.5" offset="0.01"/>
  </joint>
</robot>
"""


def test_limits_are_read_by_name():
    model = parse_urdf(ARM)
    assert (model.name, model.root, len(model.links)) == ('planar', 'base', 6)
    shoulder, elbow = model.joints['shoulder'], model.joints['elbow']
    # The soft limit is inside below, outside above.
    assert (shoulder.lower, shoulder.upper) == (-1.2, 2.5)
    assert (shoulder.velocity, shoulder.effort) == (3.0, 50.0)
    assert (elbow.lower, elbow.upper) == (-math.inf, math.inf)
    assert elbow.velocity is None, 'a velocity of 0 means that the exporter did not know'
    assert model.joints['tool'].type == 'fixed'
    assert model.joints['follower'].mimic.joint == 'slide'
    np.testing.assert_allclose(shoulder.axis, [0, 0, 1])


def test_forward_kinematics_is_the_closed_form():
    model = parse_urdf(ARM)
    rng = np.random.default_rng(0)
    a, b, c = rng.uniform(-3, 3, (3, 100))
    position, rotation = model.forward_kinematics('hand', {'shoulder': a, 'elbow': b, 'slide': c, 'else': a})
    reach = 0.3 + c
    np.testing.assert_allclose(position[:, 0], 0.5 * np.cos(a) + reach * np.cos(a + b), atol=1e-12)
    np.testing.assert_allclose(position[:, 1], 0.5 * np.sin(a) + reach * np.sin(a + b), atol=1e-12)
    np.testing.assert_allclose(rotation[:, 0, 0], np.cos(a + b), atol=1e-12)
    np.testing.assert_allclose(
        rotation @ rotation.swapaxes(1, 2), np.tile(np.eye(3), (100, 1, 1)), atol=1e-12
    )
    one, turn = model.forward_kinematics('hand', {'shoulder': a[0], 'elbow': b[0], 'slide': c[0]})
    assert (one.shape, turn.shape) == ((3,), (3, 3))
    np.testing.assert_allclose(one, position[0])


def test_a_mimic_joint_follows_the_one_that_it_names():
    model = parse_urdf(ARM)
    where, _ = model.forward_kinematics('finger', {'shoulder': 0.0, 'elbow': 0.0, 'slide': 0.04})
    np.testing.assert_allclose(where, [0.8, -0.5 * 0.04 + 0.01, 0.0])


def test_links_are_found_from_any_base_above_them():
    model = parse_urdf(ARM)
    where, _ = model.forward_kinematics('flange', {'elbow': math.pi / 2}, base='upper')
    np.testing.assert_allclose(where, [0.5, 0.3, 0.0], atol=1e-12)
    assert model.tip(['elbow', 'shoulder', 'unknown']) == 'lower'
    assert model.base('flange', ['shoulder', 'elbow']) == 'base'
    assert model.base('flange', ['elbow']) == 'upper'
    assert model.base('finger', ['slide', 'elbow']) == 'upper', 'a mimic joint needs the one that it follows'
    assert model.base('flange', []) == 'lower'
    for link, base in (('hand', 'nowhere'), ('nowhere', None)):
        with pytest.raises(ContractError, match="has no link 'nowhere'; it has"):
            model.forward_kinematics(link, {}, base)
    with pytest.raises(ContractError, match="link 'upper' does not hang on link 'hand'"):
        model.chain('upper', 'hand')
    with pytest.raises(
        ContractError, match=r"to link 'finger' needs the positions of joints \['elbow', 'slide'\]"
    ):
        model.forward_kinematics('finger', {'shoulder': 0.0})
    with pytest.raises(ContractError, match=r"has none of the joints \['unknown'\]"):
        model.tip(['unknown'])


@pytest.mark.parametrize('seed', range(10))
def test_roll_pitch_and_yaw_turn_about_fixed_axes(seed):
    rng = np.random.default_rng(seed)
    roll, pitch, yaw = rng.uniform(-3, 3, 3)
    text = (
        '<robot name="r"><link name="a"/><link name="b"/><joint name="j" type="fixed">'
        f'<origin rpy="{roll} {pitch} {yaw}"/><parent link="a"/><child link="b"/></joint></robot>'
    )
    _, rotation = parse_urdf(text).forward_kinematics('b', {})
    cr, sr, cp, sp, cy, sy = (f(x) for x in (roll, pitch, yaw) for f in (math.cos, math.sin))
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    np.testing.assert_allclose(rotation, about_z @ about_y @ about_x, atol=1e-12)


@pytest.mark.parametrize(
    ('old', 'new', 'reason'),
    [
        ('</robot>', '', 'not valid XML'),
        ('<?xml version="1.0"?>', '<!DOCTYPE robot [<!ENTITY a "aa">]>', 'a document type or an entity'),
        ('<robot name="planar">', '<sdf>', 'not valid XML'),
        ('<robot name="planar">', '<robot name="p" xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:arm/>', 'xacro'),
        ('type="continuous"', 'type="hinge"', "joint 'elbow': type must be one of .*, got 'hinge'"),
        ('lower="-1.5" upper="2.5"', 'lower="1.5" upper="1.0"', "joint 'shoulder': lower limit 1.5 is above"),
        ('velocity="3.0"', 'velocity="-3"', "joint 'shoulder': limit velocity must not be negative"),
        ('velocity="3.0"', 'velocity="fast"', "joint 'shoulder': velocity must be a finite number, got 'fast'"),
        ('effort="50"', 'effort="inf"', "joint 'shoulder': effort must be a finite number"),
        ('axis xyz="0 0 2"', 'axis xyz="0 0 0"', "joint 'shoulder': axis must not be the zero vector"),
        ('axis xyz="0 0 2"', 'axis xyz="0 1"', "joint 'shoulder': axis xyz: expected three finite numbers"),
        ('origin xyz="0.5 0 0"', 'origin xyz="nan 0 0"', "joint 'elbow': origin xyz: expected three finite"),
        ('<parent link="base"/>', '', "joint 'shoulder': <parent link="),
        ('<child link="upper"/>', '<child link="arm"/>', "joint 'shoulder': its child 'arm' is no link"),
        ('<link name="finger"/>', '<link name="finger"/><link name="hand"/>', r"link names must be.*\['hand'\]"),
        ('joint name="elbow"', 'joint name="shoulder"', r"joint names must be unique.*\['shoulder'\]"),
        ('<child link="finger"/>', '<child link="hand"/>', "link 'hand' hangs on two joints"),
        ('<link name="finger"/>', '<link name="finger"/><link name="loose"/>', 'exactly one link must hang on no'),
        ('mimic joint="slide"', 'mimic joint="slyde"', "joint 'follower' mimics 'slyde', which is no joint"),
        ('mimic joint="slide"', 'mimic joint="follower"', "joint 'follower': mimic must name another joint"),
        ('<limit lower="0" upper="0.04" velocity="0.2" effort="5"/>', '', "joint 'slide': a prismatic joint needs a"),
        ('joint name="elbow"', 'joint', 'a joint has no name'),
    ],
)  # fmt: skip
def test_nonsense_is_refused_by_name(old, new, reason):
    assert old in ARM
    with pytest.raises(ContractError, match=reason):
        parse_urdf(ARM.replace(old, new, 1))


def test_something_else_than_a_robot_is_refused():
    with pytest.raises(ContractError, match='must be <robot>, got <sdf>'):
        parse_urdf('<sdf/>')
    loop = (
        '<robot name="r"><link name="a"/><link name="b"/><link name="c"/>'
        '<joint name="x" type="fixed"><parent link="b"/><child link="c"/></joint>'
        '<joint name="y" type="fixed"><parent link="c"/><child link="b"/></joint></robot>'
    )
    with pytest.raises(ContractError, match="link 'b' does not hang on the root 'a': a loop"):
        parse_urdf(loop)
    floating = parse_urdf(
        '<robot name="r"><link name="a"/><link name="b"/><joint name="x" type="floating">'
        '<parent link="a"/><child link="b"/></joint></robot>'
    )
    with pytest.raises(ContractError, match="joint 'x' is floating: its link cannot be followed"):
        floating.forward_kinematics('b', {'x': 0.0})
