# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The bounds of `dp_ros bench motion` on short runs, and that every one of them can be missed."""

import copy
import json

import cv2
import numpy as np
import pytest

from dp_ros.cli.main import main
from dp_ros.errors import ConfigError
from dp_ros.evaluation.motion_bench import FOLLOW, JUMP, RULES, SHOWN_RULES, bench, misses, worst
from dp_ros.evaluation.motion_plot import write_plot
from dp_ros.evaluation.motion_recipes import recipe
from dp_ros.evaluation.motion_run import drive, measure
from dp_ros.evaluation.motion_streams import (
    EXACT,
    MOTION_NS,
    MS,
    ROUGH,
    START_NS,
    Disturbance,
    Setting,
    intended,
    window_stream,
)

SHORT = Setting(duration_ns=2_400 * MS)
LEGAL = SHORT.acceleration * (1 + 1e-6)


@pytest.fixture(scope='module')
def agreeing():
    return window_stream(SHORT, ROUGH, 2, 3, Disturbance())


@pytest.fixture(scope='module')
def disagreeing():
    return window_stream(SHORT, ROUGH, 1, 3, Disturbance(0.05))


@pytest.fixture(scope='module')
def figures():
    return bench(SHORT, [1], ways=())


def test_the_intended_motion_has_the_derivatives_that_it_says():
    t = MOTION_NS + np.arange(0, 4_000 * MS, MS, dtype=np.int64)
    p, v, a = intended(t, 2)
    np.testing.assert_allclose(np.gradient(p, 1e-3, axis=0)[1:-1], v[1:-1], atol=1e-5)
    np.testing.assert_allclose(np.gradient(v, 1e-3, axis=0)[1:-1], a[1:-1], atol=1e-3)
    assert not np.any(intended(START_NS, 2))


@pytest.mark.parametrize('transport', [ROUGH, EXACT], ids=['rough', 'exact'])
def test_a_transport_keeps_order_and_its_own_bounds(transport):
    rng = np.random.default_rng(0)
    published = transport.published(rng, 0, 20_000 * MS, 20 * MS)
    arrivals = transport.arrivals(rng, published)
    assert arrivals == sorted(arrivals)
    grid = np.arange(len(published)) * 20 * MS
    assert np.max(np.abs(np.array(published) - grid)) <= transport.jitter_ns
    late = np.array(arrivals) - published
    assert late.min() >= 0
    # Waiting for the one before adds nothing beyond the longest delay and the jitter.
    assert late.max() <= transport.delay_ns + 2 * transport.jitter_ns
    if transport is ROUGH:
        assert late.max() > 20 * MS


@pytest.mark.parametrize('name', RULES)
def test_controllers_follow_our_windows_exactly(name, agreeing):
    run = drive(SHORT, RULES[name], agreeing)
    got = measure(SHORT, run, agreeing)
    assert got['refused'] == 0
    assert got['follow'] < FOLLOW
    assert got['apart'] < FOLLOW
    assert got['peak_v'] == pytest.approx(got['curve_v'], rel=0.01)
    assert got['peak_a'] == pytest.approx(got['curve_a'], rel=0.01)
    assert got['jump'] < JUMP
    assert got['curve_v'] > 0.5, 'the arm moves'


@pytest.mark.parametrize('name', RULES)
def test_chunks_that_disagree_leave_no_step_of_velocity_and_keep_the_acceleration(name, disagreeing):
    got = measure(SHORT, drive(SHORT, RULES[name], disagreeing), disagreeing)
    assert got['seam_asked'] > 0.045, 'the chunks do disagree where they are joined'
    assert got['seam_v'] < JUMP
    assert got['jump'] < JUMP
    assert got['peak_a'] <= LEGAL
    assert got['follow'] < FOLLOW


def test_master_as_installed_is_not_followed_and_the_table_says_so(agreeing):
    got = measure(SHORT, drive(SHORT, SHOWN_RULES['master, as installed'], agreeing), agreeing)
    assert got['peak_v'] > 5.0


@pytest.mark.parametrize(
    ('key', 'least'), [('point-now', 1e4), ('point-next', 1e4), ('chunk-velocities', 5e3)]
)
def test_the_recipes_of_others_step(key, least):
    way = recipe(key)
    stream = way.stream(SHORT, EXACT, 1, 0, Disturbance())
    assert measure(SHORT, drive(SHORT, RULES['jazzy'], stream, way.forward), stream)['peak_a'] > least


def test_a_publisher_that_dies_leaves_a_brake_and_without_a_tail_a_step():
    peaks = {}
    for tail in ('brake', 'none'):
        stream = window_stream(SHORT, ROUGH, 1, 5, Disturbance(quiet_ns=START_NS + 1_900 * MS, tail=tail))
        run = drive(SHORT, RULES['humble'], stream)
        peaks[tail] = measure(SHORT, run, stream)['peak_a']
        assert not np.any(np.diff(run.commands[-10:], axis=0))
    assert peaks['brake'] <= LEGAL
    assert peaks['none'] > 50.0


def test_an_exhausted_window_needs_the_resynchronisation():
    peaks = {}
    for resync in (True, False):
        fault = Disturbance(quiet_ns=START_NS + 1_500 * MS, back_ns=START_NS + 2_000 * MS, resync=resync)
        stream = window_stream(SHORT, ROUGH, 1, 5, fault)
        peaks[resync] = measure(SHORT, drive(SHORT, RULES['jazzy'], stream), stream)['peak_a']
    assert peaks[True] <= LEGAL
    assert peaks[False] > 1e4


def test_a_step_at_a_knot_is_seen_by_the_measure(agreeing):
    run = drive(SHORT, RULES['jazzy'], agreeing)
    broken = copy.deepcopy(run)
    late = broken.times_ns > START_NS + 1_800 * MS
    broken.commands[late] += 1e-3 * (broken.times_ns[late] - START_NS - 1_800 * MS)[:, None] * 1e-9
    assert measure(SHORT, run, agreeing)['jump'] < JUMP
    assert measure(SHORT, broken, agreeing)['jump'] == pytest.approx(1e-3, rel=1e-3)


def test_all_bounds_hold_and_the_figures_follow_from_the_seed(figures):
    assert figures['misses'] == []
    assert json.loads(json.dumps(figures))['seeds'] == [1]
    again = measure(SHORT, *driven(1))
    assert again == measure(SHORT, *driven(1))
    assert again != measure(SHORT, *driven(2))


def driven(seed):
    stream = window_stream(SHORT, ROUGH, 1, seed, Disturbance(0.05))
    return drive(SHORT, RULES['humble'], stream), stream


@pytest.mark.parametrize(
    ('table', 'key', 'value'),
    [
        ('follow', 'ratio_v', 1.02),
        ('follow', 'ratio_a', 0.98),
        ('follow', 'ratio_a', float('nan')),
        ('follow', 'jump', 1e-5),
        ('disagree', 'peak_a', 6.1),
        ('disagree', 'seam_v', 2e-6),
        ('disagree', 'apart', 1e-3),
        ('stop', 'stop_s', 0.5),
        ('stop', 'peak_a', 6.1),
        ('resync', 'peak_a', 6.1),
    ],
)
def test_every_bound_can_be_missed(figures, table, key, value):
    tables = {name: copy.deepcopy(figures[name]) for name in ('follow', 'disagree', 'stop', 'resync')}
    row = next(r for r in tables[table] if r.get('recipe', 'window') == 'window')
    row[key] = value
    found = misses(SHORT, 'window', **tables)
    assert len(found) == 1
    assert found[0].startswith(table)


def test_a_recipe_that_steps_is_a_miss_and_an_exit_code(tmp_path, capsys):
    path = tmp_path / 'motion.json'
    argv = [
        'bench',
        'motion',
        '--seeds',
        '1',
        '--seconds',
        '3',
        '--alone',
        '--judge',
        'point-now',
        '--json',
        str(path),
    ]
    assert main(argv) == 1
    out = capsys.readouterr().out
    assert "bounds missed by 'one point, time 0'" in out
    assert 'follow point-now' in out and 'disagree point-now' in out
    assert all('point-now' in line for line in json.loads(path.read_text())['misses'])


def test_the_command_draws_a_picture(tmp_path):
    path = tmp_path / 'motion.png'
    write_plot(path, Setting(duration_ns=3_800 * MS), 0)
    image = cv2.imread(str(path))
    assert image.shape[1] == 1000
    assert path.stat().st_size < 150_000
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20


def test_unknown_recipes_and_no_seeds_are_refused():
    with pytest.raises(ConfigError, match='unknown recipe'):
        bench(SHORT, [0], 'nothing')
    with pytest.raises(ConfigError, match='seed'):
        bench(SHORT, [])


@pytest.mark.parametrize('where', [0, 1, 2])
def test_the_worst_of_the_seeds_keeps_what_is_not_a_number(where):
    rows = [{'peak_v': 1.0, 'curve_v': 1.0, 'peak_a': x, 'curve_a': 2.0} for x in (2.0, 1.0, 2.5)]
    assert worst(rows) == {
        'peak_v': 1.0,
        'curve_v': 1.0,
        'peak_a': 2.5,
        'curve_a': 2.0,
        'ratio_v': 1.0,
        'ratio_a': 0.5,
    }
    rows[where]['peak_a'] = float('nan')
    assert np.isnan(worst(rows)['peak_a']) and np.isnan(worst(rows)['ratio_a'])
