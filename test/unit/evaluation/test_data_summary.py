# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Many episodes: their figures are those of all samples together, and few of them are kept."""

import numpy as np
import pytest
from bag_maker import example_contract

from dp_ros.bags.time_statistics import TimeStatistics
from dp_ros.data.episode import Episode
from dp_ros.data.episode_facts import episode_facts, statistics
from dp_ros.evaluation.data_summary import MOST_EXAMPLES, MOST_PICTURED, MOST_ROWS, DataSummary, Moments

CONTRACT = example_contract()
BOUNDS = {'left_j1': (-0.3, 0.3), 'left_j2': (-3.0, 3.0), 'left_finger': (-0.1, 0.1)}


def facts_of(seconds=4.0, still_s=0.0, scale=0.2, lag_s=0.05, pixels=None, gap=False):
    """Of an episode of 25 Hz that stands still, then swings."""
    rng = np.random.default_rng(0)
    times = np.arange(0, seconds, 0.04)
    times = np.delete(times, slice(40, 50)) if gap else times

    def way(t):
        return (scale * np.sin(3 * np.maximum(t - still_s, 0)))[:, None] * [1.0, 1.0, 0.1]

    images = rng.integers(0, 256, (1, 12, 16, 3), dtype=np.uint8) if pixels is None else pixels
    command_s = np.arange(0, seconds, 0.005)
    episode = Episode(
        stamps_ns=np.rint(times * 1e9).astype(np.int64),
        proprio=np.repeat(way(times - lag_s)[:, None], 2, axis=1).astype(np.float32),
        images={'top': images},
        image_index={'top': np.zeros((len(times), 2), np.int32)},
        command_stamps_ns=np.rint(command_s * 1e9).astype(np.int64),
        commands=way(command_s).astype(np.float32),
    )
    episode.check(CONTRACT, 'made')
    head = {'outcome': 'success', 'observations': len(times), 'seconds': seconds, 'rate_hz': 25.0}
    return {**head, **episode_facts(episode, CONTRACT, BOUNDS, pictures=True)}


def test_moments_of_parts_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    values = rng.normal(3.0, 2.0, 1000) + np.repeat([0.0, 5.0], 500)
    moments = Moments()
    for part in np.split(values, [1, 40, 500, 900]):
        moments.add(statistics(part, (-1.0, 9.0)))
    moments.add({'count': 0})
    whole = statistics(values, (-1.0, 9.0))
    assert moments.figures() == pytest.approx(whole, abs=1e-5)


def test_a_plain_episode_shows_nothing_odd():
    summary = DataSummary(CONTRACT)
    summary.add('bag 0', facts_of())
    assert summary.findings() == []
    assert summary.odd == 0
    assert summary.totals()['joints'][0]['median_lag_ms'] == pytest.approx(50, abs=5)


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        ({'still_s': 1.5}, 'at the beginning'),
        ({'still_s': 2.5}, 'more than 50 % of the time'),
        ({'scale': 0.4}, 'left_j1, commanded: outside of its limits -0.3 to 0.3 rad'),
        ({'lag_s': -0.06}, 'left_j1 moves before it is commanded'),
        ({'lag_s': 0.4}, 'left_j1 follows its command by more than 300 ms'),
        ({'gap': True}, 'no observation for more than 250 ms'),
        ({'seconds': 0.3}, 'shorter than one chunk, 0.4 s'),
        ({'pixels': np.full((1, 12, 16, 3), 7, np.uint8)}, 'camera top: three pictures without contrast'),
    ],
)
def test_what_is_odd_is_told(change, told):
    summary = DataSummary(CONTRACT)
    summary.add('bag 0', facts_of())
    summary.add('bag 1', facts_of(**change))
    found = [finding for finding in summary.findings() if told in finding.what]
    assert [(finding.count, finding.examples) for finding in found] == [(1, ['bag 1'])]
    assert summary.rows[0]['label'] == 'bag 1', 'odd ones stand first'


def test_a_slow_sensor_is_told_and_a_slow_command_is_not():
    summary, slow = DataSummary(CONTRACT), TimeStatistics()
    slow.add(np.arange(50) * 100_000_000)
    summary.add_streams({'/camera': ('top', slow), '/command': ('command', slow)})
    assert [f.what for f in summary.findings()] == ['/camera (top) comes less often than the period, 20 Hz']
    assert summary.totals()['streams']['/camera']['rate_hz'] == pytest.approx(10)


def test_of_many_episodes_few_are_kept():
    summary = DataSummary(CONTRACT)
    plain, odd = facts_of(), facts_of(still_s=1.5)
    for i in range(600):
        summary.add(f'bag {i}', odd if i % 2 else plain)
    assert (summary.episodes, summary.odd) == (600, 300)
    assert len(summary.rows) == MOST_ROWS
    assert all(row['told'] for row in summary.rows)
    assert len(summary.pictured) == MOST_PICTURED
    assert sum(bool(row['pictures']) for kept in summary._kept.values() for row in kept) <= 2 * MOST_PICTURED
    assert [len(f.examples) for f in summary.findings()] == [MOST_EXAMPLES]
