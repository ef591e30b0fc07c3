# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""play_node as a process: what a bag becomes on the graph, and what its keys and services do."""

from itertools import pairwise

import pytest
from bag_maker import START_NS, Plan, cut, make_bag
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState

from dp_ros.messages.stamps import header_ns, to_ns
from dp_ros.nodes import qos

SECOND = 1_000_000_000


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('bags') / 'played'
    return path, make_bag(path, Plan(duration_s=0.6, strange=True))


@pytest.fixture(scope='module')
def heard(graph):
    """What the test hears, emptied by whoever begins."""
    return {
        'joints': graph.listen(JointState, '/joint_states'),
        'images': graph.listen(Image, '/top/image_raw'),
        'clock': graph.listen(Clock, '/clock', profile=qos.CLOCK),
    }


@pytest.fixture
def play(graph, bag, heard):
    def start(name, **parameters):
        for messages in heard.values():
            messages.clear()
        return graph.start(name, 'play_node', **{'bag': bag[0], 'discovery_s': 0.5, **parameters})

    yield start
    # The next player must not meet this one.
    for name in ('played', 'paused', 'looped'):
        graph.fleet.interrupt(name)
        graph.fleet.wait(name, 10.0)


def ended(graph, process):
    graph.until(lambda: process.poll() is not None, 30.0, 'the end of the bag')
    graph.spin(0.1)
    return process.returncode


def test_a_bag_is_heard_as_it_was_recorded(graph, bag, heard, play):
    made = bag[1]
    process = play('played', paused=True)
    graph.until(lambda: len(heard['clock']) > 20, 20.0, 'the clock')
    assert graph.trigger('/play_node/resume').message == 'playing'
    assert ended(graph, process) == 0, graph.fleet.tail('played')
    for topic, messages in (('/joint_states', heard['joints']), ('/top/image_raw', heard['images'])):
        expected = [m for m in made if m.topic == topic]
        assert [header_ns(m) for m in messages] == [m.stamp_ns for m in expected]
    image = next(m.message for m in made if m.topic == '/top/image_raw')
    assert bytes(heard['images'][0].data) == bytes(image.data)
    times = [to_ns(m.clock) for m in heard['clock']]
    assert times == sorted(times)
    assert times[-1] <= made[-1].log_ns
    assert len(times) > 50
    log = graph.fleet.tail('played')
    assert '/strange' not in log.split('publishing')[1].splitlines()[0]


def test_it_pauses_goes_on_and_publishes_only_what_was_asked_for(graph, heard, play):
    topics = '"/joint_states /arm_controller/joint_trajectory"'
    process = play('paused', paused=True, rate=4.0, topics=topics)
    graph.until(lambda: len(heard['clock']) > 20, 20.0, 'the clock')
    assert heard['joints'] == []
    assert {to_ns(m.clock) for m in heard['clock']} == {START_NS + 1_000_000}
    assert graph.trigger('/play_node/resume').message == 'playing'
    assert ended(graph, process) == 0, graph.fleet.tail('paused')
    assert len(heard['joints']) == 120
    assert heard['images'] == []


def test_a_loop_begins_again_with_an_earlier_clock_and_a_signal_ends_it_well(graph, heard, play):
    process = play('looped', loop=True, rate=2.0)
    graph.until(lambda: len(heard['joints']) > 150, 20.0, 'the second time')
    graph.fleet.interrupt('looped')
    assert ended(graph, process) == 0
    times = [to_ns(m.clock) for m in heard['clock']]
    assert any(after < before - SECOND // 2 for before, after in pairwise(times))
    assert 'the clock jumps back by' in graph.fleet.tail('looped')


@pytest.mark.parametrize(
    ('parameters', 'complaint'),
    [
        ({'topics': '/nothing'}, "has no topics ['/nothing']"),
        ({'lockstep': True}, 'lockstep needs checkpoint and binding'),
        ({'bag': '/nowhere'}, '/nowhere: does not exist'),
    ],
)
def test_what_cannot_be_played_is_said_and_ends_it(graph, bag, parameters, complaint):
    process = graph.start('refused', 'play_node', **{'bag': bag[0], **parameters})
    assert ended(graph, process) == 1
    assert complaint in graph.fleet.tail('refused')


def test_what_cannot_be_played_is_told_and_the_exit_code_says_so(graph, play, tmp_path):
    make_bag(tmp_path / 'damaged', Plan(duration_s=1.0))
    cut(tmp_path / 'damaged', 0.7)
    process = play('played', bag=tmp_path / 'damaged', rate=0.0)
    assert ended(graph, process) == 1
    assert "bag 'damaged': damaged.mcap: cut off" in graph.fleet.tail('played')
