# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""action_node as a process: every cause that stops the arms, in real messages, and what it takes to go on."""

import numpy as np
import pytest
from action_under_test import assert_brakes, drive, start
from fake_robot import FakeRobot
from std_msgs.msg import Bool

from dp_ros.nodes import qos

TARGET = 0.06


@pytest.fixture(scope='module')
def running(graph, contract, checkpoint):
    """The module's action_node, which watches everything, and the robot around it."""
    robot = FakeRobot(graph, contract)
    pose = [0.04 if joint.unit == 'm' else TARGET for joint in contract.embodiment.joints]
    start(
        graph,
        checkpoint,
        max_tracking_error_rad=0.1,
        tracking_error_s=0.2,
        clock_timeout_s=2.0,
        start_pose=pose,
    )
    return graph, robot


@pytest.fixture
def node(running):
    """The graph, with action_node disengaged and at rest."""
    graph, robot = running
    robot.rest()
    robot.moves = True
    assert graph.engage(False).success
    graph.trigger('/action_node/clear_fault')
    robot.step_until(lambda: graph.state().startswith('IDLE'), what='IDLE')
    robot.step(30)
    for windows in robot.windows.values():
        windows.clear()
    return graph


@pytest.fixture
def robot(running, node):
    return running[1]


def counted(node, name):
    return int(node.values('action_node: counters').get(name, 0))


def test_the_emergency_stop_latches_and_refuses_everything_until_it_is_released(node, robot):
    drive(node, robot)
    # A publisher that latches and one that does not: both must be heard.
    for profile in (qos.SWITCH, qos.LATCHED):
        switch = node.node.create_publisher(Bool, '/action_node/estop', profile)
        node.until(
            lambda switch=switch: switch.get_subscription_count() >= 1, what='a listener to the switch'
        )
        switch.publish(Bool(data=True))
        robot.step_until(lambda: node.state() == 'FAULT: emergency stop (~/estop is true)', what='FAULT')
        assert not node.trigger('/action_node/clear_fault').success
        assert 'fault latched' in node.engage().message
        switch.publish(Bool(data=False))
        robot.step_until(lambda: node.trigger('/action_node/clear_fault').success, what='clearing')
        node.node.destroy_publisher(switch)
        robot.step(40)
    assert_brakes(robot)
    assert_brakes(robot, 'right')


def test_a_blocked_joint_is_a_fault(node, robot):
    drive(node, robot)
    robot.blocked = (1,)
    robot.step_until(lambda: node.state().startswith('FAULT'), what='FAULT')
    assert node.state().startswith('FAULT: tracking error: left_arm_shoulder: commanded ')
    robot.step(40)
    assert_brakes(robot)
    assert_brakes(robot, 'right')
    robot.step_until(lambda: counted(node, 'fault.tracking_error') == 1, what='the count')


@pytest.mark.parametrize(
    ('skew_ns', 'text'),
    [
        (400_000_000, 'ahead of our clock, limit 100 ms: the clocks differ'),
        (-900_000_000, 'although they arrive: the clock of their sender differs from ours'),
    ],
)
def test_joints_of_another_clock_hold_and_say_so(node, robot, skew_ns, text):
    drive(node, robot)
    robot.skew_ns = skew_ns
    robot.step_until(lambda: node.state().startswith('HOLD'), what='HOLD')
    assert text in node.state()
    assert not node.engage().success
    robot.step(40)
    assert_brakes(robot)


def test_five_rejected_chunks_in_a_row_are_a_fault(node, robot):
    drive(node, robot)
    robot.every, robot.moves = 2, False
    robot.speed = np.nan
    robot.step_until(lambda: node.state().startswith('FAULT'), what='FAULT')
    assert node.state().startswith('FAULT: 5 chunks rejected in a row, the last one: finite: ')
    robot.step(40)
    assert_brakes(robot)


def test_a_clock_that_stands_still_holds(node, robot):
    drive(node, robot)
    node.until(lambda: node.state().startswith('HOLD'), 20.0, 'HOLD while nothing is published')
    assert node.state().startswith('HOLD: the ROS clock has not advanced for 2.')
    robot.step(40)
    assert_brakes(robot)


def test_it_goes_to_the_start_pose_and_is_idle_there(node, robot):
    answer = node.trigger('/action_node/go_to_start')
    assert answer.success, answer.message
    node.until(lambda: node.state() == 'SYNC: going to the start pose', what='SYNC')
    assert not node.engaged[-1]
    robot.step_until(lambda: node.state() == 'IDLE: at the start pose', what='IDLE')
    for arm in ('left', 'right'):
        positions, velocities = robot.commands(arm)
        np.testing.assert_allclose(positions[-1, :6], TARGET, atol=1e-6)
        np.testing.assert_array_equal(velocities[-1], 0.0)


def test_windows_say_how_regular_they_are(node, robot):
    drive(node, robot, steps=60)
    robot.step_until(lambda: 'jitter_p99_ms' in node.values('action_node: windows'), what='the report')
    plan = node.values('action_node: plan')
    assert {'seam', 'seam_p95', 'seam_velocity', 'clip_fraction', 'time_scale'} <= set(plan)
    assert float(plan['time_scale']) == 1.0
    assert 'margin_min_ms' in node.values('action_node: windows')
    assert 'left_arm_waist' in node.values('action_node: tracking')


def test_the_deadman_switch_must_be_held(own_graph, contract, checkpoint):
    robot = FakeRobot(own_graph, contract)
    start(own_graph, checkpoint, deadman_timeout_s=0.4)
    robot.step_until(lambda: 'dead-man switch' in own_graph.engage().message, what='the refusal')
    switch = own_graph.node.create_publisher(Bool, '/action_node/deadman', qos.SWITCH)
    own_graph.until(lambda: switch.get_subscription_count() > 0, what='a listener to the switch')

    def hold_down(steps):
        for _ in range(steps):
            switch.publish(Bool(data=True))
            robot.step(1)

    hold_down(5)
    robot.step_until(lambda: own_graph.engage().success, what='engaging')
    robot.drive(0.2)
    hold_down(25)
    own_graph.until(lambda: own_graph.state().startswith('RUN'), what='RUN')
    switch.publish(Bool(data=False))
    own_graph.until(lambda: own_graph.state() == 'HOLD: the dead-man switch was released', what='HOLD')
    robot.speed = None
    hold_down(10)
    assert own_graph.state().startswith('HOLD')
    assert own_graph.engage().success
    robot.step_until(
        lambda: own_graph.state().startswith('HOLD: nothing from the dead-man switch'), what='HOLD'
    )
