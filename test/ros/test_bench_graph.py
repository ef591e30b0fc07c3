# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""`dp_ros bench graph` in small: real nodes, two cameras, and figures that fit together."""

import json
from xml.etree import ElementTree

import pytest

from dp_ros.cli.main import main


@pytest.fixture(scope='module')
def bench(tmp_path_factory):
    out = tmp_path_factory.mktemp('graph')
    options = ['--tick-hz', '10', '--minutes', '0.05', '--warm-up', '0.5', '--out', str(out)]
    code = main(['bench', 'graph', *options, '--json', str(out / 'a.json'), '--plot', str(out / 'a.svg')])
    return code, json.loads((out / 'a.json').read_text()), out


def test_ticks_go_through_the_graph_and_their_times_add_up(bench):
    _, figures, _ = bench
    (row,) = figures['runs']
    assert row['ticks'] >= 5
    ms = row['ms']
    assert ms['stamp to chunk']['p50'] > ms['tick (encode, network)']['p50'] > 0.0
    assert ms['stamp to controller']['p50'] > ms['stamp to chunk']['p50']
    assert ms['added']['p50'] > 0.0
    assert {'policy_node: queue', 'policy_node: observe', 'policy_node: publish'} <= set(ms)


def test_the_exit_code_says_whether_every_tick_came_in_time(bench):
    code, figures, _ = bench
    (row,) = figures['runs']
    assert code == int(bool(row['late'] or row['skipped'] or not row['state'].startswith('RUN')))


def test_every_node_is_weighed_and_ends_cleanly(bench):
    _, figures, _ = bench
    (row,) = figures['runs']
    assert set(row['processes']) == {'policy_node', 'action_node', 'graph_robot'}
    assert all(use['rss_end_mib'] > 10.0 and use['threads'] > 1 for use in row['processes'].values())
    assert row['exit_codes'] == {'policy_node': 0, 'action_node': 0}


def test_the_plot_is_well_formed(bench):
    assert ElementTree.parse(bench[2] / 'a.svg').getroot().tag.endswith('svg')


def test_an_illegal_processor_ends_the_run_with_the_node_s_own_words(tmp_path, capsys):
    options = ['--out', str(tmp_path), '--set', 'action_node.cpus="9999"']
    assert main(['bench', 'graph', *options]) == 1
    assert 'this process may not run on [9999]; legal:' in capsys.readouterr().out
