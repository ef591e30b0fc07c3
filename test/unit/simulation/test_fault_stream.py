# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Laws of the fault layers: nothing is changed without a fault, and each fault does what its name says, repeatably."""

import numpy as np
import pytest

from dp_ros.errors import ConfigError
from dp_ros.simulation.fault_content import CONTENT
from dp_ros.simulation.fault_stream import (
    TRANSPORT,
    Changed,
    Delay,
    Drop,
    Duplicate,
    FaultLayer,
    Freeze,
    Reorder,
    Sample,
)  # fmt: skip

MS = 1_000_000
STEP = 20 * MS


def samples(count=50):
    return [
        Sample(i * STEP, ('a', 'b', 'c'), tuple(np.array([i, 10.0 + k, 20.0]) for k in range(4)),
               tuple(k * 40 * MS for k in range(4)), f'cafe:{2}:{i}')
        for i in range(1, count + 1)
    ]  # fmt: skip


def passed(*faults, count=50, seed=0, healthy=0):
    """(time, sample) of everything that comes out, the first ``healthy`` samples without the faults."""
    layer, out = FaultLayer(seed), []
    for i, sample in enumerate(samples(count)):
        if i == healthy:
            layer.begin(*faults)
        layer.push(sample.stamp_ns, sample)
        out += [(sample.stamp_ns, each) for each in layer.due(sample.stamp_ns)]
    return out + [(10**12, each) for each in layer.due(10**12)]


def stamps(out):
    return [sample.stamp_ns // STEP for _, sample in out]


def test_without_a_fault_everything_passes_at_once_and_unchanged():
    out = passed()
    assert stamps(out) == list(range(1, 51))
    assert all(at == sample.stamp_ns for at, sample in out)


@pytest.mark.parametrize('kind', sorted(TRANSPORT))
def test_equal_seeds_give_equal_output_and_an_ended_fault_leaves_no_trace(kind):
    given = {'delay': {'jitter_s': 0.1}, 'drop': {'probability': 0.5}}.get(kind, {})
    first, second = (stamps(passed(TRANSPORT[kind](**given), seed=3)) for _ in range(2))
    assert first == second
    layer = FaultLayer(1)
    layer.begin(TRANSPORT[kind](**given))
    layer.push(0, samples()[0])
    layer.end()
    layer.due(10**12)
    layer.push(STEP, samples()[1])
    assert layer.due(STEP) == [layer._newest]


def test_drop_loses_all_some_or_every_nth():
    assert passed(Drop()) == []
    some = stamps(passed(Drop(0.5), count=400))
    assert 120 < len(some) < 280
    assert some == sorted(some)
    assert stamps(passed(Drop(every=3), count=9)) == [1, 2, 4, 5, 7, 8]


def test_delay_shifts_arrival_and_never_the_stamp():
    out = passed(Delay(by_s=0.06))
    assert stamps(out) == list(range(1, 51))
    assert all(at - sample.stamp_ns == 60 * MS for at, sample in out if at < 10**12)


def test_jitter_loses_nothing_and_may_change_the_order():
    arrived = stamps(passed(Delay(jitter_s=0.1)))
    assert sorted(arrived) == list(range(1, 51))
    assert arrived != sorted(arrived)


def test_freeze_repeats_the_last_healthy_sample_with_its_old_or_a_live_stamp():
    assert stamps(passed(Freeze(), healthy=5))[5:] == [5] * 45
    live = passed(Freeze(restamp=True), healthy=5)
    assert stamps(live) == list(range(1, 51))
    assert all(sample.rows[0][0] == 5 for _, sample in live[5:])


def test_duplicate_and_reorder_keep_every_sample():
    assert stamps(passed(Duplicate(2), count=3)) == [1, 1, 2, 2, 3, 3]
    assert stamps(passed(Reorder(3), count=6)) == [3, 2, 1, 6, 5, 4]
    # Apart, so that a queue of one does not lose what comes second.
    assert [at // STEP for at, _ in passed(Duplicate(2, spacing_s=0.04), count=5)][:4] == [1, 2, 3, 3]
    assert [at // STEP for at, _ in passed(Reorder(2, spacing_s=0.02), count=5)][:4] == [2, 3, 4, 5]


def test_faults_of_a_layer_act_one_after_the_other():
    assert stamps(passed(Drop(every=2), Duplicate(2), count=4)) == [1, 1, 3, 3]


@pytest.mark.parametrize(
    'make',
    [
        lambda: Drop(0.0), lambda: Drop(1.5), lambda: Drop(every=1), lambda: Delay(), lambda: Delay(by_s=-1.0),
        lambda: Duplicate(1), lambda: Reorder(1), lambda: CONTENT['names'](mode='nothing'),
        lambda: CONTENT['shape'](mode='nothing'), lambda: CONTENT['value'](set_to='zero'),
        lambda: CONTENT['truncate'](points=1),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(ConfigError):
        make()


def changed(kind, **given):
    (sample,) = samples(1)
    return sample, CONTENT[kind](**given)(sample, np.random.default_rng(0))


def test_content_faults_never_touch_what_was_sent():
    given_to = {
        'value': {},
        'offset': {'by': 1.0},
        'ramp': {'speed': 1.0},
        'wave': {'amplitude': 1.0, 'hz': 1.0},
    }
    for kind, given in given_to.items():
        before, after = changed(kind, **given)
        np.testing.assert_array_equal(before.rows, samples(1)[0].rows)
        assert not np.array_equal(before.rows, after.rows, equal_nan=True)


def test_what_happens_later_in_a_chunk_leaves_its_beginning_alone():
    for kind, given in (('ramp', {'speed': 1.0}), ('wave', {'amplitude': 1.0, 'hz': 1.0})):
        before, after = changed(kind, from_s=0.08, **given)
        same = [np.array_equal(a, b) for a, b in zip(before.rows, after.rows, strict=True)]
        assert same == [True, True, True, False]


def test_value_spoils_one_joint_from_a_row_on():
    _, after = changed('value', set_to='nan', joint=2, from_row=1)
    assert np.isnan(after.rows).sum(axis=0).tolist() == [0, 0, 3]
    assert np.isfinite(after.rows[0]).all()


def test_permuted_names_carry_their_own_values():
    before, after = changed('names', mode='permuted')
    by_name = dict(zip(after.names, after.rows[0], strict=True))
    assert by_name == dict(zip(before.names, before.rows[0], strict=True))


@pytest.mark.parametrize(
    ('mode', 'names', 'width'),
    [
        ('missing', ('a', 'c'), 2),
        ('extra', ('a', 'b', 'c', 'unknown_joint'), 4),
        ('renamed', ('a', 'unknown_joint', 'c'), 3),
        ('twice', ('a', 'a', 'c'), 3),
        ('one_arm_missing', ('a',), 1),
    ],
)
def test_wrong_names(mode, names, width):
    _, after = changed('names', mode=mode)
    assert after.names == names
    assert [len(row) for row in after.rows] == [width] * 4


@pytest.mark.parametrize(
    ('mode', 'widths'),
    [('short', [2] * 4), ('long', [4] * 4), ('ragged', [3, 3, 2, 3]), ('empty', []), ('one_point', [3])],
)
def test_wrong_shapes(mode, widths):
    _, after = changed('shape', mode=mode)
    assert [len(row) for row in after.rows] == widths
    assert len(after.times_ns) == len(after.rows)


def test_identity_skew_and_truncate():
    before, after = changed('identity', contract='beef', epoch_by=-1)
    assert (before.frame_id, after.frame_id) == ('cafe:2:1', 'beef:1:1')
    assert changed('skew', by_s=-0.01)[1].stamp_ns == 10 * MS
    assert changed('skew', by_s=-9.0)[1].stamp_ns == 1, 'a stamp is never negative'
    assert changed('truncate', points=2)[1].times_ns == (0, 40 * MS)


def test_a_change_of_the_first_samples_alone_ends_by_itself():
    out = passed(Changed(CONTENT['offset'](by=5.0, joint=0), first=2), count=4)
    assert [sample.rows[0][0] for _, sample in out] == [6.0, 7.0, 3.0, 4.0]
