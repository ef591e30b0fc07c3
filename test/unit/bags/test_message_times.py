# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Times of messages without the messages: the same from every storage, and rates and gaps that follow from them."""

from collections import defaultdict

import numpy as np
import pytest
from bag_maker import Plan, cut, damage_chunk, make_bag, storage_file

from dp_ros.bags.mcap_records import HEAD, MESSAGE_INDEX, records
from dp_ros.bags.reader import open_bag
from dp_ros.bags.time_statistics import BIN_RATIO, TimeStatistics


def times_of(bag):
    out = defaultdict(list)
    for topic, stamps in bag.times():
        out[topic] += stamps.tolist()
    return {topic: sorted(stamps) for topic, stamps in out.items()}


def read_times(bag):
    out = defaultdict(list)
    for message in bag.messages():
        out[message.topic].append(message.log_ns)
    return dict(out)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('compression', ['none', 'file', 'message'])
def test_times_are_those_of_the_messages(tmp_path, storage, compression):
    make_bag(tmp_path / 'bag', Plan(storage=storage, compression=compression))
    with open_bag(tmp_path / 'bag') as bag:
        assert times_of(bag) == read_times(bag)
        assert bag.indexed == (compression != 'file')
        assert bag.disk_bytes == storage_file(tmp_path / 'bag').stat().st_size


def test_the_index_is_used_and_not_needed(tmp_path):
    """What stands in a damaged chunk is still in the index behind it; without that index chunks are read."""
    make_bag(tmp_path / 'bag', Plan())
    with open_bag(tmp_path / 'bag') as bag:
        whole = times_of(bag)
    damage_chunk(tmp_path / 'bag', 2)
    with open_bag(tmp_path / 'bag') as bag:
        assert times_of(bag) == whole
        assert bag.indexed
        assert not bag.problems
    make_bag(tmp_path / 'bare', Plan())
    file = storage_file(tmp_path / 'bare')
    data = bytearray(file.read_bytes())
    places = [8 + place for op, place, _ in records(memoryview(data)[8:-8]) if op == MESSAGE_INDEX]
    assert places
    for place in places:
        data[place] = 0x0E  # a record that readers pass over
    file.write_bytes(data)
    with open_bag(tmp_path / 'bare') as bag:
        assert bag.indexed
        assert times_of(bag) == whole
        assert not bag.indexed
    # An index that says what cannot be is none.
    place = places[0] + HEAD.size + 6
    for at in places:
        data[at] = MESSAGE_INDEX
    data[place : place + 8] = bytes(8)
    file.write_bytes(data)
    with open_bag(tmp_path / 'bare') as bag:
        assert times_of(bag) == whole


def test_a_bag_that_was_cut_off_tells_the_times_of_what_is_whole(tmp_path):
    make_bag(tmp_path / 'bag', Plan())
    cut(tmp_path / 'bag', 0.6)
    with open_bag(tmp_path / 'bag') as bag:
        assert not bag.indexed
        assert times_of(bag) == read_times(bag)


def test_statistics_do_not_depend_on_the_blocks():
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.integers(1, 40_000_000, 5000))
    whole, parts = TimeStatistics(), TimeStatistics()
    whole.add(times)
    for block in np.split(times, [1, 2, 700, 4000]):
        parts.add(rng.permutation(block))
    assert parts.figures() == whole.figures()
    steps = np.diff(times)
    assert whole.rate_hz == pytest.approx(1e9 / steps.mean())
    assert whole.largest_ns == steps.max()
    assert times[steps.argmax()] == whole.largest_at_ns
    for share in (0.5, 0.99):
        exact = np.quantile(steps, share, method='inverted_cdf')
        assert exact <= whole.gap_ns(share) <= BIN_RATIO * exact
    assert whole.gap_ns(1.0) == steps.max()


def test_no_gap_lies_in_a_pause_and_merging_is_one_pause():
    first, second = np.arange(10) * 1_000, 1_000_000 + np.arange(5) * 2_000
    one, a, b = TimeStatistics(), TimeStatistics(), TimeStatistics()
    one.add(first)
    one.pause()
    one.add(second)
    a.add(first)
    b.add(second)
    a.merge(b)
    assert one.figures() == a.figures()
    assert one.largest_ns == 2_000
    assert one.rate_hz == pytest.approx(13 / 17e-6)
    a.merge(TimeStatistics())
    assert one.figures() == a.figures()


def test_nothing_and_one_message_have_no_rate():
    empty, one = TimeStatistics(), TimeStatistics()
    one.add(np.array([5]))
    for statistics in (empty, one):
        assert (statistics.rate_hz, statistics.largest_ns, statistics.gap_ns(0.99)) == (0.0, 0, 0.0)
    assert (empty.first_ns, one.first_ns) == (None, 5)
