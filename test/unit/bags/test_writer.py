# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Bags as they are written: what goes in comes out, whatever ends the writing."""

import resource
from contextlib import contextmanager

import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from dp_ros.bags.marks import Mark
from dp_ros.bags.reader import open_bag
from dp_ros.bags.writer import BagWriter, offered_qos
from dp_ros.errors import BagError

STORE = get_typestore(Stores.ROS2_JAZZY)
JOINTS, IMAGE, TEXT = 'sensor_msgs/msg/JointState', 'sensor_msgs/msg/Image', 'std_msgs/msg/String'
TOPICS = (('/joint_states', JOINTS, offered_qos()), ('/camera', IMAGE, offered_qos(reliable=False, depth=5)))
CUSTOM = {'instruction': 'über\nzwei Zeilen: "ja"', 'contract': '{"a": [1, 2]}'}


def messages(n, size=20_000, seed=0):
    """(topic, raw, log_ns) of two topics in turn; the bytes are noise, which does not compress."""
    noise = np.random.default_rng(seed)
    return [(TOPICS[i % 2][0], noise.bytes(size if i % 2 else 90), 10**18 + i * 10**7) for i in range(n)]


def write(writer, rows):
    for topic, kind, qos in TOPICS:
        writer.add_topic(topic, kind, qos)
    for row in rows:
        writer.write(*row)


def read(path):
    with Reader(path) as reader:
        return [(c.topic, bytes(raw), log_ns) for c, log_ns, raw in reader.messages()]


def recovered(path):
    """What our own reader finds, which needs no index."""
    with open_bag(path) as bag:
        return [(m.topic, bytes(m.raw), m.log_ns) for m in bag.messages()]


def described(path):
    return yaml.safe_load((path / 'metadata.yaml').read_text())['rosbag2_bagfile_information']


@contextmanager
def files_of_at_most(size):
    """No file of this process grows beyond ``size`` bytes: to a writer that is a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize('flush_every', [5, 50, 1000])
def test_what_goes_in_comes_out_byte_for_byte(tmp_path, flush_every):
    rows = messages(120)
    with BagWriter(tmp_path / 'bag', CUSTOM) as writer:
        for topic, kind, qos in TOPICS:
            writer.add_topic(topic, kind, qos)
        for i, row in enumerate(rows):
            writer.write(*row)
            if i % flush_every == 0:
                writer.flush()
        assert writer.counts == {'/joint_states': 60, '/camera': 60}
    assert read(tmp_path / 'bag') == rows


def test_the_metadata_are_those_that_rosbags_writes(tmp_path):
    rows = messages(5)
    with BagWriter(tmp_path / 'ours' / 'bag', CUSTOM) as writer:
        write(writer, rows)
        writer.flush()
        flushed = described(tmp_path / 'ours' / 'bag')
    theirs = Writer(tmp_path / 'theirs' / 'bag', version=9, storage_plugin=StoragePlugin.MCAP)
    theirs.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    for key, value in CUSTOM.items():
        theirs.set_custom_data(key, value)
    with theirs:
        known = {
            topic: theirs.add_connection(topic, kind, typestore=STORE, offered_qos_profiles=[qos])
            for topic, kind, qos in TOPICS
        }
        for topic, raw, log_ns in rows:
            theirs.write(known[topic], log_ns, raw)
    assert flushed == described(tmp_path / 'theirs' / 'bag')
    assert described(tmp_path / 'ours' / 'bag') == flushed


def test_after_a_flush_the_metadata_and_the_file_hold_everything_so_far(tmp_path):
    writer = BagWriter(tmp_path / 'bag', CUSTOM)
    assert described(tmp_path / 'bag')['custom_data'] == CUSTOM
    rows = messages(6, size=100)
    write(writer, rows)
    writer.flush()
    size = (tmp_path / 'bag' / 'bag.mcap').stat().st_size
    assert size == writer.size
    assert described(tmp_path / 'bag')['message_count'] == 6
    write(writer, messages(3, size=100, seed=1))
    assert (tmp_path / 'bag' / 'bag.mcap').stat().st_size == size
    writer.close()


def test_a_bag_without_messages_opens(tmp_path):
    with BagWriter(tmp_path / 'bag', {}) as writer:
        writer.add_topic('/camera', IMAGE)
        writer.flush()
    with Reader(tmp_path / 'bag') as reader:
        assert reader.message_count == 0
        assert [c.topic for c in reader.connections] == ['/camera']
    assert described(tmp_path / 'bag')['starting_time']['nanoseconds_since_epoch'] == 0
    with open_bag(tmp_path / 'bag') as bag:
        assert list(bag.messages(['/camera'])) == []


def test_marks_are_strings_at_their_own_stamps(tmp_path):
    marks = [
        Mark(event='start', episode=0, stamp_ns=10**18, instruction='greifen'),
        Mark(event='stop', episode=0, stamp_ns=10**18 + 5, outcome='success'),
    ]
    with BagWriter(tmp_path / 'bag', {}) as writer:
        for mark in marks:
            writer.write_mark('/record_node/episode', mark)
    rows = read(tmp_path / 'bag')
    assert [log_ns for *_, log_ns in rows] == [mark.stamp_ns for mark in marks]
    assert [Mark.from_json(STORE.deserialize_cdr(raw, TEXT).data) for _, raw, _ in rows] == marks
    assert described(tmp_path / 'bag')['custom_data'] == {'outcomes': '{"0": "success"}'}


@pytest.mark.parametrize('limit', [60_000, 70_001, 83_333, 200_000])
def test_a_full_disk_keeps_what_was_flushed_and_says_what_is_lost(tmp_path, limit):
    writer = BagWriter(tmp_path / 'bag', CUSTOM)
    rows, flushed = messages(100), 0
    with files_of_at_most(limit), pytest.raises(BagError, match=r'too large.* lost'):
        write(writer, rows[:2])
        for row in rows[2:]:
            writer.flush()
            flushed = sum(writer.counts.values())
            writer.write(*row)
    assert 2 <= flushed < 100
    kept = sum(writer.counts.values())
    assert kept == flushed
    assert described(tmp_path / 'bag')['message_count'] == kept
    assert described(tmp_path / 'bag')['custom_data'] == CUSTOM
    with pytest.raises(BagError, match='lost'):
        writer.write(*rows[0])
    writer.close()
    assert recovered(tmp_path / 'bag') == rows[:kept]


def test_a_file_that_is_cut_anywhere_after_a_flush_holds_what_was_flushed(tmp_path):
    writer = BagWriter(tmp_path / 'bag', CUSTOM)
    rows = messages(40)
    write(writer, rows[:20])
    writer.flush()
    size = writer.size
    for row in rows[20:]:
        writer.write(*row)
    writer.close()
    file = tmp_path / 'bag' / 'bag.mcap'
    whole = file.read_bytes()
    # From the last byte to the flush, and into the middle of each part of what came after it.
    for end in [size, *np.linspace(size + 1, len(whole) - 1, 12).astype(int)]:
        file.write_bytes(whole[:end])
        assert recovered(tmp_path / 'bag') in (rows[:20], rows)


@pytest.mark.parametrize('limit', [10, 15_000])
def test_a_disk_that_is_full_from_the_first_chunk_leaves_a_bag_without_messages(tmp_path, limit):
    writer = BagWriter(tmp_path / 'bag', CUSTOM)
    with files_of_at_most(limit), pytest.raises(BagError, match='with 0 messages, the last 4 are lost'):
        write(writer, messages(4))
        writer.flush()
    assert recovered(tmp_path / 'bag') == []


def test_a_full_disk_within_a_chunk_that_was_not_flushed(tmp_path):
    writer = BagWriter(tmp_path / 'bag', {})
    with files_of_at_most(2_500_000), pytest.raises(BagError, match='messages'):
        write(writer, messages(400))
    kept = sum(writer.counts.values())
    assert kept > 100
    assert read(tmp_path / 'bag') == messages(400)[:kept]


def test_nothing_is_written_over(tmp_path):
    BagWriter(tmp_path / 'bag', {}).close()
    with pytest.raises(BagError, match='exists already'):
        BagWriter(tmp_path / 'bag', {})
    (tmp_path / 'file').write_text('')
    with pytest.raises(BagError, match='file/bag'):
        BagWriter(tmp_path / 'file' / 'bag', {})


def test_a_type_without_a_definition_is_refused_by_topic(tmp_path):
    with BagWriter(tmp_path / 'bag', {}) as writer:
        assert not writer.knows('my_robot_msgs/msg/Hand')
        with pytest.raises(BagError, match=r'/hand.*my_robot_msgs/msg/Hand'):
            writer.add_topic('/hand', 'my_robot_msgs/msg/Hand')


def test_a_closed_bag_takes_nothing_more(tmp_path):
    writer = BagWriter(tmp_path / 'bag', {})
    writer.add_topic('/text', TEXT)
    writer.close()
    writer.close()
    with pytest.raises(BagError, match='closed'):
        writer.write('/text', b'', 1)
    with pytest.raises(BagError, match='closed'):
        writer.flush()
