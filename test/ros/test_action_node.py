# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""action_node as a process: who may move, and that everything ends in a brake."""

import dataclasses
import signal

import numpy as np
import pytest
from action_under_test import ARM, SPEED, assert_brakes, drive, start
from fake_robot import FakeRobot
from rcl_interfaces.srv import DescribeParameters, ListParameters
from trajectory_msgs.msg import JointTrajectory

from dp_ros.contract import Contract
from dp_ros.messages.trajectory import decode_trajectory
from dp_ros.nodes import qos
from dp_ros.nodes.params import ActionParams

NOTHING = {'left': [], 'right': []}


@pytest.fixture(scope='module')
def running(graph, contract, checkpoint):
    """The module's action_node, and the robot around it."""
    robot = FakeRobot(graph, contract)
    start(graph, checkpoint, sync_timeout_s=1.0)
    return graph, robot


@pytest.fixture
def node(running):
    """The graph, with action_node disengaged and at rest."""
    graph, robot = running
    robot.rest()
    assert graph.engage(False).success
    graph.trigger('/action_node/clear_fault')
    robot.step_until(lambda: graph.state().startswith('IDLE'), what='IDLE')
    robot.step(30)  # the brake of the test before
    for windows in robot.windows.values():
        windows.clear()
    return graph


@pytest.fixture
def robot(running, node):
    return running[1]


def test_it_starts_disengaged_and_publishes_nothing(node, robot):
    robot.drive(SPEED)
    robot.step(20)
    assert node.state().startswith('IDLE')
    assert not any(node.engaged)
    assert robot.windows == NOTHING


def test_windows_of_both_arms_carry_one_stamp_and_end_at_rest(node, robot, contract):
    drive(node, robot)
    left, right = ([decode_trajectory(m) for m in robot.windows[arm]] for arm in ('left', 'right'))
    assert [w.stamp_ns for w in left] == [w.stamp_ns for w in right]
    assert left[0].joint_names == contract.embodiment.arms[0].joint_names
    for window in (*left, *right):
        np.testing.assert_array_equal(window.velocities[-1], 0.0)
        assert window.frame_id.startswith(contract.hash[:8])


def test_the_arms_follow_the_chunks_once_they_took_over(node, robot):
    drive(node, robot, steps=50)
    node.engage(False)
    robot.step(30)
    positions, velocities = robot.commands()
    at_speed = np.arange(
        70, 180
    )  # each 5 ms: after the soft start and catching up, before the end of driving
    np.testing.assert_allclose(velocities[at_speed, ARM], SPEED, atol=1e-9)
    np.testing.assert_allclose(positions[at_speed, 0], 0.03 + SPEED * 0.005 * at_speed, atol=1e-9)


def test_hold_brakes_and_engaging_goes_on_from_there(node, robot):
    drive(node, robot)
    assert node.trigger('/action_node/hold').success
    node.until(lambda: node.state() == 'HOLD: held by the operator', what='HOLD')
    robot.step(40)
    assert_brakes(robot)
    assert_brakes(robot, 'right')
    count = len(robot.windows['left'])
    robot.step(20)
    assert len(robot.windows['left']) == count, 'windows go on after the brake'
    held = robot.commands()[0][-1]
    robot.pose[:7] = held  # where the arm came to rest
    robot.step(5)
    assert node.engage().success
    robot.drive(SPEED)
    robot.step(3, windows=True)
    resumed = decode_trajectory(robot.windows['left'][count])
    np.testing.assert_allclose(resumed.positions[0], held, atol=1e-9)


def test_stale_chunks_lead_to_hold_and_a_brake(node, robot):
    drive(node, robot)
    robot.speed = None
    robot.step_until(lambda: node.state().startswith('HOLD'), what='HOLD')
    assert node.state().startswith('HOLD: no chunk for 5')
    node.until(lambda: node.engaged[-1] is False, what='the lamp')
    robot.step(40)
    assert_brakes(robot)


def test_stale_joints_lead_to_hold_and_a_brake(node, robot):
    drive(node, robot)
    robot.joints = False
    robot.step_until(lambda: node.state().startswith('HOLD'), what='HOLD')
    assert 'measured positions are up to' in node.state()
    robot.step(40)
    assert_brakes(robot)


def test_nan_in_the_joints_is_refused_and_counted(node, robot):
    robot.pose[3] = np.nan
    robot.step(20)
    answer = node.engage()
    assert not answer.success
    assert 'measured positions are' in answer.message
    robot.step_until(
        lambda: 'last_refused_joint_state' in node.values('action_node: motion'), what='the report'
    )
    assert (
        "['left_arm_forearm_roll'] are not finite"
        in node.values('action_node: motion')['last_refused_joint_state']
    )
    assert int(node.values('action_node: counters')['joint_states_refused']) > 0
    assert robot.windows == NOTHING


def test_shuffled_and_extra_joints_are_no_trouble_missing_ones_are(node, robot):
    robot.extra = ('torso', 'head_pan')
    robot.leave_out = ('right_arm_elbow',)
    robot.step(20)
    answer = node.engage()
    assert not answer.success
    assert "['right_arm_elbow']" in answer.message
    robot.leave_out = ()
    robot.step(2)
    drive(node, robot)


def test_a_start_far_from_the_arms_is_refused_by_name(node, robot):
    assert node.engage().success
    robot.joints = False  # the arms stay measured where they are, while the chunks start elsewhere
    robot.pose[1] += 1.0
    robot.drive(0.0)
    robot.step(2)
    node.until(lambda: node.state().startswith('IDLE: start refused'), what='the refusal')
    assert 'left_arm_shoulder: action 1.0300, measured 0.0300' in node.state()
    assert 'elbow' not in node.state()
    assert robot.windows == NOTHING


def test_a_chunk_with_nan_changes_nothing(node, robot):
    drive(node, robot)
    robot.speed = np.nan
    robot.step_until(lambda: node.state().startswith('HOLD'), what='HOLD')
    for message in (*robot.windows['left'], *robot.windows['right']):
        assert np.isfinite(decode_trajectory(message).positions).all()
    robot.step_until(lambda: 'rejected.finite' in node.values('action_node: counters'), what='the count')
    assert_brakes(robot)


def test_an_engagement_that_nobody_answers_is_given_up(node, robot):
    assert node.engage().success
    robot.step(55)
    node.until(lambda: node.state() == 'IDLE: start refused: no chunk within 1.0 s of engaging', what='IDLE')


def test_a_clock_that_jumps_back_is_a_fault(node, robot):
    drive(node, robot)
    before = robot.now_ns
    robot.now_ns -= 2_000_000_000
    robot.step_until(lambda: node.state().startswith('FAULT: the clock jumped back by'), what='FAULT')
    robot.now_ns = max(before, robot.now_ns)


def test_a_second_commander_stops_the_arms_and_latches(node, robot):
    drive(node, robot)
    other = node.node.create_publisher(JointTrajectory, robot.topics['right'], qos.COMMAND)
    try:
        for _ in range(500):
            if not node.state().startswith('RUN'):
                break
            robot.step(1)
        node.until(lambda: node.state().startswith('FAULT'), what='FAULT')
        assert "right_arm_controller/joint_trajectory by ['/test_operator']" in node.state()
        assert not node.engage().success
        robot.step(40)
        assert node.trigger('/action_node/clear_fault').success
        answer = node.engage()
        assert not answer.success
        assert answer.message.startswith('also commanded by others')
    finally:
        node.node.destroy_publisher(other)
    assert_brakes(robot)


def test_a_second_node_of_the_same_name_refuses_to_start(node, robot, checkpoint):
    second = node.start(
        'second', 'action_node', checkpoint=checkpoint, binding='aloha_sim', autostart=True, discovery_s=15.0
    )
    node.until(lambda: second.poll() is not None, 40.0, 'the second to end')
    assert second.returncode == 1
    assert 'a node /action_node already runs' in node.fleet.tail('second')
    robot.step(10)
    drive(node, robot)


def test_it_declares_what_its_class_says_and_nothing_can_change_under_motion(node):
    names = {field.name for field in dataclasses.fields(ActionParams)}
    listed = set(node.call(ListParameters, '/action_node/list_parameters').result.names)
    assert names <= listed
    assert listed - names <= {'use_sim_time', 'start_type_description_service'}
    described = node.call(
        DescribeParameters, '/action_node/describe_parameters', names=sorted(names)
    ).descriptors
    assert all(d.read_only and d.description for d in described)
    (freeze,) = (d for d in described if d.name == 'freeze_s')
    assert (freeze.floating_point_range[0].from_value, freeze.floating_point_range[0].to_value) == (0.0, 1.0)


def test_a_checkpoint_for_another_robot_is_refused_with_every_difference(own_graph, contract, tmp_path):
    data = contract.to_dict()
    data['embodiment']['arms'][0]['joints'][0]['name'] = 'left_arm_swivel'
    data['embodiment']['arms'][1]['gripper']['unit'] = 'rad'
    data['cameras'][0]['name'] = 'wrist'
    (tmp_path / 'contract.json').write_text(Contract.from_dict(data).to_json())
    own_graph.start('action_node', checkpoint=tmp_path, binding='aloha_sim', dry_run=False, discovery_s=0.3)
    assert not own_graph.transition('action_node', 1)
    assert own_graph.lifecycle('action_node') == 'unconfigured'
    own_graph.until(lambda: 'does not fit' in own_graph.message('action_node: lifecycle'), what='the report')
    report = own_graph.message('action_node: lifecycle')
    for difference in ("'left_arm_swivel'", "'right_arm_gripper': unit 'rad'", "camera 'wrist'"):
        assert difference in report
    assert own_graph.node.count_publishers('left_arm_controller/joint_trajectory') == 0


def test_sigterm_brakes_first_and_exits_with_0(own_graph, contract, checkpoint):
    robot = FakeRobot(own_graph, contract)
    process = start(own_graph, checkpoint)
    robot.step_until(lambda: own_graph.engage().success, what='engaging')
    drive(own_graph, robot)
    process.send_signal(signal.SIGTERM)
    own_graph.until(lambda: process.poll() is not None, what='the end of action_node')
    assert process.returncode == 0
    assert 'braking window published' in own_graph.fleet.tail('action_node')
    own_graph.until(lambda: own_graph.engaged[-1] is False, what='the lamp')
    before, last = (decode_trajectory(m) for m in robot.windows['left'][-2:])
    assert last.positions[-1, 0] < before.positions[-1, 0] - 0.06 * SPEED, (
        'the last window does not brake earlier'
    )
    assert_brakes(robot)
    assert_brakes(robot, 'right')


def test_kill_leaves_the_brake_with_the_controllers(own_graph, contract, checkpoint):
    robot = FakeRobot(own_graph, contract)
    process = start(own_graph, checkpoint)
    robot.step_until(lambda: own_graph.engage().success, what='engaging')
    drive(own_graph, robot)
    process.kill()
    process.wait()
    assert_brakes(robot)


def test_a_dry_run_has_no_publisher_on_any_controller(own_graph, contract, checkpoint):
    robot = FakeRobot(own_graph, contract)
    start(own_graph, checkpoint, dry_run=True)
    robot.step_until(lambda: own_graph.engage().success, what='engaging')
    robot.drive(SPEED)
    robot.step_until(lambda: own_graph.state().startswith('RUN'), what='RUN')
    assert own_graph.node.count_publishers(robot.topics['left']) == 0
    assert robot.windows == NOTHING
