# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A recorder's clock that was set back: two times are never mixed, and nothing else is lost."""

import pytest
from bag_maker import Plan, drop_metadata, make_bag

from dp_ros.bags.clock import BACK_NS, Clock
from dp_ros.bags.reader import open_bag

MS = 1_000_000


@pytest.mark.parametrize(('storage', 'chunk_s'), [('mcap', 0.25), ('mcap', 0.0), ('sqlite3', 0.0)])
@pytest.mark.parametrize('back_s', [-1.0, -0.3])
def test_what_was_recorded_twice_is_left_out(tmp_path, storage, chunk_s, back_s):
    """The reference knows when each message arrived, by a clock that nobody set."""
    plan = Plan(duration_s=3.0, jump=(1.5, back_s), chunk_s=chunk_s, storage=storage)
    made = make_bag(tmp_path / 'bag', plan)
    before = [m.log_ns for m in made if m.log_ns == m.arrived_ns]
    after = [m.log_ns for m in made if m.log_ns != m.arrived_ns]
    begin, end = min(after), max(before)
    with open_bag(tmp_path / 'bag') as bag:
        for _ in range(2):  # the second time all is known from the beginning
            given = [(m.topic, m.log_ns) for m in bag.messages()]
            # A little more is left out than lies in both: messages overtake each other.
            wanted = [(m.topic, m.log_ns) for m in made if not begin <= m.log_ns <= end + BACK_NS]
            assert sorted(given) == sorted(wanted)
            assert [log_ns for _, log_ns in given] == sorted(log_ns for _, log_ns in given)
        assert bag.clock.breaks(max(t for t in before if t < begin), given[-1][1])
        assert 'the clock was set back by' in bag.problems[0]
        assert sum('recorded twice, and left out: 170000000' in problem for problem in bag.problems) == 1


def test_times_that_do_not_overlap_are_all_kept(tmp_path):
    made = make_bag(tmp_path / 'bag', Plan(duration_s=2.0, jump=(1.0, -60.0)))
    with open_bag(tmp_path / 'bag') as bag:
        assert len(list(bag.messages())) == len(made)
        assert bag.clock.breaks(min(m.log_ns for m in made), max(m.log_ns for m in made))
        assert len(bag.problems) == 1


@pytest.mark.parametrize('change', [{}, {'swapped': ('/joint_states',)}, {'jump': (1.0, 3.0)}])
def test_a_clock_that_goes_on_is_no_problem(tmp_path, change):
    made = make_bag(tmp_path / 'bag', Plan(duration_s=1.5, **change))
    with open_bag(tmp_path / 'bag') as bag:
        assert len(list(bag.messages())) == len(made)
        assert not bag.problems and not bag.clock.starts


def test_a_bag_without_an_index_is_examined_too(tmp_path):
    """Cut off behind its last chunk: messages and times are those of the whole bag."""
    make_bag(tmp_path / 'bag', Plan(duration_s=2.5, jump=(1.5, -1.0)))
    with open_bag(tmp_path / 'bag') as bag:
        whole = [(m.topic, m.log_ns) for m in bag.messages()]
    drop_metadata(tmp_path / 'bag')
    file = next((tmp_path / 'bag').iterdir())
    data = file.read_bytes()
    file.write_bytes(data[: data.rfind(b'rosbag2')])
    with open_bag(tmp_path / 'bag') as bag:
        assert [(m.topic, m.log_ns) for m in bag.messages()] == whole
        assert any('recorded twice' in problem for problem in bag.problems)


def test_one_topic_after_the_other_is_no_clock_set_back():
    """Some tools write so; only messages of one topic can be compared."""
    times = [(topic, k * 50 * MS) for topic in ('/a', '/b') for k in range(100)]
    assert not Clock(times).told


@pytest.mark.parametrize('back_ns', [BACK_NS, BACK_NS + 1])
def test_messages_may_overtake_each_other_by_a_little(back_ns):
    told = Clock([('/a', 10**9), ('/a', 10**9 - back_ns)]).told
    assert bool(told) == (back_ns > BACK_NS)


def test_three_times_at_once():
    clock = Clock(('/a', second * 10**9) for second in [*range(100, 110), *range(105, 108), *range(102, 120)])
    assert clock.twice == [(102 * 10**9, 109 * 10**9 + BACK_NS)]
    assert [s // 10**9 for s in clock.starts] == [100, 102, 105]
