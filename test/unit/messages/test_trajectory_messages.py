# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Chunks and windows through messages of every kind."""

import numpy as np
import pytest
from message_kinds import KINDS, empty_trajectory, plain_point

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.limits import MotionLimits
from dp_ros.action.plan import CommittedPlan
from dp_ros.action.window import Window
from dp_ros.errors import MessageError
from dp_ros.messages.stamps import fill_time
from dp_ros.messages.trajectory import decode_chunk, decode_trajectory, fill_chunk, fill_window

MS = 1_000_000
NAMES = ('b', 'a', 'g')


def chunk(length=8):
    positions = np.random.default_rng(0).normal(size=(length, 3))
    return ActionChunk(123_456_789_012, 40 * MS, NAMES, positions, 'deadbeef' * 8, 3, 14)


@pytest.mark.parametrize('kind', KINDS)
def test_a_chunk_survives_to_the_last_bit(kind):
    sent = chunk()
    message, make_point = empty_trajectory(kind)
    fill_chunk(message, sent, make_point)
    got = decode_chunk(message)
    assert (got.id, got.stamp_ns, got.period_ns, got.joint_names) == (
        sent.id,
        sent.stamp_ns,
        sent.period_ns,
        NAMES,
    )
    np.testing.assert_array_equal(got.positions, sent.positions)
    assert decode_trajectory(message).velocities is None


@pytest.mark.parametrize('kind', KINDS)
def test_a_window_survives_to_the_last_bit(kind):
    now = chunk().stamp_ns
    plan = (
        CommittedPlan.hold(np.zeros(3), now, 20 * MS, MotionLimits.of(3, acceleration=5.0))
        .joined(chunk(), now, 40 * MS)
        .plan
    )
    window = plan.window(now + 7 * MS, 40 * MS, 160 * MS).for_arm(slice(0, 2))
    message, make_point = empty_trajectory(kind)
    fill_window(message, window, NAMES[:2], chunk().id, make_point)
    got = decode_trajectory(message)
    assert (got.stamp_ns, got.frame_id, got.joint_names) == (window.stamp_ns, 'deadbeef:3:14', NAMES[:2])
    np.testing.assert_array_equal(got.times_ns, window.times_ns)
    np.testing.assert_array_equal(got.positions, window.positions)
    np.testing.assert_array_equal(got.velocities, window.velocities)


@pytest.mark.parametrize('kind', KINDS)
def test_a_message_that_is_filled_again_says_only_what_is_new(kind):
    message, make_point = empty_trajectory(kind)
    for count in (5, 2, 7):
        rows = np.random.default_rng(count).normal(size=(2, count, 2))
        window = Window(count * MS, np.arange(count) * 20 * MS, *rows)
        fill_window(message, window, NAMES[:2], '', make_point)
        got = decode_trajectory(message)
        np.testing.assert_array_equal(got.times_ns, window.times_ns)
        np.testing.assert_array_equal((got.positions, got.velocities), rows)
    fill_chunk(message, chunk(), make_point)
    assert decode_trajectory(message).velocities is None


def trajectory(times, names=('a',), positions=None, frame_id=''):
    message, _ = empty_trajectory('plain')
    message.joint_names, message.header.frame_id = list(names), frame_id
    for i, at in enumerate(times):
        point = plain_point()
        fill_time(point.time_from_start, at)
        point.positions = [0.0] * len(names) if positions is None else positions[i]
        message.points.append(point)
    return message


@pytest.mark.parametrize(
    ('times', 'reason'),
    [
        ([], 'at least 2 points'),
        ([0], 'at least 2 points'),
        ([0, 40, 90], 'point 2 stands at 90 ns, must be at 2 periods of 40 ns'),
        ([10, 40, 80], 'point 0 stands at 10 ns'),
        ([0, 0, 0], 'periods of 0 ns, more than 0'),
    ],
)
def test_chunks_must_be_equally_spaced(times, reason):
    with pytest.raises(MessageError, match=reason):
        decode_chunk(trajectory(times))


def test_points_must_fit_the_joints():
    with pytest.raises(MessageError, match='point 1 has 1 positions for 2 joints'):
        decode_trajectory(trajectory([0, 1], ('a', 'b'), [[0.0, 0.0], [0.0]]))
    mixed = trajectory([0, 1])
    mixed.points[0].velocities = [0.0]
    with pytest.raises(MessageError, match='point 1 has 0 velocities for 1 joints'):
        decode_trajectory(mixed)


def test_an_id_may_be_empty_but_not_nonsense():
    assert decode_chunk(trajectory([0, 40])).id == ':0:0'
    with pytest.raises(MessageError, match="got 'base_link'"):
        decode_chunk(trajectory([0, 40], frame_id='base_link'))


def test_window_columns_must_fit_the_names():
    now = chunk().stamp_ns
    window = CommittedPlan.hold(np.zeros(3), now, 20 * MS, MotionLimits.of(3, acceleration=5.0)).window(
        now, 0, 0
    )
    message, make_point = empty_trajectory('plain')
    with pytest.raises(MessageError, match='3 columns for joints'):
        fill_window(message, window, ('a', 'b'), '', make_point)
