# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a player is made of: the time of a bag, the QoS of a recording, types by their names."""

import math

import pytest
import yaml

pytest.importorskip('rclpy', reason='needs rclpy: a sourced ROS distribution, or the extra ros-jazzy')

from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import Image

from dp_ros.errors import ConfigError
from dp_ros.nodes.bag_clock import BagClock
from dp_ros.nodes.bag_outlets import offered
from dp_ros.nodes.message_class import message_class

SECOND = 1_000_000_000
RELIABLE = {'reliability': 'reliable', 'durability': 'volatile', 'depth': 10}
BEST_EFFORT = {'reliability': 2, 'durability': 2, 'depth': 5}
LATCHED = {'reliability': 1, 'durability': 1, 'depth': 1}


def test_the_time_of_a_bag_runs_at_its_rate_and_stands_while_paused():
    clock = BagClock(100 * SECOND, 2.0, 50.0)
    assert clock.now_ns(53.0) == 106 * SECOND
    assert clock.seconds_until(110 * SECOND, 53.0) == pytest.approx(2.0)
    clock.pause(True, 53.0)
    assert clock.now_ns(60.0) == 106 * SECOND
    assert clock.seconds_until(110 * SECOND, 60.0) == math.inf
    clock.pause(False, 70.0)
    assert clock.now_ns(71.0) == 108 * SECOND
    clock.set(100 * SECOND, 80.0)
    assert clock.seconds_until(101 * SECOND, 80.0) == pytest.approx(0.5)


def test_without_a_rate_nothing_is_waited_for_but_a_pause():
    clock = BagClock(0, 0.0, 0.0)
    assert clock.seconds_until(10 * SECOND, 0.0) == 0.0
    clock.pause(True, 0.0)
    assert clock.seconds_until(10 * SECOND, 0.0) == math.inf


@pytest.mark.parametrize(
    ('profiles', 'reliable', 'latched'),
    [
        ([RELIABLE], True, False),
        ([BEST_EFFORT], False, False),
        ([LATCHED], True, True),
        ([LATCHED, RELIABLE], True, False),
        ([RELIABLE, BEST_EFFORT], False, False),
        ([], True, False),
    ],
)
def test_the_recorded_qos_is_offered_again(profiles, reliable, latched):
    profile = offered(yaml.safe_dump(profiles))
    assert (profile.reliability == ReliabilityPolicy.RELIABLE) == reliable
    assert (profile.durability == DurabilityPolicy.TRANSIENT_LOCAL) == latched
    assert offered(yaml.safe_dump(profiles), reliable=True).reliability == ReliabilityPolicy.RELIABLE


@pytest.mark.parametrize('text', ['', ': not yaml :', '- 3'])
def test_a_bag_that_says_nothing_of_its_qos_is_published_reliably(text):
    assert offered(text).reliability == ReliabilityPolicy.RELIABLE


def test_a_message_class_is_found_by_its_name():
    assert message_class('sensor_msgs/msg/Image') is Image


@pytest.mark.parametrize(
    'kind', ['nobody_msgs/msg/Thing', 'sensor_msgs/msg/Nothing', 'os/path/Join', 'a.b/msg/C', 'Image', '']
)
def test_what_is_no_installed_message_is_refused_by_name(kind):
    with pytest.raises(ConfigError, match='type'):
        message_class(kind)
