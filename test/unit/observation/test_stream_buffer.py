# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The memory of one stream."""

import numpy as np

from dp_ros.observation.stream_buffer import Pushed, StreamBuffer


def filled(stamps, horizon=1000, jump=500):
    buffer = StreamBuffer(horizon, jump)
    for stamp in stamps:
        buffer.push(stamp, f'v{stamp}')
    return buffer


def test_samples_are_sorted_whatever_the_order_of_arrival():
    rng = np.random.default_rng(0)
    for _ in range(20):
        stamps = rng.permutation(np.arange(0, 400, 10)).tolist()
        assert [stamp for stamp, _ in filled(stamps)] == sorted(stamps)


def test_every_way_to_come_is_told():
    buffer = filled([1000])
    assert buffer.push(1100, 'n') is Pushed.NEWEST
    assert buffer.push(1050, 'o') is Pushed.OUT_OF_ORDER
    assert buffer.push(1050, 'x') is Pushed.DUPLICATE
    assert buffer.push(599, 'x') is Pushed.BACKWARD_JUMP
    assert list(buffer) == [(1000, 'v1000'), (1050, 'o'), (1100, 'n')]


def test_only_the_horizon_is_remembered():
    buffer = filled(range(0, 10_000, 10), horizon=100)
    assert (len(buffer), buffer.oldest_ns, buffer.newest_ns) == (11, 9890, 9990)
    assert buffer.push(9700, 'late') is Pushed.OUT_OF_ORDER
    assert buffer.oldest_ns == 9890


def test_nearest_is_the_nearest_within_tolerance():
    rng = np.random.default_rng(1)
    stamps = np.unique(rng.integers(0, 1000, 30))
    buffer = filled(stamps.tolist())
    for at in range(-50, 1050, 7):
        best = int(stamps[np.argmin(np.abs(stamps - at))])
        found = buffer.nearest(at, 20)
        assert (found is None) == (abs(best - at) > 20)
        assert found is None or abs(found[0] - at) == abs(best - at)
    assert filled([10, 20]).nearest(15, 5) == (10, 'v10')
    assert filled([]).nearest(0, 10**9) is None


def test_bracket_holds_the_time_or_is_none():
    buffer = filled([10, 20, 40])
    assert buffer.bracket(9) is None
    assert buffer.bracket(41) is None
    assert buffer.bracket(20) == ((20, 'v20'), (20, 'v20'))
    assert buffer.bracket(40) == ((40, 'v40'), (40, 'v40'))
    assert buffer.bracket(25) == ((20, 'v20'), (40, 'v40'))


def test_repeats_count_the_newest_stamp_only():
    buffer = filled([10, 20])
    for stamp in (10, 20, 20):
        buffer.push(stamp, 'x')
    assert buffer.repeats == 2
    buffer.push(30, 'x')
    assert buffer.repeats == 0


def test_clear_and_discard_forget():
    buffer = filled([10, 20])
    buffer.discard(20)
    buffer.discard(77)
    assert buffer.newest_ns == 10
    buffer.clear()
    assert (len(buffer), buffer.newest_ns, buffer.oldest_ns, buffer.bracket(10)) == (0, None, None, None)
    assert buffer.push(5, 'again') is Pushed.NEWEST
