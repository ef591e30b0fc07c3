# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Times of ticks through the graph: from made-up publications with known answers."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from dp_ros.errors import ConfigError
from dp_ros.evaluation.graph_plot import write_plot
from dp_ros.evaluation.graph_timing import graph_figures, ticks_of
from dp_ros.policy.due import DueRule

MS = 1_000_000
STAGES = {'queue': 1.0, 'encode': 4.0, 'network': 3.0}


def made_record(stamps_ms, chunk_ms=12, window_ms=15, clock_offset_ms=None):
    """Chunks ``chunk_ms`` after their pictures, windows ``window_ms``; the right arm's come first."""
    shift = 0 if clock_offset_ms is None else clock_offset_ms
    chunks = [((t - shift) * MS, (t + chunk_ms) * MS, f'id{t}') for t in stamps_ms]
    return {
        'chunks': chunks,
        'stages': [((t + chunk_ms) * MS + 1000, dict(STAGES)) for t in stamps_ms],
        'windows': {
            'left': {f'id{t}': (t + window_ms) * MS for t in stamps_ms},
            'right': {f'id{t}': (t + window_ms - 1) * MS for t in stamps_ms},
        },
        'clock': [] if clock_offset_ms is None else [((t - shift) * MS, t * MS) for t in stamps_ms],
    }


def test_added_is_the_way_to_the_last_controller_less_encoders_and_network():
    figures = graph_figures(ticks_of(made_record(range(1000, 2000, 50))), 50 * MS)
    assert figures['ms']['stamp to controller']['p50'] == pytest.approx(15.0)
    assert figures['ms']['tick (encode, network)']['p99'] == pytest.approx(7.0)
    assert figures['ms']['added']['p50'] == pytest.approx(8.0)
    assert figures['ms']['stamp to chunk']['largest'] == pytest.approx(12.0)
    assert figures['ms']['policy_node: queue']['p95'] == pytest.approx(1.0)
    assert (figures['late'], figures['skipped'], figures['unfollowed']) == (0, 0, 0)
    assert figures['rate_hz'] == pytest.approx(20.0)


def test_what_the_cameras_take_to_send_is_told_where_they_say_it():
    stamps = range(1000, 2000, 50)
    record = made_record(stamps)
    assert 'stamp to pictures sent' not in graph_figures(ticks_of(record), 50 * MS)['ms']
    record['pictures'] = [(t * MS, (t + 2) * MS) for t in range(1000, 2000, 25)]
    sent = graph_figures(ticks_of(record), 50 * MS)['ms']['stamp to pictures sent']
    assert (sent['count'], sent['p50']) == (len(stamps), pytest.approx(2.0))


def test_simulated_stamps_count_from_when_the_clock_said_them():
    stamps = range(1000, 2000, 50)
    simulated = ticks_of(made_record(stamps, clock_offset_ms=700))
    assert simulated == ticks_of(made_record(stamps))


def test_a_chunk_of_before_the_record_is_left_out_and_one_of_no_clock_is_refused():
    record = made_record([1000, 1050, 1100], clock_offset_ms=700)
    record['clock'] = record['clock'][1:]
    assert [tick.stamp_ns for tick in ticks_of(record)] == [1050 * MS, 1100 * MS]
    record['clock'] = record['clock'][:1]
    with pytest.raises(ConfigError, match='/clock never said'):
        ticks_of(record)


def test_late_skipped_and_unfollowed_ticks_are_counted():
    record = made_record([1000, 1050, 1200, 1250])
    record['chunks'][1] = (1050 * MS, 1101 * MS, 'id1050')
    record['stages'][1] = (1101 * MS + 1, STAGES)
    del record['windows']['right']['id1200']
    figures = graph_figures(ticks_of(record), 50 * MS)
    assert (figures['late'], figures['skipped'], figures['unfollowed']) == (1, 2, 1)
    assert figures['ms']['stamp to controller']['count'] == 3


def test_a_run_without_any_chunk_has_figures_too():
    ticks = ticks_of(made_record([]))
    assert ticks == []
    assert graph_figures(ticks, 50 * MS)['ticks'] == 0


def test_a_chunk_whose_stages_got_lost_does_not_take_those_of_the_next():
    record = made_record([1000, 1050])
    record['stages'] = record['stages'][1:]
    assert [tick.stamp_ns for tick in ticks_of(record)] == [1050 * MS]


@pytest.mark.parametrize('tick_hz', [5, 6.25, 10, 15, 20, 25, 30, 50])
@pytest.mark.parametrize('camera_hz', [25, 30, 60])
def test_the_spacing_is_what_the_policy_s_rule_makes_of_the_pictures(tick_hz, camera_hz):
    tick, camera = round(1e9 / tick_hz), round(1e9 / camera_hz)
    rule, taken = DueRule(tick, tick // 4), []
    for stamp in range(camera, 200 * camera, camera):
        if rule.is_due(stamp):
            rule.taken(stamp)
            taken.append(stamp)
    assert {b - a for a, b in pairwise(taken)} == {rule.spacing_ns(camera)}


def test_the_plot_has_a_panel_for_each_run_and_bears_ticks_without_windows(tmp_path):
    series = {'seconds': [0.0, 0.1, 0.2], 'stamp to controller': [9.0, None, 8.0], 'tick': [5.0, 5.0, 5.0]}
    row = {'expected_hz': 10.0, 'load': 0, 'series': series}
    empty = {**row, 'series': {key: [] for key in series}}
    write_plot(tmp_path / 'plot.svg', [row, empty, row])
    root = ElementTree.parse(tmp_path / 'plot.svg').getroot()
    assert sum(element.get('role') == 'img' for element in root.iter()) == 2
