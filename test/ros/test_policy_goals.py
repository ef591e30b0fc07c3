# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""policy_node with a policy that takes goals: it waits for one, follows the newest, and refuses what does not fit."""

from dataclasses import replace

import numpy as np
import pytest
from fake_robot import FakeRobot
from sensor_msgs.msg import Image
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from dp_ros.messages.image import fill_image
from dp_ros.messages.trajectory import decode_chunk
from dp_ros.nodes import qos
from dp_ros.policy.testing import tiny_checkpoint

GOAL, STATE = 'policy_node: goal', 'policy_node: observation'


@pytest.fixture(scope='module')
def running(graph, contract, tmp_path_factory):
    checkpoint = tiny_checkpoint(
        tmp_path_factory.mktemp('goals') / 'tiny', replace(contract, goals=('instruction', 'image'))
    )
    graph.robot = FakeRobot(graph, contract)
    graph.robot.images = True
    graph.chunks = graph.listen(JointTrajectory, '/policy_node/action_chunk')
    graph.start(
        'policy_node', checkpoint=checkpoint, binding='aloha_sim', autostart=True, use_sim_time=True, discovery_s=0.3
    )  # fmt: skip
    graph.active('policy_node')
    graph.words = graph.node.create_publisher(String, '/policy_node/instruction', qos.LATCHED)
    graph.picture = graph.node.create_publisher(Image, '/policy_node/goal_image', qos.LATCHED)
    return graph


def says(graph, topic, text):
    graph.robot.step_until(lambda: text in graph.message(topic), 20.0, f'{text!r} in {topic}')
    return graph.diagnostics[topic]


def chunk_after(graph, act):
    """The first engaged chunk of the epoch that the act begins."""
    before = decode_chunk(graph.chunks[-1]).epoch if graph.chunks else 0
    act()
    graph.robot.step_until(
        lambda: graph.chunks and decode_chunk(graph.chunks[-1]).epoch > before, 20.0, 'a chunk of a new epoch'
    )
    return decode_chunk(graph.chunks[-1])


def test_it_waits_follows_and_refuses(running):
    graph = running
    level, _, values = says(graph, GOAL, 'waiting for a goal: instruction or image')
    assert level == b'\x02'
    assert values['takes'] == 'instruction, image'
    says(graph, STATE, 'needs a goal (instruction or image) and has none')
    graph.robot.say_engaged(True)
    graph.robot.step_until(lambda: 'needs a goal' in graph.message(STATE), 20.0, 'still no tick')
    assert not graph.chunks

    first = chunk_after(graph, lambda: graph.words.publish(String(data='push the button')))
    assert says(graph, GOAL, "instruction 'push the button'")[0] == b'\x00'
    second = chunk_after(graph, lambda: graph.words.publish(String(data='Open the drawer')))
    assert second.stamp_ns > first.stamp_ns

    # What is refused leaves the old goal in force, in the same epoch.
    picture = Image()
    fill_image(picture, np.zeros((10, 10, 3), np.uint8), 0)
    graph.picture.publish(picture)
    level, _, values = says(graph, GOAL, 'goal refused: camera')
    assert (level, values['goal']) == (b'\x01', "instruction 'Open the drawer'")
    count = len(graph.chunks)
    graph.robot.step_until(lambda: len(graph.chunks) >= count + 2, what='chunks')
    assert decode_chunk(graph.chunks[-1]).epoch == second.epoch

    fill_image(picture, np.full((480, 640, 3), 90, np.uint8), 0)
    third = chunk_after(graph, lambda: graph.picture.publish(picture))
    assert third.epoch > second.epoch
    assert says(graph, GOAL, 'image')[0] == b'\x00'
