# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""record_node as a process, a robot that publishes beside it, and the bags that it leaves."""

import contextlib
import itertools
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from graph_under_test import LATCHED
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from dp_ros.bags.marks import Mark
from dp_ros.bags.reader import open_bag
from dp_ros.cli.ros_processes import local_environment
from dp_ros.messages.image import decode_image

BINDING = """
dp_binding: 1
name: test_bench
joint_states:
  - {topic: joint_states, qos: reliable}
cameras:
  top: {topic: cameras/top, type: sensor_msgs/msg/Image, qos: sensor_data, size: [48, 64]}
arms:
  arm:
    controller_topic: arm_controller/joint_trajectory
    joints:
      j1: {unit: rad, position: [-3.0, 3.0], max_velocity: 3.0, max_acceleration: 8.0}
robot_description: robot_description
"""
JOINTS, CAMERA, COMMANDS = '/joint_states', '/cameras/top', '/arm_controller/joint_trajectory'
MARKS = '/record_node/episode'


class Robot:
    """Publishes numbered joint states and commands at 100 Hz and an image every fourth time, while the graph spins."""

    def __init__(self, graph):
        self.sent = {JOINTS: [], CAMERA: [], COMMANDS: []}
        self._number = 0
        self._noise = np.random.default_rng(0)
        node = graph.node
        self._out = {
            JOINTS: node.create_publisher(JointState, JOINTS, 10),
            CAMERA: node.create_publisher(Image, CAMERA, 10),
            COMMANDS: node.create_publisher(JointTrajectory, COMMANDS, 10),
        }
        self._described = node.create_publisher(String, '/robot_description', LATCHED)
        self._described.publish(String(data='<robot/>'))
        self._extra = node.create_publisher(String, '/notes', LATCHED)
        self._extra.publish(String(data='a note'))
        self._node, self._timer = node, node.create_timer(0.01, self._step)

    def _step(self):
        self._number += 1
        self._publish(JOINTS, JointState(name=['j1'], position=[float(self._number)]))
        self._publish(COMMANDS, JointTrajectory(joint_names=['j1']))
        if self._number % 4 == 0:
            image = Image(height=48, width=64, encoding='rgb8', step=192)
            image.header.stamp.sec = self._number
            image.data = self._noise.bytes(192 * 48)
            self._publish(CAMERA, image)

    def _publish(self, topic, message):
        message.header.frame_id = str(self._number)
        self.sent[topic].append(message)
        self._out[topic].publish(message)

    def heard(self):
        """Whether a recorder listens to everything."""
        everything = (*self._out.values(), self._described)
        return all(publisher.get_subscription_count() for publisher in everything)

    def noted(self):
        """Whether somebody listens to the extra topic."""
        return self._extra.get_subscription_count() > 0

    def stop(self):
        self._node.destroy_timer(self._timer)
        for publisher in (*self._out.values(), self._described, self._extra):
            self._node.destroy_publisher(publisher)


@pytest.fixture
def binding(tmp_path):
    path = tmp_path / 'bench.yaml'
    path.write_text(BINDING)
    return path


@pytest.fixture
def graph(own_graph):
    """A domain for each test: a node that was killed stays in it for a while."""
    return own_graph


@pytest.fixture
def robot(graph):
    made = Robot(graph)
    yield made
    made.stop()


@pytest.fixture
def record(graph, binding, tmp_path):
    """Starts a record_node that writes below tmp_path / 'bags'."""

    def start(**parameters):
        given = {'binding': binding, 'out': tmp_path / 'bags', 'discovery_s': 0.1, 'min_free_mb': 0.0}
        return graph.start('record_node', **(given | parameters))

    yield start
    graph.fleet.stop(['record_node'])


def only_bag(tmp_path):
    (found,) = (tmp_path / 'bags').iterdir()
    return found


def marks(bag):
    return [Mark.from_json(m.decode().data) for m in bag.messages([MARKS])]


def numbers_of(bag, topic, robot):
    """The numbers of a topic's messages in the bag, after a look whether they hold what was sent under them."""
    sent = {m.header.frame_id: m for m in robot.sent[topic]}
    for row in bag.messages([topic]):
        message = row.decode()
        original = sent[message.header.frame_id]
        for field in ('position', 'data'):
            assert np.array_equal(getattr(message, field, ()), getattr(original, field, ()))
    return [int(row.decode().header.frame_id) for row in bag.messages([topic])]


def stretches(numbers, step):
    """How many stretches without a gap the numbers are; they only grow."""
    assert numbers == sorted(set(numbers))
    return 1 + sum(b - a != step for a, b in itertools.pairwise(numbers))


def test_episodes_and_what_was_said_about_them(graph, robot, record, binding, tmp_path):
    latest = graph.listen(String, MARKS, profile=LATCHED)
    process = record(extra_topics="['/notes']", operator='Eva', instruction='stack')
    assert not graph.trigger('/record_node/stop').success
    graph.until(lambda: robot.heard() and robot.noted(), 10.0, 'record_node to listen')
    assert graph.trigger('/record_node/start').success
    again = graph.trigger('/record_node/start')
    assert not again.success and 'stop it first' in again.message
    graph.spin(0.4)
    assert 'episode 0: success after' in graph.trigger('/record_node/success').message
    words = graph.node.create_publisher(String, '/record_node/instruction', LATCHED)
    words.publish(String(data='unstack'))
    graph.spin(0.3)
    assert graph.trigger('/record_node/start').success
    graph.spin(0.3)
    assert graph.trigger('/record_node/discard').success
    assert graph.trigger('/record_node/failure').success
    graph.until(lambda: len(latest) == 5, 5.0, 'all marks')
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    graph.node.destroy_publisher(words)

    with open_bag(only_bag(tmp_path)) as bag:
        said = marks(bag)
        assert [(m.event, m.episode, m.outcome, m.instruction) for m in said] == [
            ('start', 0, 'unmarked', 'stack'),
            ('stop', 0, 'success', 'stack'),
            ('start', 1, 'unmarked', 'unstack'),
            ('stop', 1, 'discard', 'unstack'),
            ('judge', 1, 'failure', 'unstack'),
        ]
        assert {m.operator for m in said} == {'Eva'}
        assert [Mark.from_json(m.data) for m in latest] == said
        assert bag.problems == []
        assert bag.storage == 'mcap' and 'zstd' in bag.compression
        # What was sent, in one piece for each episode, and nothing in between.
        for topic, step in ((JOINTS, 1), (CAMERA, 4), (COMMANDS, 1)):
            assert stretches(numbers_of(bag, topic, robot), step) == 2, topic
            for row in bag.messages([topic]):
                assert any(a.stamp_ns <= row.log_ns <= b.stamp_ns for a, b in (said[:2], said[2:4]))
        assert [m.decode().data for m in bag.messages(['/robot_description'])] == ['<robot/>'] * 2
        assert [m.decode().data for m in bag.messages(['/notes'])] == ['a note'] * 2
        custom = bag.custom_data
        assert json.loads(custom['outcomes']) == {'0': 'success', '1': 'failure'}
        assert custom['binding'] == binding.read_text()
        assert (custom['operator'], custom['instruction'], custom['episode_topic']) == ('Eva', 'stack', MARKS)
        assert 'transient_local' in bag.topics['/robot_description'].qos


def test_keys_jpegs_and_what_does_not_fit(graph, binding, tmp_path):
    """At a terminal: keys make the episodes. Images of 1.2 MB never fit into a queue of 1 MB, small ones do."""
    robot = Robot(graph)
    large = graph.node.create_publisher(Image, '/large', 10)
    ours, theirs = pty.openpty()
    given = {
        'binding': binding,
        'out': tmp_path / 'bags',
        'discovery_s': 0.1,
        'min_free_mb': 0.0,
        'queue_mb': 1.0,
    }
    given |= {'images': 'jpeg', 'keyboard': 'true', 'extra_topics': "['/large']"}
    arguments = [text for key, value in given.items() for text in ('-p', f'{key}:={value}')]
    process = subprocess.Popen(
        [sys.executable, '-m', 'dp_ros.nodes.record_node', '--ros-args', *arguments],
        env=local_environment(graph.domain) | {'OMP_NUM_THREADS': '1'},
        stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    seen = b''

    def until_seen(text):  # a pattern
        nonlocal seen

        def found():
            nonlocal seen
            os.set_blocking(ours, False)
            with contextlib.suppress(BlockingIOError):
                seen += os.read(ours, 65536)
            return re.search(text, seen)

        graph.until(found, 15.0, f'{text!r} at the terminal')

    try:
        until_seen(rb'.space. start and stop')
        graph.until(robot.heard, 10.0, 'record_node to listen')
        large.publish(Image(height=1, width=400_000, encoding='rgb8', step=1_200_000, data=bytes(1_200_000)))
        os.write(ours, b' ')
        until_seen(b'episode 0: recording')
        for _ in range(5):
            large.publish(
                Image(height=1, width=400_000, encoding='rgb8', step=1_200_000, data=bytes(1_200_000))
            )
            graph.spin(0.05)
        graph.until(
            lambda: graph.values('record_node: counters').get('dropped /large', '0') != '0',
            5.0,
            'drops to show',
        )
        until_seen(rb'[1-9]\d* dropped')
        os.write(ours, b's')
        until_seen(b'episode 0: success')
        os.write(ours, b'q')
        graph.until(lambda: process.poll() is not None, 10.0, 'the end')
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
        robot.stop()
        graph.node.destroy_publisher(large)
    with open_bag(only_bag(tmp_path)) as bag:
        assert '/large' not in bag.topics and '/large/compressed' not in bag.topics
        assert CAMERA not in bag.topics
        shown = [m.decode() for m in bag.messages([CAMERA + '/compressed'])]
        assert len(shown) >= 5
        for message in shown:
            assert message.header.frame_id == str(message.header.stamp.sec)
            assert decode_image(message).shape == (48, 64, 3)
        stamps = [m.header.stamp.sec for m in shown]
        assert stamps == sorted(stamps)
        assert [m.outcome for m in marks(bag)] == ['unmarked', 'success']
        assert bag.custom_data['images'] == 'jpeg, quality 95'


def test_a_kill_costs_the_unflushed_second(graph, robot, record, tmp_path):
    process = record()
    graph.until(robot.heard, 10.0, 'record_node to listen')
    assert graph.trigger('/record_node/start').success
    graph.spin(2.2)
    # No flush may last longer than this before the kill, whatever else the machine does.
    killed_ns = time.time_ns()
    process.kill()
    process.wait()
    with open_bag(only_bag(tmp_path)) as bag:
        rows = list(bag.messages([JOINTS]))
        assert stretches(numbers_of(bag, JOINTS, robot), 1) == 1
        assert killed_ns - rows[-1].log_ns < 1.3e9
        assert [m.event for m in marks(bag)] == ['start']
        assert any('its end is missing' in problem for problem in bag.problems), bag.problems
        assert bag.custom_data['binding_name'] == 'test_bench'


def test_a_full_disk_ends_the_recording_and_keeps_the_bag(graph, robot, record, tmp_path):
    process = record()
    graph.until(robot.heard, 10.0, 'record_node to listen')
    assert graph.trigger('/record_node/start').success
    file = next(only_bag(tmp_path).glob('*.mcap'))
    graph.until(lambda: file.stat().st_size > 50_000, 10.0, 'a flush')
    # To the node that is a disk without room: noise does not compress.
    limit = file.stat().st_size + 100_000
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    graph.until(lambda: process.poll() is not None, 10.0, 'the end')
    assert process.returncode == 1
    assert 'the bag is closed with' in graph.fleet.tail('record_node', 50)
    with open_bag(only_bag(tmp_path)) as bag:
        numbers = numbers_of(bag, CAMERA, robot)
        assert len(numbers) > 5
        assert stretches(numbers, 4) == 1


def test_without_room_from_the_start_it_says_so(graph, record):
    process = record(min_free_mb=1e9)
    graph.until(lambda: process.poll() is not None, 10.0, 'the end')
    assert process.returncode == 1
    assert 'MB are free' in graph.fleet.tail('record_node', 50)
