# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Every gate, its order, its counter."""

import numpy as np
import pytest

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.gates import ChunkGates, ChunkLimits
from dp_ros.action.limits import MotionLimits
from dp_ros.action.plan import CommittedPlan, Joined
from dp_ros.errors import ChunkError, ConfigError, MessageError

MS = 1_000_000
NOW = 50_000 * MS
NAMES = ('a', 'b', 'g')
HASH = 'c0ffee00' * 8


def chunk(seq=1, stamp_ns=NOW - 50 * MS, epoch=0, contract_hash=HASH[:8], names=NAMES, positions=None):
    if positions is None:
        positions = np.tile([0.1, 0.2, 0.3], (8, 1))
    return ActionChunk(stamp_ns, 40 * MS, names, positions, contract_hash, epoch, seq)


@pytest.fixture
def gates():
    return ChunkGates(NAMES, HASH, ChunkLimits())


def joined(**numbers):
    """What joining a good chunk comes to, but for the given numbers."""
    limits = MotionLimits.of(3, lower=(-1.0, -1.0, 0.0), upper=(1.0, 1.0, 0.5), acceleration=1.0)
    good = {
        'plan': CommittedPlan.hold([0.1, 0.2, 0.3], NOW, 20 * MS, limits),
        'time_scale': 1.0,
        'clip_fraction': 0.0,
        'seam': np.zeros(3),
        'seam_velocity': np.zeros(3),
        'deviation': np.zeros(3),
    }
    return Joined(**good | numbers)


def accept(gates, good, now_ns=NOW):
    """What the node does with a chunk that every gate lets pass."""
    passed = gates.check(good, now_ns)
    gates.judge(passed, joined(), now_ns)
    return passed


def refused(gates, bad, now_ns=NOW, after=None, **options):
    """Gate and text of a refusal, which is counted as the node does."""
    with pytest.raises(ChunkError) as caught:
        gates.judge(gates.check(bad, now_ns), after or joined(), now_ns, **options)
    gates.refused(caught.value)
    return caught.value.gate, str(caught.value)


def test_a_good_chunk_passes_in_the_joints_order(gates):
    moved = chunk(names=('g', 'a', 'b'), positions=np.tile([0.3, 0.1, 0.2], (8, 1)))
    passed = accept(gates, moved)
    assert passed.joint_names == NAMES
    np.testing.assert_array_equal(passed.positions, chunk().positions)
    assert gates.counters == {'accepted': 1}


def test_the_contract_is_compared_by_its_first_digits_if_both_have_one(gates):
    gate, text = refused(gates, chunk(contract_hash='deadbeef'))
    assert gate == 'contract'
    assert 'deadbeef' in text
    assert 'c0ffee00' in text
    accept(gates, chunk(contract_hash=''))
    accept(ChunkGates(NAMES), chunk(contract_hash='deadbeef'))


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_a_single_bad_value_anywhere_refuses_the_whole_chunk(gates, value):
    for row in (0, 3, 7):
        for column in range(3):
            positions = chunk().positions.copy()
            positions[row, column] = value
            gate, text = refused(gates, chunk(positions=positions))
            assert gate == 'finite'
            assert f"['{NAMES[column]}'] are not finite, first in row {row}" in text
    assert gates.counters == {'rejected.finite': 9}
    assert gates.rejected_in_a_row == 9


def test_age_future_and_rest_have_limits(gates):
    assert '301 ms old, limit 300 ms' in refused(gates, chunk(stamp_ns=NOW - 301 * MS))[1]
    assert '101 ms in the future, limit 100 ms' in refused(gates, chunk(stamp_ns=NOW + 101 * MS))[1]
    late = chunk(stamp_ns=NOW - 201 * MS)
    assert 'only 79 ms of it lie ahead, limit 80 ms' in refused(gates, late)[1]
    assert gates.counters == {'rejected.stamp': 3}
    accept(gates, chunk(stamp_ns=NOW - 200 * MS))


def test_chunks_come_in_order_of_stamp_epoch_and_seq(gates):
    accept(gates, chunk(seq=5, epoch=2))
    for old in (
        chunk(seq=6, epoch=2),  # same stamp
        chunk(seq=5, epoch=2, stamp_ns=NOW),
        chunk(seq=9, epoch=1, stamp_ns=NOW),
    ):
        assert refused(gates, old)[0] == 'monotone'
    accept(gates, chunk(seq=1, epoch=3, stamp_ns=NOW))
    gates.reset()
    accept(gates, chunk(seq=0, epoch=0, stamp_ns=NOW - 20 * MS))


def test_without_ids_the_stamp_alone_decides(gates):
    for stamp in (NOW - 50 * MS, NOW - 40 * MS):
        accept(gates, chunk(seq=0, contract_hash='', stamp_ns=stamp))
    assert refused(gates, chunk(seq=0, contract_hash='', stamp_ns=NOW - 40 * MS))[0] == 'monotone'


def test_the_first_gate_that_refuses_is_named(gates):
    accept(gates, chunk())
    broken = np.full((8, 2), np.nan)
    worse = chunk(contract_hash='deadbeef', names=('a', 'x'), positions=broken, stamp_ns=0)
    assert refused(gates, worse)[0] == 'contract'
    assert refused(gates, chunk(names=('a', 'x'), positions=broken, stamp_ns=0))[0] == 'names'
    assert refused(gates, chunk(positions=np.full((8, 3), np.nan), stamp_ns=0))[0] == 'finite'
    assert refused(gates, chunk(stamp_ns=0))[0] == 'stamp'
    assert gates.last_refusal.startswith('stamp: ')


@pytest.mark.parametrize(
    ('numbers', 'gate', 'text'),
    [
        (
            {'seam': np.array([0.0, -0.6, 0.0])},
            'continuity',
            'chunk minus plan at the seam: b -0.6000, limit 0.5000',
        ),
        ({'seam_velocity': np.array([0.0, 0.0, 2.1])}, 'continuity', 'g +2.1000, limit 2.0000'),
        ({'seam': np.array([np.nan, 0.0, 0.0])}, 'continuity', 'a +nan'),
        ({'time_scale': 0.24}, 'limits', '4.2 times faster than the velocity limits, at most 4.0 times'),
        ({'clip_fraction': 0.21}, 'clip', '21% of the rows lie beyond the position limits, budget 20%'),
        (
            {'deviation': np.array([0.31, 0.0, 0.0])},
            'clip',
            'the plan stays off the chunk by: a +0.3100, limit 0.3',
        ),
    ],
)
def test_what_joining_came_to_is_judged(numbers, gate, text):
    gates = ChunkGates(
        NAMES, HASH, ChunkLimits(max_seam=0.5, max_seam_speed=2.0, max_speed_ratio=4.0, max_deviation=0.3)
    )
    found = refused(gates, chunk(), after=joined(**numbers))
    assert found[0] == gate
    assert text in found[1]
    assert gates.counters == {f'rejected.{gate}': 1}
    accept(gates, chunk())  # not remembered: the same chunk passes where it joins well


def test_rows_still_to_come_must_lie_within_the_limits_and_a_tolerance(gates):
    positions = chunk().positions.copy()
    positions[5, 2] = 0.601
    assert refused(gates, chunk(positions=positions)) == (
        'limits', 'limits: beyond the position limits by: g +0.1010, limit 0.1000',
    )  # fmt: skip
    positions[5, 2], positions[0] = 0.599, 9.0  # row 0 is over
    accept(gates, chunk(positions=positions))


def test_during_the_soft_start_the_seam_may_be_as_large_as_the_start(gates):
    gates = ChunkGates(NAMES, HASH, ChunkLimits(start_jump=0.2, max_seam=0.5, max_seam_speed=2.0))
    far = joined(seam=np.array([0.69, 0.0, 0.0]), seam_velocity=np.array([9.0, 0.0, 0.0]))
    assert refused(gates, chunk(), after=far)[0] == 'continuity'
    assert (
        refused(gates, chunk(), after=joined(seam=np.array([0.71, 0.0, 0.0])), starting=True)[0]
        == 'continuity'
    )
    gates.judge(gates.check(chunk(), NOW), far, NOW, starting=True)


def test_the_gates_after_joining_keep_their_order():
    gates = ChunkGates(NAMES, HASH, ChunkLimits(max_seam=0.5))
    outside = chunk(positions=np.full((8, 3), 5.0))
    worst = {'seam': np.ones(3), 'time_scale': 0.1, 'clip_fraction': 1.0}
    assert refused(gates, outside, after=joined(**worst))[0] == 'continuity'
    del worst['seam']
    assert refused(gates, outside, after=joined(**worst))[1].startswith('limits: beyond the position limits')
    assert refused(gates, chunk(), after=joined(**worst))[1].startswith('limits: 10.0 times faster')
    del worst['time_scale']
    assert refused(gates, chunk(), after=joined(**worst))[0] == 'clip'
    assert refused(gates, chunk(stamp_ns=0), after=joined(**worst))[0] == 'stamp'
    assert gates.rejected_in_a_row == 5
    accept(gates, chunk())
    assert gates.rejected_in_a_row == 0


def test_a_message_that_is_no_chunk_counts_as_shape(gates):
    gates.refused(MessageError('chunk: point 3 stands at 5 ns'))
    assert gates.counters == {'rejected.shape': 1}
    assert gates.last_refusal == 'chunk: point 3 stands at 5 ns'


def test_the_start_gate_names_every_joint_that_is_too_far():
    gates = ChunkGates(NAMES, HASH, ChunkLimits(start_jump=(0.05, 0.05, 0.01)))
    gates.check_start(chunk(), [0.149, 0.2, 0.3], NOW)
    with pytest.raises(ChunkError) as caught:
        gates.check_start(chunk(), [0.16, 0.2, 0.28], NOW)
    assert str(caught.value) == (
        'start: a: action 0.1000, measured 0.1600, difference -0.0600, limit 0.0500; '
        'g: action 0.3000, measured 0.2800, difference +0.0200, limit 0.0100'
    )
    with pytest.raises(ChunkError, match='b: action'):
        gates.check_start(chunk(), [0.1, np.nan, 0.3], NOW)


def test_the_start_gate_looks_at_the_row_in_force():
    moving = chunk(stamp_ns=NOW - 90 * MS, positions=np.arange(8.0)[:, None] * np.ones(3))
    ChunkGates(NAMES).check_start(moving, [2.0, 2.0, 2.0], NOW)


@pytest.mark.parametrize('value', [-0.1, (0.1, 0.1), float('nan')])
def test_limits_per_joint_are_checked(value):
    with pytest.raises(ConfigError, match='start_jump must be one number or one for each of 3 joints'):
        ChunkGates(NAMES, HASH, ChunkLimits(start_jump=value))
