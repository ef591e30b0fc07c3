# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Trajectories as bytes, beside two serializers that know nothing of each other: rclpy's and rosbags'."""

import importlib

import numpy as np
import pytest
from message_kinds import KINDS, empty_trajectory
from rosbags.typesys import Stores, get_typestore

from dp_ros.errors import MessageError
from dp_ros.messages.header_bytes import header_of, stamped
from dp_ros.messages.trajectory import decode_trajectory, fill_trajectory
from dp_ros.messages.trajectory_bytes import TrajectoryReader, TrajectoryWriter

SERIALIZED = [kind for kind in KINDS if kind != 'plain']
TYPE = 'trajectory_msgs/msg/JointTrajectory'
MS = 1_000_000
STAMP = 123_456_789_012


class Serializer:
    """One of the two, counting."""

    def __init__(self, kind):
        self.kind, self.written, self.read = kind, 0, 0
        if kind == 'live':
            self._module = pytest.importorskip('rclpy.serialization', reason='no ROS 2 here')
            self._type = importlib.import_module('trajectory_msgs.msg').JointTrajectory
        self._store = get_typestore(Stores.ROS2_JAZZY)

    def serialize(self, message):
        self.written += 1
        if self.kind == 'live':
            return self._module.serialize_message(message)
        return bytes(self._store.serialize_cdr(message, TYPE))

    def deserialize(self, raw):
        self.read += 1
        if self.kind == 'live':
            return self._module.deserialize_message(raw, self._type)
        return self._store.deserialize_cdr(raw, TYPE)

    def writer(self):
        make_point = empty_trajectory(self.kind)[1]
        return TrajectoryWriter(self.serialize, lambda: empty_trajectory(self.kind)[0], make_point)

    def slow(self, *fields):
        """The bytes of a message that is filled as an object, field by field."""
        message, make_point = empty_trajectory(self.kind)
        stamp_ns, frame_id, *rest = fields
        fill_trajectory(message, stamp_ns, frame_id, make_point, *rest)
        return self.serialize(message)


@pytest.fixture(params=SERIALIZED)
def serializer(request):
    return Serializer(request.param)


def fields(names=('b', 'long_joint_name', 'g'), points=5, velocities=True, seed=0, frame_id='deadbeef:3:14'):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.integers(1, 3_000, points)) * MS
    numbers = rng.normal(size=(2, points, len(names)))
    return STAMP + seed, frame_id, names, times, numbers[0], numbers[1] if velocities else None


def assert_same(found, sent):
    stamp_ns, frame_id, names, times, positions, velocities = sent
    assert (found.stamp_ns, found.frame_id, found.joint_names) == (stamp_ns, frame_id, names)
    np.testing.assert_array_equal(found.times_ns, times)
    np.testing.assert_array_equal(found.positions, positions)
    assert (found.velocities is None) == (velocities is None)
    if velocities is not None:
        np.testing.assert_array_equal(found.velocities, velocities)


@pytest.mark.parametrize('velocities', [True, False])
@pytest.mark.parametrize('points', [1, 2, 5, 32])
@pytest.mark.parametrize('size', range(9))
def test_the_serializer_understands_what_is_written(serializer, size, points, velocities):
    """Whatever the id's length, and with it the place of every number."""
    sent = fields(points=points, velocities=velocities, frame_id='x' * size)
    raw = serializer.writer().write(*sent)
    assert_same(decode_trajectory(serializer.deserialize(raw)), sent)


def test_only_the_first_of_a_layout_costs_a_message(serializer):
    writer = serializer.writer()
    raws = [writer.write(*fields(seed=seed)) for seed in range(4)]
    assert serializer.written == 1
    assert_same(decode_trajectory(serializer.deserialize(raws[3])), fields(seed=3))


@pytest.mark.parametrize('velocities', [True, False])
def test_what_the_serializer_writes_is_read(serializer, velocities):
    reader = TrajectoryReader(serializer.deserialize, serializer.writer())
    for seed in range(4):
        sent = fields(seed=seed, velocities=velocities)
        assert_same(reader.read(serializer.slow(*sent)), sent)
    assert serializer.read == 1


@pytest.mark.parametrize(
    'other',
    [
        fields(names=('b', 'long_joint_nama', 'g')),
        fields(names=('b', 'g')),
        fields(points=4),
        fields(velocities=False),
        fields(frame_id='deadbeef:3:140'),
        fields(points=0),
        fields(names=()),
    ],
)
def test_another_layout_is_read_for_what_it_is(serializer, other):
    reader = TrajectoryReader(serializer.deserialize, serializer.writer())
    for sent in (fields(), other, fields(seed=1), other):
        found = reader.read(serializer.slow(*sent))
        if len(sent[3]) and sent[2]:
            assert_same(found, sent)
        else:
            assert (found.frame_id, found.joint_names, found.positions.size) == (sent[1], sent[2], 0)


def test_fields_that_windows_do_not_have_take_the_usual_way(serializer):
    message, make_point = empty_trajectory(serializer.kind)
    stamp_ns, frame_id, *rest = fields()
    fill_trajectory(message, stamp_ns, frame_id, make_point, *rest)
    for point in message.points:
        point.accelerations = point.velocities
    raw = serializer.serialize(message)
    reader = TrajectoryReader(serializer.deserialize, serializer.writer())
    reader.read(serializer.slow(*fields()))
    for _ in range(2):
        assert reader.read(raw).accelerations is not None
    assert serializer.read == 3


def test_the_last_place_of_every_number_counts(serializer):
    """NaN, infinities, the smallest numbers and negative zero travel as they are."""
    sent = list(fields())
    sent[4] = sent[4].copy()
    sent[4].flat[:5] = [np.nan, np.inf, -np.inf, 5e-324, -0.0]
    reader = TrajectoryReader(serializer.deserialize, serializer.writer())
    reader.read(serializer.slow(*fields()))
    found = reader.read(serializer.writer().write(*sent)).positions
    assert found.tobytes() == np.ascontiguousarray(sent[4]).tobytes()


def test_bytes_that_are_no_trajectory_are_refused(serializer):
    reader = TrajectoryReader(serializer.deserialize, serializer.writer())
    raw = serializer.slow(*fields())
    reader.read(raw)
    with pytest.raises(MessageError, match='12 bytes cannot be read'):
        reader.read(raw[:12])


@pytest.mark.parametrize(
    ('place', 'value', 'text'),
    [
        (0, -1, 'a stamp must lie between'),
        (3, np.arange(5) * -MS, 'a stamp must lie between'),
        (4, np.zeros((5, 2)), '2 columns for joints'),
    ],
)
def test_what_cannot_travel_is_refused(serializer, place, value, text):
    writer = serializer.writer()
    writer.write(*fields())
    sent = list(fields())
    sent[place] = value
    with pytest.raises(MessageError, match=text):
        writer.write(*sent)


def test_stamp_and_frame_are_read_and_written_in_place(serializer):
    raw = serializer.slow(*fields())
    assert header_of(raw) == (STAMP, 'deadbeef:3:14')
    other = stamped(raw, 7 * 10**9 + 5)
    assert header_of(other) == (7 * 10**9 + 5, 'deadbeef:3:14')
    assert_same(decode_trajectory(serializer.deserialize(other)), (7 * 10**9 + 5, *fields()[1:]))


def test_a_header_in_another_representation_is_refused():
    with pytest.raises(MessageError, match='no header in little endian'):
        header_of(b'\0\0\0\0' + bytes(40))
    with pytest.raises(MessageError, match='no header'):
        header_of(b'\0\1\0\0' + bytes(8))
