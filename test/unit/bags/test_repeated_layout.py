# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A deserializer that remembers the layout gives what one gives that does not, whatever the bytes are."""

import dataclasses

import numpy as np
import pytest
from bag_messages import JOINT_STATE, POSE, STORE, TRAJECTORY, joint_message, pose_message, trajectory_message
from rosbags.serde import SerdeError

from dp_ros.bags.repeated_layout import RepeatedLayout, deserializer

NAMES = [('a', 'b'), ('b', 'a'), ('one', 'two', 'three'), ()]


def plain(value):
    """A message as texts, for comparison; not-a-number equals itself."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.tobytes())
    return [plain(item) for item in value] if isinstance(value, list) else value


def answer(make, raw):
    try:
        return plain(make(raw))
    except (SerdeError, ValueError, IndexError, OverflowError, MemoryError):
        return 'refused'


def messages(kind, rng):
    for _ in range(80):
        names, stamp = NAMES[rng.choice(4, p=[0.7, 0.1, 0.1, 0.1])], int(rng.integers(2**60))
        if kind == JOINT_STATE:
            message = joint_message(names, stamp, rng.normal(size=len(names)))
            message.velocity = np.full(len(names) * int(rng.random() < 0.3), np.nan)
            message.header.frame_id = 'base' * int(rng.random() < 0.1)
        else:
            points = int(rng.choice([0, 3, 3, 3, 4]))
            values = rng.normal(size=(2, points, len(names)))
            times = np.arange(points) * int(rng.choice([10, 10, 10, 20]))
            message = trajectory_message(names, stamp, times, *values[: rng.integers(1, 3)])
        yield bytes(STORE.serialize_cdr(message, kind))


@pytest.mark.parametrize('kind', [JOINT_STATE, TRAJECTORY])
@pytest.mark.parametrize('seed', range(3))
def test_messages_are_as_without_a_memory(kind, seed):
    """Names, lengths and times that change now and then, and bytes that are damaged."""
    rng = np.random.default_rng(seed)
    make = deserializer(STORE, kind)
    assert isinstance(make, RepeatedLayout)
    for raw in messages(kind, rng):
        wanted = answer(lambda raw: STORE.deserialize_cdr(raw, kind), raw)
        assert wanted != 'refused'
        for view in (raw, memoryview(raw)):
            assert answer(make, view) == wanted
        damaged = bytearray(raw)
        for place in rng.integers(0, len(raw), 3):
            damaged[place] = rng.integers(256)
        damaged = bytes(damaged[: len(raw) - int(rng.choice([0, 0, 5]))])
        assert answer(make, damaged) == answer(lambda raw: STORE.deserialize_cdr(raw, kind), damaged)


def test_big_endian_messages_are_read_as_they_are():
    make = deserializer(STORE, JOINT_STATE)
    for stamp in range(3):
        message = joint_message(('a',), stamp, [1.5])
        raw = STORE.serialize_cdr(message, JOINT_STATE, little_endian=False)
        assert (make(raw).header.stamp.nanosec, make(raw).position.tolist()) == (stamp, [1.5])


def test_names_are_read_once():
    make = deserializer(STORE, JOINT_STATE)
    raws = [STORE.serialize_cdr(joint_message(('a', 'b'), i, [i, -i]), JOINT_STATE) for i in range(3)]
    first, *others = [make(raw) for raw in raws]
    assert all(other.name is first.name for other in others)
    assert others[1].position.tolist() == [2, -2]


def test_other_types_are_left_alone():
    raw = STORE.serialize_cdr(pose_message(5, 'base', (1, 2, 3), (0, 0, 0, 1)), POSE)
    make = deserializer(STORE, POSE)
    assert not isinstance(make, RepeatedLayout)
    assert make(raw).pose.position.y == 2.0
