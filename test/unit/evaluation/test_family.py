# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Ablations: what a file says, and how results become a table and plots."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from dp_ros.errors import ConfigError
from dp_ros.evaluation.family import Family, changed
from dp_ros.evaluation.family_page import RowResult, markdown, rate_plot
from dp_ros.evaluation.statistics import wilson_interval
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
    table = markdown(
        [result('plain', [True] * 6), result('two', [True, False, True, False, False, False], 2)]
    )
    lines = table.splitlines()
    assert len(lines) == 4
    assert (
        lines[2]
        == '| plain | 1.000 [0.610, 1.000] | 6 | 1.000 | 1, 0.25 | 100 | 0.2500 | 1,234, 1,000 | 3.5 | 0 / 0, 1 |'
    )
    assert '| 4 / 0, 0.12 |' in lines[3]


def test_plots_are_svg_with_a_point_and_an_interval_for_each_row():
    first, second = result('plain', [True, False]), result('two', [True, True], 2)
    svg = rate_plot(
        'Success <over> it', 'evaluations', {'plain': [(2.0, second), (1.0, first)], 'b & c': [(1.0, first)]}
    )
    root = ElementTree.fromstring(svg)
    circles = [e for e in root.iter() if e.tag.endswith('circle')]
    assert len(circles) == 3
    heights = [float(c.get('cy')) for c in circles[:2]]
    assert heights[0] > heights[1]  # half is below all
    assert len(re.findall(r'd="M[\d.]+ [\d.]+V', svg)) == 3
