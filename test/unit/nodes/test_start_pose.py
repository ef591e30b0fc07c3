# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Going to a start pose: what can be said without control_msgs, which no wheel carries."""

import importlib.util
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='needs rclpy: a sourced ROS distribution, or the extra ros-jazzy')

from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dp_ros.messages.stamps import to_ns
from dp_ros.nodes.start_pose import RESULTS, Answers, StartPoseClient, action_name, fill_goal, verdict


def test_actions_are_named_after_their_controllers():
    assert action_name('/left_controller/joint_trajectory') == '/left_controller/follow_joint_trajectory'
    assert action_name('arm/joint_trajectory') == 'arm/follow_joint_trajectory'


def test_a_goal_is_one_point_at_rest_that_begins_at_once():
    goal = SimpleNamespace(trajectory=JointTrajectory())
    fill_goal(goal, ('b', 'a'), (0.5, -1), 2.5, JointTrajectoryPoint)
    (point,) = goal.trajectory.points
    assert goal.trajectory.joint_names == ['b', 'a']
    assert list(point.positions) == [0.5, -1.0]
    assert list(point.velocities) == [0.0, 0.0]
    assert to_ns(point.time_from_start) == 2_500_000_000
    assert to_ns(goal.trajectory.header.stamp) == 0


@pytest.mark.parametrize(
    ('status', 'code', 'explanation', 'text', 'ok'),
    [
        (4, 0, '', 'SUCCESSFUL', True),
        (6, -1, '', 'ABORTED, INVALID_GOAL', False),
        (6, -2, 'no joint x', 'ABORTED, INVALID_JOINTS: no joint x', False),
        (6, -3, '', 'ABORTED, OLD_HEADER_TIMESTAMP', False),
        (6, -4, 'Aborted due to path tolerance', 'ABORTED, PATH_TOLERANCE_VIOLATED: Aborted due', False),
        (6, -5, '', 'ABORTED, GOAL_TOLERANCE_VIOLATED', False),
        (5, 0, '', 'CANCELED, SUCCESSFUL', False),
        (4, -4, '', 'PATH_TOLERANCE_VIOLATED', False),
        (9, 7, '', 'status 9, unknown code 7', False),
    ],
)
def test_results_are_said_in_words(status, code, explanation, text, ok):
    said, arrived = verdict(status, code, explanation)
    assert said.startswith(text)
    assert arrived is ok


def test_the_codes_are_those_of_the_action():
    assert sorted(RESULTS) == [-5, -4, -3, -2, -1, 0]


def test_several_answers_become_one():
    heard = []
    answers = Answers(['left', 'right'], lambda text, ok: heard.append((text, ok)))
    answers.put('left', 'SUCCESSFUL', True)
    answers.put('left', 'INVALID_GOAL', False)
    assert heard == []
    assert not answers.failed
    answers.put('right', 'GOAL_TOLERANCE_VIOLATED', False)
    assert heard == [('left: SUCCESSFUL; right: GOAL_TOLERANCE_VIOLATED', False)]
    both = Answers(['left', 'right'], lambda text, ok: heard.append((text, ok)))
    both.put('right', 'SUCCESSFUL', True)
    both.put('left', 'SUCCESSFUL', True)
    assert heard[-1] == ('right: SUCCESSFUL; left: SUCCESSFUL', True)


@pytest.mark.skipif(importlib.util.find_spec('control_msgs') is not None, reason='control_msgs is installed')
def test_without_control_msgs_it_says_what_to_install():
    client, heard = StartPoseClient(None, ['left/joint_trajectory']), []
    assert 'control_msgs is not installed' in client.available()
    client.send({'left/joint_trajectory': (('a',), (0.0,), 1.0)}, lambda text, ok: heard.append((text, ok)))
    assert heard == [(client.available(), False)]
    client.cancel()
    client.destroy()
