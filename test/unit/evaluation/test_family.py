# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Ablations: what a file says, and how results become a table and plots."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from dp_ros.errors import ConfigError
from dp_ros.evaluation.choice import Candidate, best
from dp_ros.evaluation.family import Family, changed
from dp_ros.evaluation.family_page import RowResult, markdown, page, plots, recovery_cells
from dp_ros.evaluation.family_plot import SCALE, WIDTH, RatePlot, RatePoint, picture, svg
from dp_ros.evaluation.statistics import paired_difference, wilson_interval
from dp_ros.policy.config import ControlConfig
from dp_ros.share import share_path

TEXT = """
task: toy
experiment: toy
collect: dp_ros collect --task toy
episodes: 4
models:
  plain:
  other: {network: {experts: 4}}
rows:
  - {model: plain}
  - {model: plain, step: 50}
  - {model: plain, step: 20}
  - {model: other, control: {guidance: 1.5, evaluations: 2}, goal: image, phrasing: held_out}
"""


@pytest.fixture
def read(tmp_path):
    def from_text(text):
        path = tmp_path / 'toy.yaml'
        path.write_text(text)
        return Family.from_yaml(path)

    return from_text


def test_rows_are_named_by_what_differs(read):
    family = read(TEXT)
    assert [row.name for row in family.rows] == [
        'plain',
        'plain, step 50',
        'plain, step 20',
        'other, guidance 1.5, evaluations 2, goal image, held out words',
    ]
    assert family.steps_of('plain') == [20, 50]
    assert family.steps_of('other') == []
    assert [row.costs_only for row in family.rows] == [True, False, False, False]
    own = ControlConfig(buffer_start='denoise', evaluations=1)
    assert family.rows[3].control_of(own) == ControlConfig(
        buffer_start='denoise', evaluations=2, guidance=1.5
    )


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('task: toy', 'tusk: toy', r"unknown keys \['tusk'\]"),
        ('episodes: 4', '', r"missing keys \['episodes'\]"),
        ('episodes: 4', 'episodes: 0', 'episodes must be an integer of at least 1'),
        (
            '{model: other, control',
            '{model: odd, control',
            r"rows\[3\].model: no model 'odd'; legal: \['other', 'plain'\]",
        ),
        ('guidance: 1.5', 'guidence: 1.5', r"rows\[3\].control: unknown keys \['guidence'\]"),
        ('guidance: 1.5', 'guidance: -1', 'guidance must be finite and at least 0'),
        ('step: 20', 'step: 50', r"these stand twice: \['plain, step 50'\]"),
    ],
)
def test_what_is_illegal_is_said(read, old, new, message):
    with pytest.raises(ConfigError, match=message):
        read(TEXT.replace(old, new))


def test_changes_are_laid_over_section_by_section():
    data = {'a': 1, 'b': {'c': 2, 'd': {'e': 3}}}
    assert changed(data, {'b': {'d': {'e': 4}}, 'f': 5}) == {'a': 1, 'b': {'c': 2, 'd': {'e': 4}}, 'f': 5}
    assert data['b']['d']['e'] == 3


@pytest.mark.parametrize(
    'path', sorted(share_path('config', 'families').glob('*.yaml')), ids=lambda p: p.stem
)
def test_shipped_families_name_experiments_and_commands_that_exist(path):
    family = Family.from_yaml(path)
    assert share_path('config', 'experiments', f'{family.experiment}.yaml').is_file()
    assert f'--task {family.task}' in family.collect


def result(name, successes, evaluations=1, model='plain'):
    wins = sum(successes)
    figures = {
        'success_rate': wins / len(successes),
        'success_interval': list(wilson_interval(wins, len(successes))),
        'seeds': [{'seed': k, 'success': s, 'max_reward': float(s)} for k, s in enumerate(successes)],
        'latency_ms': {'encode': {'p50': 1.0}, 'network': {'p50': 2.5}},
    }
    return RowResult(
        name,
        model,
        figures,
        evaluations,
        evaluations / 4,
        100,
        {'loss_buffer': 0.25},
        {'total': 1234, 'active': 1000},
    )


def test_the_table_pairs_rows_with_the_first_one_seed_by_seed():
    second = [True, False, True, False, False, False]
    lines = markdown([result('plain', [True] * 6), result('two', second, 2)]).splitlines()
    assert len(lines) == 4
    assert lines[0].count('|') == lines[1].count('|') == lines[2].count('|') == lines[3].count('|')
    assert lines[2].startswith('| plain | 1.000 [0.610, 1.000] |  | 0 / 0, 1 | 6 | 1, 0.25 |')
    value, low, high = paired_difference([True] * 6, second)
    assert f'| {value:+.3f} [{low:+.3f}, {high:+.3f}] | 4 / 0, 0.12 | 6 | 2, 0.50 |' in lines[3]


def disturbed(row, moved, recovered):
    found = {
        'moved': moved,
        'recovered': recovered,
        'interval': list(wilson_interval(recovered, moved)),
        'seconds': {'p50': 1.25, 'p95': 2.0},
    }
    figures = {**row.figures, 'recovery': found}
    return replace(row, name=f'{row.name}, disturbed', figures=figures, in_curve=False)


def test_recovery_stands_beside_the_undisturbed_row_of_its_kind():
    plain, two = result('plain', [True] * 4), result('two', [True, True, False, True])
    rows = [plain, two, disturbed(result('two', [True, False, False, True]), 3, 2)]
    ((name, without, with_it, difference, moved, recovered, seconds),) = recovery_cells(rows)
    assert (name, moved, seconds) == ('two', '3', '1.25, 2.00')
    assert without.startswith('0.750') and with_it.startswith('0.500') and recovered.startswith('0.667')
    value, low, high = paired_difference(two.wins, rows[2].wins)
    assert difference == f'{value:+.3f} [{low:+.3f}, {high:+.3f}]'
    assert '## Recovery after a disturbance' in markdown(rows)
    assert recovery_cells(rows[2:])[0][1] == '', 'without its kind there is nothing to compare with'
    assert {name for plot in plots(rows) for name in plot.curves} == {'plain'}
    assert all(len(points) == 2 for points in plots(rows)[0].curves.values()), (
        'disturbed ones are not in plots'
    )


def test_plots_are_svg_with_a_point_and_an_interval_for_each_row():
    points = [RatePoint(2.0, 1.0, 0.3, 1.0), RatePoint(1.0, 0.5, 0.1, 0.9)]
    plot = RatePlot('x', 'Success <over> it', 'evaluations', {'plain': points, 'b & c': points[:1]})
    drawn = svg(plot)
    root = ElementTree.fromstring(drawn)
    circles = [e for e in root.iter() if e.tag.endswith('circle')]
    assert len(circles) == 3
    heights = [float(c.get('cy')) for c in circles[:2]]
    assert heights[0] > heights[1]  # half is below all
    assert len(re.findall(r'd="M[\d.]+ [\d.]+V', drawn)) == 3


def test_the_picture_has_ink_where_the_points_are():
    plot = RatePlot(
        'x', 'Success', 'steps', {'plain': [RatePoint(5.0, 0.5, 0.4, 0.6), RatePoint(9.0, 1.0, 0.9, 1.0)]}
    )
    image = picture([plot, plot])
    for column in range(2):
        for x, rate in ((5.0, 0.5), (9.0, 1.0)):
            left, top = (round(SCALE * v) for v in plot.place(x, rate))
            assert tuple(image[top, left + column * SCALE * WIDTH]) == (0x0B, 0x6E, 0x99)
    assert (image[-2:] == 255).all()


def test_the_page_holds_every_row_and_is_whole():
    rows = [result('plain', [True, False]), result('a <b>', [True, True], 2)]
    text = page('Toy', 'test seeds', rows)
    assert 'a &lt;b&gt;' in text and 'a <b>' not in text
    assert text.count('<svg') == 2 and text.rstrip().endswith('</html>')
    assert 'src=' not in text and 'href=' not in text


def test_curves_add_rows_that_are_not_there_yet(read):
    family = read(TEXT).with_curve([50, 70])
    assert [row.name for row in family.rows[4:]] == ['plain, step 70', 'other, step 50', 'other, step 70']
    assert family.steps_of('other') == [50, 70]


def test_disturbed_rows_and_choices_are_read(read):
    text = TEXT.replace('{model: plain, step: 20}', '{model: plain, disturb: true}')
    family = read(text + 'choose:\n  plain: {episodes: 3, control: [{sigma_max: 1.0}]}\n')
    assert family.rows[2].name == 'plain, disturbed' and family.rows[2].disturb
    (choice,) = family.choose
    assert (choice.model, choice.episodes, choice.control) == ('plain', 3, ({'sigma_max': 1.0},))


@pytest.mark.parametrize(
    ('choose', 'message'),
    [
        ('[plain]', 'choose must be a mapping of models'),
        ('{odd: {episodes: 3, control: [{}]}}', r"choose.odd: no model 'odd'; legal"),
        ('{plain: {episodes: 0, control: [{}]}}', 'choose.plain: needs episodes'),
        ('{plain: {episodes: 3, control: [{sigma: 1}]}}', r'choose.plain.control\[0\]: unknown keys'),
    ],
)
def test_illegal_choices_are_said(read, choose, message):
    with pytest.raises(ConfigError, match=message):
        read(TEXT + f'choose: {choose}\n')


def candidate(changes, per_action, rate):
    return Candidate(changes, ControlConfig(), per_action, rate, (0.0, 1.0))


def test_the_best_is_the_most_successful_then_the_cheapest_then_the_first():
    ways = [candidate({}, 0.5, 0.8), candidate({'a': 1}, 0.25, 0.9), candidate({'b': 1}, 0.25, 0.9)]
    assert best([*ways, candidate({'c': 1}, 1.0, 0.9)]) is ways[1]
    assert best(ways[:1]) is ways[0]
