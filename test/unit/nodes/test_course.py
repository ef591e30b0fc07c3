# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What expert_node commands: windows that a controller follows to exactly the planned command at each step."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs rclpy: a sourced ROS distribution, or the extra ros-jazzy')

from dp_ros.nodes.expert_node import STEP_NS, Course
from dp_ros.simulation.joint_trajectory_controller import JointTrajectoryController

START_NS = 5_000_000_000
JOINTS = ('a', 'b', 'c')


@pytest.fixture
def commands():
    return np.cumsum(np.random.default_rng(0).normal(0.0, 0.02, (40, 3)), axis=0)


def test_a_controller_commands_each_row_at_its_step(commands):
    course = Course(commands, commands, START_NS)
    controller = JointTrajectoryController(JOINTS, STEP_NS)
    controller.reset(commands[0])
    for step, wanted in enumerate(commands):
        now = START_NS + step * STEP_NS
        assert course.step(now) == step
        window = course.window(step)
        assert window.stamp_ns <= now < window.end_ns
        controller.accept(now, window.stamp_ns, JOINTS, window.times_ns, window.positions, window.velocities)
        position, _ = controller.update(now, wanted)
        np.testing.assert_array_equal(position, wanted)
    assert course.end_ns == now + STEP_NS


def test_every_window_ends_at_rest_and_the_course_begins_and_ends_at_rest(commands):
    course = Course(commands, commands, START_NS)
    for step in range(len(commands)):
        np.testing.assert_array_equal(course.window(step).velocities[-1], 0.0)
    for step, first in ((0, commands[0]), (len(commands) - 1, commands[-1])):
        window = course.window(step)
        still = (window.positions == first).all(axis=1)
        assert still.sum() >= 3
        np.testing.assert_array_equal(window.velocities[still], 0.0)
