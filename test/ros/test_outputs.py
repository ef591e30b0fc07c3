# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Every kind of output over DDS: what a controller of that kind would receive."""

from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from std_msgs.msg import Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory

from dp_ros.action.limits import MotionLimits
from dp_ros.action.rotation import angle_between, rotation_from_quaternion, rotation_to_6d
from dp_ros.action.window import Window
from dp_ros.contract import Arm, Contract, Embodiment, Joint, Timing
from dp_ros.contract.binding import Binding
from dp_ros.contract.compare import compare
from dp_ros.contract.robot_model import axis_rotation
from dp_ros.errors import ConfigError, MessageError
from dp_ros.messages.stamps import to_ns
from dp_ros.messages.trajectory import decode_trajectory
from dp_ros.nodes import qos
from dp_ros.nodes.outputs import make_outputs
from dp_ros.nodes.robot_model import RobotModelListener

MS = 1_000_000
WINDOW_NS = 20 * MS
POSE = tuple(f'tool_{n}' for n in ('x', 'y', 'z', 'a1', 'a2', 'a3', 'b1', 'b2', 'b3'))
CONTRACT = Contract(
    name='poses and joints',
    embodiment=Embodiment(
        arms=(
            Arm(
                name='left',
                joints=tuple(Joint(name=n, unit='m' if i < 3 else '1') for i, n in enumerate(POSE)),
                gripper=Joint(name='left_finger', unit='m'),
            ),
            Arm(
                name='right',
                joints=(Joint(name='r1'), Joint(name='r2')),
                gripper=Joint(name='right_finger', unit='m'),
            ),
        )
    ),
    cameras=(),
    timing=Timing(obs_horizon=2, pred_horizon=8, action_horizon=4, period_ns=20 * MS),
)
BINDING = Binding.from_dict(
    {
        'dp_binding': 1,
        'name': 'all outputs',
        'joint_states': [{'topic': 'joint_states'}],
        'pose_states': [{'topic': 'tool', 'columns': list(POSE), 'frame_id': 'base_link'}],
        'arms': {
            'left': {
                'controllers': [
                    {'topic': 'left/target', 'output': 'pose', 'frame_id': 'base_link', 'joints': list(POSE)},
                    {'topic': 'left/gripper', 'output': 'jtc', 'joints': ['left_finger']},
                ],
                'max_linear_velocity': 1.0,
                'max_linear_acceleration': 2.0,
                'max_angular_velocity': 1.0,
                'max_angular_acceleration': 2.0,
                'workspace': {'x': [0, 1], 'y': [0, 1], 'z': [0, 1]},
                'joints': {'left_finger': {'unit': 'm', 'max_acceleration': 1}},
            },
            'right': {
                'controllers': [
                    {'topic': 'right/commands', 'output': 'forward', 'joints': ['right_finger', 'r2', 'r1']}
                ],
                'joints': {
                    'r1': {'unit': 'rad', 'max_acceleration': 1},
                    'r2': {'unit': 'rad', 'max_acceleration': 1},
                    'right_finger': {'unit': 'm', 'max_acceleration': 1},
                },
            },
        },
    }
)


ROBOT = (
    '<robot name="r"><link name="a"/><link name="b"/><joint name="j" type="continuous">'
    '<parent link="a"/><child link="b"/></joint></robot>'
)


class LinePlan:
    """A plan that moves each column at a speed of its own; the columns of the rotation turn about z instead."""

    limits = MotionLimits.of(13, acceleration=1.0)

    def __init__(self, speed=1.0):
        self.speed = speed

    def sample(self, stamp_ns):
        seconds = stamp_ns * 1e-9
        row = 0.1 * np.arange(13) + 0.01 * seconds
        row[3:9] = rotation_to_6d(axis_rotation(np.array([0.0, 0.0, 1.0]), self.speed * seconds))
        return row, np.zeros(13)


def window(plan, now_ns):
    times = np.arange(4, dtype=np.int64) * 20 * MS
    positions = np.stack([plan.sample(int(now_ns + t))[0] for t in times])
    return Window(now_ns, times, positions, np.zeros_like(positions))


@pytest.fixture(scope='module')
def outputs(graph):
    """Outputs of a node of its own, and what the controllers' side hears."""
    node = graph.node
    heard = {
        'left/target': graph.listen(PoseStamped, 'left/target', profile=qos.CONTROLLER_IN),
        'left/gripper': graph.listen(JointTrajectory, 'left/gripper', profile=qos.CONTROLLER_IN),
        'right/commands': graph.listen(Float64MultiArray, 'right/commands', profile=qos.CONTROLLER_IN),
    }
    made = make_outputs(node, CONTRACT, BINDING, node.create_publisher, WINDOW_NS, forward_hz=125.0)
    for output in made:
        graph.until(
            lambda o=output: o.publisher.get_subscription_count() > 0, what=f'a listener to {output.topic}'
        )
    return SimpleNamespace(made=made, heard=heard, by_topic={o.topic: o for o in made})


def send(graph, outputs, plan, now_ns):
    """Prepare all, send all, and wait until each arrived; the messages by topic."""
    before = {topic: len(messages) for topic, messages in outputs.heard.items()}
    ready = [(o, o.prepare(window(plan, now_ns), 'cafe:1:2', plan, now_ns)) for o in outputs.made]
    for output, message in ready:
        output.send(message)
    graph.until(
        lambda: all(len(m) > before[topic] for topic, m in outputs.heard.items()), what='all commands'
    )
    return {topic: messages[-1] for topic, messages in outputs.heard.items()}


def test_the_site_fits_and_each_controller_has_its_output(outputs):
    assert compare(CONTRACT, BINDING.robot()) == []
    assert [(o.arm, o.topic, o.period_ns) for o in outputs.made] == [
        ('left', 'left/target', 0),
        ('left', 'left/gripper', 0),
        ('right', 'right/commands', 8 * MS),
    ]


def test_each_controller_hears_the_plan_in_its_own_form(graph, outputs):
    plan, now_ns = LinePlan(), 7_000 * MS
    row = plan.sample(now_ns)[0]
    heard = send(graph, outputs, plan, now_ns)

    pose = heard['left/target']
    assert (pose.header.frame_id, to_ns(pose.header.stamp)) == ('base_link', now_ns)
    place, turn = pose.pose.position, pose.pose.orientation
    np.testing.assert_allclose([place.x, place.y, place.z], row[:3])
    np.testing.assert_allclose(
        rotation_to_6d(rotation_from_quaternion([turn.x, turn.y, turn.z, turn.w])), row[3:9], atol=1e-12
    )

    trajectory = decode_trajectory(heard['left/gripper'])
    assert trajectory.joint_names == ('left_finger',)
    assert (trajectory.stamp_ns, trajectory.frame_id) == (now_ns, 'cafe:1:2')
    np.testing.assert_allclose(trajectory.positions[:, 0], 0.9 + 0.01 * (7 + 0.02 * np.arange(4)))
    np.testing.assert_array_equal(trajectory.velocities[-1], 0.0)

    # In the controller's order, which is not the contract's: finger, r2, r1.
    command = heard['right/commands']
    np.testing.assert_allclose(command.data, row[[12, 11, 10]])
    assert list(command.layout.dim) == []


def test_quaternions_never_change_their_sign_between_two_commands(graph, outputs):
    """Over two whole turns, as a controller sees them that interpolates the four numbers."""
    plan, last = LinePlan(speed=1.0), None
    for step in range(130):
        message = send(graph, outputs, plan, (8_000 + 100 * step) * MS)['left/target']
        turn = message.pose.orientation
        quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
        if last is not None:
            assert quaternion @ last > 0.99
            step_angle = angle_between(rotation_from_quaternion(last), rotation_from_quaternion(quaternion))
            assert step_angle == pytest.approx(0.1, abs=1e-9)
        last = quaternion


@pytest.mark.parametrize(('topic', 'period_ns'), [('left/target', WINDOW_NS), ('right/commands', 8 * MS)])
def test_after_a_stall_a_command_approaches_the_plan_within_its_speed(outputs, topic, period_ns):
    """The controller stood where it was told last; the plan went on for half a second."""

    class Fast(LinePlan):
        limits = MotionLimits.of(13, velocity=0.2, acceleration=1.0)

    def position(message):
        return np.array(message.data) if topic == 'right/commands' else np.array([message.pose.position.x])

    output, plan, now_ns = outputs.by_topic[topic], Fast(), 90_000 * MS
    row = LinePlan(speed=0.0).sample(0)[0]
    plan.sample = lambda _: (row, np.zeros(13))
    output.prepare(None, '', plan, now_ns)
    plan.sample = lambda _: (row + 0.05 * (np.arange(13) < 3) + 0.05 * (np.arange(13) > 8), np.zeros(13))
    steps = []
    for _ in range(30):
        now_ns += period_ns if steps else 500 * MS
        steps.append(position(output.prepare(None, '', plan, now_ns)))
    largest = np.abs(np.diff(steps, axis=0)).max()
    assert 0.0 < largest <= 0.2 * 1.5 * period_ns * 1e-9 + 1e-12
    np.testing.assert_allclose(steps[-1], position(output.prepare(None, '', plan, now_ns + 900 * MS)))


@pytest.mark.parametrize('column', [0, 4, 9, 11])
def test_nothing_is_prepared_where_a_command_is_not_finite(outputs, column):
    class Broken(LinePlan):
        def sample(self, stamp_ns):
            row, velocity = super().sample(stamp_ns)
            row[column] = np.nan
            return row, velocity

    plan = Broken()
    with pytest.raises(MessageError, match=r"commands of \['[a-z0-9_]+'\] are not finite; nothing is sent"):
        for output in outputs.made:
            output.prepare(window(plan, 0), '', plan, 0)


def test_between_opposite_rotations_the_last_one_stays(outputs):
    class Opposite(LinePlan):
        def sample(self, stamp_ns):
            row, velocity = super().sample(0)
            row[3:9] *= 1.0 - stamp_ns / (10 * MS)
            return row, velocity

    output, plan = outputs.by_topic['left/target'], Opposite()
    before = output.prepare(None, '', plan, 0).pose.orientation
    between = output.prepare(None, '', plan, 10 * MS).pose.orientation
    assert (between.x, between.y, between.z, between.w) == (before.x, before.y, before.z, before.w)


def test_a_forward_controller_needs_a_high_rate(graph):
    with pytest.raises(ConfigError, match='forward_hz must be at least 100 for right/commands, got 50'):
        make_outputs(graph.node, CONTRACT, BINDING, lambda *_: None, WINDOW_NS, forward_hz=50.0)


def test_a_description_that_was_published_before_is_heard_without_an_executor(graph):
    listener = RobotModelListener(graph.node, 'robot_description')
    assert listener.wait(0.1) is None
    publisher = graph.node.create_publisher(String, 'robot_description', qos.LATCHED)
    publisher.publish(String(data=ROBOT))
    late = RobotModelListener(graph.node, 'robot_description')
    assert late.wait(10.0).links == ('a', 'b')
    graph.until(lambda: listener.model is not None, what='the description by callback')
    publisher.publish(String(data='<robot'))
    graph.until(lambda: listener.trouble, what='the complaint')
    assert listener.trouble.startswith('robot_description: not valid XML')
    assert listener.model.root == 'a'
