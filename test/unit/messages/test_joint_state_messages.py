# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Joint states of every kind of message."""

import numpy as np
import pytest
from message_kinds import KINDS, empty_joint_state, time

from dp_ros.errors import MessageError
from dp_ros.messages.joint_state import decode_joint_state, fill_joint_state
from dp_ros.messages.stamps import fill_time, to_ns


@pytest.mark.parametrize('kind', KINDS)
def test_what_is_filled_in_reads_back(kind):
    message, positions = empty_joint_state(kind), np.array([0.1, -0.2])
    fill_joint_state(message, 12_345_678_901, ('b', 'a'), positions, np.array([1.0, 2.0]))
    positions[:] = 9.0
    stamp_ns, names, got = decode_joint_state(message)
    assert (stamp_ns, names) == (12_345_678_901, ('b', 'a'))
    np.testing.assert_array_equal(got, [0.1, -0.2])
    assert list(message.velocity) == [1.0, 2.0]
    fill_joint_state(message, 0, ('b', 'a'), positions)
    assert len(message.velocity) == 0


def test_lengths_and_names_are_checked():
    message = empty_joint_state('plain')
    message.name, message.position = ['a', 'b'], [1.0]
    with pytest.raises(MessageError, match='2 names, 1 positions'):
        decode_joint_state(message)
    message.name, message.position = ['a', 'a'], [1.0, 2.0]
    with pytest.raises(MessageError, match='stand twice'):
        decode_joint_state(message)


def test_stamps_are_exact_and_bounded():
    rng = np.random.default_rng(0)
    for stamp in [0, 1, 999_999_999, 10**9, *rng.integers(0, 2**31 * 10**9, 50).tolist()]:
        message = time()
        fill_time(message, stamp)
        assert to_ns(message) == stamp
        assert 0 <= message.nanosec < 10**9
    for stamp in (-1, 2**31 * 10**9):
        with pytest.raises(MessageError, match='a stamp must lie between'):
            fill_time(time(), stamp)
