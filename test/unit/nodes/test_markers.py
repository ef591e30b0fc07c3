# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Lines of the gripper paths: which link, which frame, which points."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs rclpy: a sourced ROS distribution, or the extra ros-jazzy')

from visualization_msgs.msg import Marker

from dp_ros.action.chunk import ActionChunk
from dp_ros.contract import Arm, Embodiment, Joint
from dp_ros.contract.binding import Binding
from dp_ros.contract.urdf import parse_urdf
from dp_ros.errors import ContractError
from dp_ros.messages.stamps import to_ns
from dp_ros.nodes.markers import COLOURS, GripperView, gripper_paths

MS = 1_000_000

LINKS = ('base', 'torso', 'arm', 'hand', 'tool')
# base - lift (not ours) - torso - j1 - arm (0.5 m out) - j2 - hand - fixed - tool (0.2 m out).
ROBOT = (
    '<robot name="r">'
    + ''.join(f'<link name="{n}"/>' for n in LINKS)
    + '<joint name="lift" type="prismatic"><parent link="base"/><child link="torso"/><axis xyz="0 0 1"/>'
    '<limit lower="0" upper="1" velocity="1" effort="1"/></joint>'
    '<joint name="j1" type="continuous"><parent link="torso"/><child link="arm"/><axis xyz="0 0 1"/></joint>'
    '<joint name="j2" type="continuous"><origin xyz="0.5 0 0"/><parent link="arm"/><child link="hand"/>'
    '<axis xyz="0 0 1"/></joint>'
    '<joint name="f" type="fixed"><origin xyz="0.2 0 0"/><parent link="hand"/><child link="tool"/></joint></robot>'
)
MODEL = parse_urdf(ROBOT)
POSE = [f'p_{n}' for n in ('x', 'y', 'z', 'a1', 'a2', 'a3', 'b1', 'b2', 'b3')]
BODY = Embodiment(
    arms=(
        Arm(name='left', joints=(Joint(name='j1'), Joint(name='j2')), gripper=Joint(name='g', unit='m')),
        Arm(
            name='right', joints=tuple(Joint(name=n, unit='m' if i < 3 else '1') for i, n in enumerate(POSE))
        ),
    )
)


def site(tip_link=''):
    left = {
        'controller_topic': 'left/joint_trajectory',
        'joints': {
            'j1': {'unit': 'rad', 'max_acceleration': 1},
            'j2': {'unit': 'rad', 'max_acceleration': 1},
            'g': {'unit': 'm', 'max_acceleration': 1},
        },
    }
    right = {
        'controllers': [{'topic': 'right/target', 'output': 'pose', 'frame_id': 'world', 'joints': POSE}],
        'max_linear_velocity': 1,
        'max_linear_acceleration': 1,
        'max_angular_velocity': 1,
        'max_angular_acceleration': 1,
        'workspace': {'x': [0, 1], 'y': [0, 1], 'z': [0, 1]},
    }
    return Binding.from_dict(
        {
            'dp_binding': 1,
            'name': 'site',
            'joint_states': [{'topic': 'joint_states'}],
            'pose_states': [{'topic': 'pose', 'columns': POSE, 'frame_id': 'world'}],
            'arms': {'left': {**left, **({'tip_link': tip_link} if tip_link else {})}, 'right': right},
        }
    )


def points(marker):
    return np.array([[p.x, p.y, p.z] for p in marker.points])


def path(steps=6):
    """Positions (steps, 12)."""
    return np.random.default_rng(0).uniform(-1, 1, (steps, 12))


def test_lines_follow_the_links_in_the_frame_that_the_joints_hang_on():
    positions = path()
    made = gripper_paths({'preview': positions}, MODEL, BODY, 5_000_000_007, site()).markers
    assert [(m.ns, m.header.frame_id, m.type, m.action) for m in made] == [
        ('left/preview', 'torso', Marker.LINE_STRIP, Marker.ADD),
        ('right/preview', 'world', Marker.LINE_STRIP, Marker.ADD),
    ]
    assert to_ns(made[0].header.stamp) == 5_000_000_007
    # The hand itself does not move with j2, the tool does.
    angle = positions[:, 0]
    wanted = np.stack([0.5 * np.cos(angle), 0.5 * np.sin(angle), 0 * angle], axis=1)
    np.testing.assert_allclose(points(made[0]), wanted, atol=1e-12)
    np.testing.assert_allclose(points(made[1]), positions[:, 3:6])
    tool = gripper_paths({'preview': positions}, MODEL, BODY, 0, site('tool')).markers[0]
    both = angle + positions[:, 1]
    wanted += 0.2 * np.stack([np.cos(both), np.sin(both), 0 * angle], axis=1)
    np.testing.assert_allclose(points(tool), wanted, atol=1e-12)


def test_measured_commanded_and_preview_are_told_apart():
    made = gripper_paths(dict.fromkeys(COLOURS, path()), MODEL, BODY, 0, site()).markers
    assert len({(m.ns, m.id) for m in made}) == len(made) == 6
    colours = {m.ns: (m.color.r, m.color.g, m.color.b) for m in made}
    assert max('rgb', key=lambda c: colours['left/measured']['rgb'.index(c)]) == 'g'
    assert max('rgb', key=lambda c: colours['left/commanded']['rgb'.index(c)]) == 'b'
    assert max('rgb', key=lambda c: colours['left/preview']['rgb'.index(c)]) == 'r'
    assert all(m.color.a > 0.5 and m.scale.x > 0 and m.pose.orientation.w == 1.0 for m in made)


def test_what_cannot_be_drawn_is_left_out_or_refused():
    assert [m.ns for m in gripper_paths({'preview': path()}, None, BODY, 0, site()).markers] == [
        'right/preview'
    ]
    assert gripper_paths({'preview': path()}, None, BODY, 0).markers == []
    broken = path()
    broken[2, 0] = np.nan
    assert len(gripper_paths({'preview': broken}, MODEL, BODY, 0, site()).markers[0].points) == 5
    one = gripper_paths({'preview': path(1)}, MODEL, BODY, 0, site()).markers[0]
    assert (one.action, len(one.points)) == (Marker.DELETE, 0)
    with pytest.raises(ContractError, match=r"\['future'\] have no colour; legal: \['measured'"):
        gripper_paths({'future': path()}, MODEL, BODY, 0, site())
    with pytest.raises(ContractError, match="has no link 'finger_tip'"):
        gripper_paths({'preview': path()}, MODEL, BODY, 0, site('finger_tip'))


class Topic:
    """Stands where a publisher stands, and keeps what it gets."""

    def __init__(self):
        self.listeners, self.heard = 1, []

    def get_subscription_count(self):
        return self.listeners

    def publish(self, message):
        self.heard.append({m.ns: (m.action, len(m.points)) for m in message.markers})


class Line:
    """A plan along which every column grows."""

    def sample(self, stamp_ns):
        return np.full(12, stamp_ns * 1e-9), np.zeros(12)


def view(model=MODEL, tip_link=''):
    topic = Topic()
    return GripperView(lambda *_: topic, BODY, site(tip_link), model), topic


def test_the_view_draws_what_was_measured_and_what_is_commanded():
    shown, topic = view()
    for k in range(3):
        shown.motion(k * 200 * MS, Line(), np.full(12, 0.1 * k))
    assert topic.heard[0]['left/measured'] == (Marker.DELETE, 0)
    assert topic.heard[-1]['left/measured'] == (Marker.ADD, 3)
    assert topic.heard[-1]['right/commanded'] == (Marker.ADD, 21)
    shown.motion(0, None, np.zeros(12))
    assert topic.heard[-1] == {'left/measured': (Marker.DELETE, 0), 'right/measured': (Marker.DELETE, 0)}
    shown.chunk(ActionChunk(0, 40 * MS, BODY.joint_names, path(8)))
    assert topic.heard[-1] == {'left/preview': (Marker.ADD, 8), 'right/preview': (Marker.ADD, 8)}


def test_the_view_is_silent_where_nobody_looks_and_gives_up_where_it_cannot():
    shown, topic = view()
    topic.listeners = 0
    shown.motion(0, Line(), np.zeros(12))
    assert topic.heard == []
    shown, topic = view(tip_link='finger_tip')
    shown.motion(0, Line(), np.zeros(12))
    assert topic.heard == []
    assert "no link 'finger_tip'" in shown.trouble
