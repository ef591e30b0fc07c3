# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Bags as other people's recorders write, or wrote, them."""

import sqlite3
from contextlib import closing

import pytest
from bag_maker import Plan, drop_metadata, make_bag, storage_file
from bag_messages import JOINT_STATE

from dp_ros.bags.message_types import MessageTypes
from dp_ros.bags.reader import open_bag
from dp_ros.bags.storage import Channel, topic_name, type_name
from dp_ros.bags.topics import located
from dp_ros.errors import BagError, MismatchError


def edit(path, *statements):
    with closing(sqlite3.connect(storage_file(path))) as database, database:
        for statement in statements:
            database.execute(statement)


def names(path):
    with open_bag(path) as bag:
        return [(m.topic, tuple(m.decode().name)) for m in bag.messages(['/joint_states'])]


def test_old_names_mean_what_they_mean_today(tmp_path):
    """Recordings of 2018, and nodes that write bags themselves, leave out /msg and the slash of the topic."""
    make_bag(tmp_path / 'bag', Plan(duration_s=0.3, storage='sqlite3'))
    expected = names(tmp_path / 'bag')
    drop_metadata(tmp_path / 'bag')
    edit(
        tmp_path / 'bag',
        "UPDATE topics SET name = substr(name, 2), type = replace(type, '/msg/', '/')",
        'DROP TABLE message_definitions',
        'ALTER TABLE topics DROP COLUMN serialization_format',
        'ALTER TABLE topics DROP COLUMN offered_qos_profiles',
    )
    assert names(tmp_path / 'bag') == expected
    with open_bag(tmp_path / 'bag') as bag:
        assert located(bag, {'joint_states': JOINT_STATE}) == {'/joint_states': 'joint_states'}


@pytest.mark.parametrize('name', ['/a', '/a/b'])
def test_names_of_today_stay(name):
    assert topic_name(name) == topic_name(name[1:]) == name
    assert type_name('a_msgs/srv/B_Event') == 'a_msgs/srv/B_Event'


def test_a_definition_that_cannot_be_read_gives_way_to_the_standard_one(tmp_path):
    """As some converters shorten them."""
    make_bag(tmp_path / 'bag', Plan(duration_s=0.3, storage='sqlite3'))
    expected = names(tmp_path / 'bag')
    edit(
        tmp_path / 'bag', "UPDATE message_definitions SET encoded_message_definition = 'Nobody[] knows'",
        "UPDATE message_definitions SET encoding = 'ros2msg'",
    )  # fmt: skip
    assert names(tmp_path / 'bag') == expected


def test_a_message_without_fields_has_an_empty_definition():
    channel = Channel(0, '/go', 'my_msgs/msg/Go', '', 'ros2msg', 'cdr', '')
    assert MessageTypes().store(channel).deserialize_cdr(b'\0\1\0\0\0', channel.type) is not None
    with pytest.raises(BagError, match='no definition of type my_msgs/msg/Go'):
        MessageTypes().store(channel._replace(definition_format=''))


def test_topics_that_nobody_can_read_are_no_problem_of_those_that_are_asked_for(tmp_path):
    make_bag(tmp_path / 'bag', Plan(duration_s=0.3, strange=True))
    with open_bag(tmp_path / 'bag') as bag:
        list(bag.messages())
        assert not bag.problems
        assert 'cannot be read' in bag.topics['/strange'].problem
        with pytest.raises(MismatchError, match='topic /strange: the definition of type'):
            located(bag, {'/strange': 'nobody_msgs/msg/Thing'})


def test_a_bag_without_messages_says_so_and_why(tmp_path):
    make_bag(tmp_path / 'bag', Plan(duration_s=0.0))
    drop_metadata(tmp_path / 'bag')
    why = r"bag 'bag': no message in it; metadata\.yaml is missing"
    with open_bag(tmp_path / 'bag') as bag, pytest.raises(BagError, match=why):
        located(bag, {'/joint_states': JOINT_STATE})
