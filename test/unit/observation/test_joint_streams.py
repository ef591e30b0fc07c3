# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Joints in common streams behave as joints in streams of their own."""

import numpy as np
import pytest

from dp_ros.observation.joint_streams import JointStreams
from dp_ros.observation.stream_buffer import StreamBuffer

COUNT, HORIZON, JUMP = 5, 60, 100
ARMS = ((0, 1, 2), (3, 4))


@pytest.mark.parametrize('seed', range(8))
def test_every_joint_is_as_in_a_stream_of_its_own(seed):
    """Both arms, one, some joints; late, repeated and far too late; cleared now and then."""
    rng = np.random.default_rng(seed)
    streams, alone = JointStreams(COUNT, HORIZON, JUMP), [StreamBuffer(HORIZON, JUMP) for _ in range(COUNT)]
    now = 1_000
    for _ in range(300):
        now += int(rng.integers(0, 8))
        stamp = now - int(rng.choice([0, 0, 0, 5, 30, 150]))
        some = tuple(sorted(rng.choice(COUNT, rng.integers(0, COUNT + 1), replace=False).tolist()))
        joints = [tuple(range(COUNT)), *ARMS, some if seed > 3 else ARMS[0]][rng.integers(4)]
        values = rng.normal(size=len(joints))
        wanted = [alone[j].push(stamp, value) for j, value in zip(joints, values, strict=True)]
        assert streams.push(stamp, joints, values) == max(wanted, default=0)
        if rng.random() < 0.02:
            streams.clear()
            for stream in alone:
                stream.clear()
        newest = [stream.newest_ns for stream in alone]
        assert streams.newest_ns() == (None if None in newest else min(newest))
        assert sorted(j for group in streams for j in group.joints) == list(range(COUNT))
        for group in streams:
            for place, joint in enumerate(group.joints):
                assert [(at, row[place]) for at, row in group.stream] == list(alone[joint])
                assert group.stream.repeats == alone[joint].repeats


def test_joints_that_come_together_stay_together():
    streams = JointStreams(COUNT, HORIZON, JUMP)
    for stamp in range(0, 40, 10):
        for arm in ARMS:
            streams.push(stamp, arm, np.zeros(len(arm)))
    assert [group.joints for group in streams] == list(ARMS)
