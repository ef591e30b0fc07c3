# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The replay report says what the records hold, stands alone, and compares what can be compared."""

import json

import numpy as np
import pytest
from synthetic_replay import EXECUTED, NAMES, PERIOD_NS, ROWS, SCALE, motion, synthetic_replay
from test_report import Page

from dp_ros.errors import ConfigError, StoreError
from dp_ros.evaluation.replay_analysis import analyse, figures
from dp_ros.evaluation.replay_plots import MOST_STRETCHES, stretches
from dp_ros.evaluation.replay_report import analyses_of, render_replay_report, write_replay_report


def off(amount):
    return lambda times: motion(times) + amount * SCALE


def with_samples(record):
    rng = np.random.default_rng(0)
    for n, tick in enumerate(record.ticks):
        tick.full = tick.chunk + 0.01 * SCALE
        if n % 5 == 0:
            tick.spread = tick.chunk + rng.normal(size=(3, *tick.chunk.shape)) * 0.1 * SCALE
    return record


def page_of(*records):
    return Page(render_replay_report(analyses_of(records)))


def test_the_verdict_follows_from_the_table():
    good, bad = synthetic_replay(off(0.05), title='good'), synthetic_replay(off(2.0), title='bad')
    assert analyse(good).verdict[0] is True
    assert analyse(bad).verdict[0] is False
    text = page_of(good, bad).text
    assert 'good : closer to what was commanded than every baseline' in text and ' times as much' in text
    assert 'a baseline is closer to what was commanded: ' in text
    assert '0.050' in text and '2.000' in text


def test_a_policy_that_does_what_a_baseline_does_is_not_called_better():
    record = synthetic_replay(ticks=20)
    record.curves.measured[:] = np.nan  # no velocity is known: both baselines hold
    for tick in record.ticks:
        tick.chunk = np.repeat(tick.measured[None], ROWS, axis=0) * 1.001
    beats, sentence = analyse(record).verdict
    assert beats is None
    assert sentence.startswith('as close to what was commanded as the best baseline (hold position')


def test_every_part_of_the_question_has_its_place():
    page = page_of(with_samples(synthetic_replay(off(0.1))))
    for words in (
        'hold position', 'last velocity', 'full sampling', 'Error along the chunk', 'Joint by joint', 'gripper events',
        'Worst moments', 'Seams', 'Latency of one tick', "newest is N ms old, limit 250 ms", 'no new picture',
        'bag sha256', '3 samples of one observation', 'camera top',
    ):  # fmt: skip
        assert words in page.text, words
    for name in NAMES:
        assert page.text.count(name) >= 3
    assert 'nearest demonstration' not in page.text


def test_the_page_needs_nothing_beside_it_but_the_video():
    text = render_replay_report(analyses_of([synthetic_replay()]), {'exact': 'exact.mp4'})
    page = Page(text)
    links = [(tag, v) for tag, key, v in page.attributes if key in ('src', 'href', 'srcset', 'data')]
    assert {v for tag, v in links if tag == 'a'} == {'exact.mp4'}
    assert all(v.startswith('data:image/jpeg;base64,') for tag, v in links if tag == 'img')
    assert not [tag for tag, _, _ in page.attributes if tag in ('script', 'link', 'iframe')]


def test_data_never_becomes_markup():
    evil = '<script>alert(1)</script>"\''
    record = synthetic_replay(title=evil, bag=evil, provenance={evil: evil})
    record.stale[evil] = 1
    record.joint_names, record.frames = (evil, *record.joint_names[1:]), {evil: record.frames['top']}
    assert '<script' not in render_replay_report(analyses_of([record]))


def test_models_of_the_same_joints_share_one_scale_and_one_set_of_baselines():
    one, two = (
        synthetic_replay(off(0.1), title='one'),
        synthetic_replay(off(0.1), title='two', scale=10 * SCALE),
    )
    first, second = analyses_of([one, two])
    assert first.policy.executed.overall == pytest.approx(second.policy.executed.overall)
    text = render_replay_report([first, second])
    assert text.count('<td class="left">hold position</td>') == 1
    other = synthetic_replay(title='three', ticks=20)
    assert render_replay_report(analyses_of([one, other])).count('<td class="left">hold position</td>') == 2


def test_figures_and_page_are_written_whole_and_agree(tmp_path):
    record = with_samples(synthetic_replay(off(0.1)))
    page = write_replay_report([record], tmp_path / 'out')
    assert sorted(p.name for p in page.parent.iterdir()) == ['replay.html', 'replay.json']
    (model,) = json.loads((tmp_path / 'out' / 'replay.json').read_text())['models']
    rows = {row['name']: row for row in model['predictions']}
    assert list(rows) == ['streaming', 'full sampling', 'hold position', 'last velocity']
    assert rows['streaming']['executed']['normalised_rmse'] == pytest.approx(0.1)
    assert rows['streaming']['executed']['joints']['waist']['mae'] == pytest.approx(0.05)
    assert len(rows['streaming']['normalised_rmse_by_row']) == ROWS
    assert model['ticks'] == 50 and model['executed_rows'] == EXECUTED
    assert model['latency_ms']['network']['mean'] == pytest.approx(2.245)
    assert model['grippers'][0]['recorded'] == 7
    assert f'<b>{rows["streaming"]["executed"]["normalised_rmse"]:.3f}</b>' in page.read_text()
    (tmp_path / 'file').write_text('')
    with pytest.raises(StoreError, match='cannot write'):
        write_replay_report([record], tmp_path / 'file' / 'out')
    with pytest.raises(ConfigError, match='at least one'):
        write_replay_report([], tmp_path)


def test_a_replay_without_a_tick_still_makes_a_page_and_json():
    record = synthetic_replay(ticks=0)
    assert 'no tick was made' in page_of(record).text
    json.dumps(figures(analyse(record)), allow_nan=False)


def test_a_replay_without_anything_to_compare_with_still_makes_a_page():
    record = synthetic_replay(ticks=5)
    for tick in record.ticks:
        tick.known[:] = False
    assert 'nothing was commanded' in page_of(record).text


def test_a_long_replay_shows_the_worst_stretches_in_their_order():
    record = synthetic_replay(ticks=1500)
    for n in (10, 400, 700, 1000, 1400):
        record.ticks[n].chunk = record.ticks[n].chunk + SCALE
    found = stretches(analyse(record))
    assert found.count == 12
    assert len(found.shown) == MOST_STRETCHES
    starts = [s.start_ns for s in found.shown]
    assert starts == sorted(starts)
    assert all(s.error > 0 for s in found.shown)
    assert all(s.stop_ns - s.start_ns <= 20_000_000_000 + ROWS * PERIOD_NS for s in found.shown)
