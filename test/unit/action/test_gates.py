# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Every gate, its order, its counter."""

import numpy as np
import pytest

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.gates import ChunkGates, ChunkLimits
from dp_ros.action.plan import CommittedPlan
from dp_ros.errors import ChunkError, ConfigError

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


def refused(gates, bad, now_ns=NOW, plan=None):
    with pytest.raises(ChunkError) as caught:
        gates.check(bad, now_ns, plan)
    return caught.value.gate, str(caught.value)


def test_a_good_chunk_passes_in_the_joints_order(gates):
    moved = chunk(names=('g', 'a', 'b'), positions=np.tile([0.3, 0.1, 0.2], (8, 1)))
    passed = gates.check(moved, NOW)
    assert passed.joint_names == NAMES
    np.testing.assert_array_equal(passed.positions, chunk().positions)
    assert gates.counters == {'accepted': 1}


def test_the_contract_is_compared_by_its_first_digits_if_both_have_one(gates):
    gate, text = refused(gates, chunk(contract_hash='deadbeef'))
    assert gate == 'contract'
    assert 'deadbeef' in text
    assert 'c0ffee00' in text
    gates.check(chunk(contract_hash=''), NOW)
    ChunkGates(NAMES).check(chunk(contract_hash='deadbeef'), NOW)


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
    gates.check(chunk(stamp_ns=NOW - 200 * MS), NOW)


def test_chunks_come_in_order_of_stamp_epoch_and_seq(gates):
    gates.check(chunk(seq=5, epoch=2), NOW)
    for old in (
        chunk(seq=6, epoch=2),  # same stamp
        chunk(seq=5, epoch=2, stamp_ns=NOW),
        chunk(seq=9, epoch=1, stamp_ns=NOW),
    ):
        assert refused(gates, old)[0] == 'monotone'
    gates.check(chunk(seq=1, epoch=3, stamp_ns=NOW), NOW)
    gates.reset()
    gates.check(chunk(seq=0, epoch=0, stamp_ns=NOW - 20 * MS), NOW)


def test_without_ids_the_stamp_alone_decides(gates):
    for stamp in (NOW - 50 * MS, NOW - 40 * MS):
        gates.check(chunk(seq=0, contract_hash='', stamp_ns=stamp), NOW)
    assert refused(gates, chunk(seq=0, contract_hash='', stamp_ns=NOW - 40 * MS))[0] == 'monotone'


def test_the_first_gate_that_refuses_is_named(gates):
    gates.check(chunk(), NOW)
    broken = np.full((8, 2), np.nan)
    worse = chunk(contract_hash='deadbeef', names=('a', 'x'), positions=broken, stamp_ns=0)
    assert refused(gates, worse)[0] == 'contract'
    assert refused(gates, chunk(names=('a', 'x'), positions=broken, stamp_ns=0))[0] == 'names'
    assert refused(gates, chunk(positions=np.full((8, 3), np.nan), stamp_ns=0))[0] == 'finite'
    assert refused(gates, chunk(stamp_ns=0))[0] == 'stamp'
    assert gates.last_refusal.startswith('stamp: ')


def test_a_jump_from_the_plan_is_refused_only_if_a_limit_is_set():
    plan = CommittedPlan.hold([0.1, 0.2, 0.0], NOW, 20 * MS, 1.0)
    ChunkGates(NAMES, HASH).check(chunk(), NOW, plan)
    gates = ChunkGates(NAMES, HASH, ChunkLimits(max_jump=(0.1, 0.1, 0.2)))
    gate, text = refused(gates, chunk(), NOW, plan)
    assert gate == 'jump'
    assert text == 'jump: g: action 0.3000, commanded 0.0000, difference +0.3000, limit 0.2000'


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
    assert gates.counters == {'rejected.start': 2}


def test_the_start_gate_looks_at_the_row_in_force():
    moving = chunk(stamp_ns=NOW - 90 * MS, positions=np.arange(8.0)[:, None] * np.ones(3))
    ChunkGates(NAMES).check_start(moving, [2.0, 2.0, 2.0], NOW)


@pytest.mark.parametrize('value', [-0.1, (0.1, 0.1), float('nan')])
def test_limits_per_joint_are_checked(value):
    with pytest.raises(ConfigError, match='start_jump must be one number or one for each of 3 joints'):
        ChunkGates(NAMES, HASH, ChunkLimits(start_jump=value))
