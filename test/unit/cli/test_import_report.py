# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The report of an import, as a user gets it: JSON as before and more, and a page that stands alone."""

import json
from dataclasses import replace

import pytest
import yaml
from bag_maker import JOINTS, Plan, example_binding_data, example_contract, make_bag
from bag_messages import STORE

from dp_ros.cli.main import main


@pytest.fixture
def site(tmp_path):
    """Two bags with the same messages, differently stored, and one of its own; the limits of one joint are narrow."""
    plan = Plan(duration_s=1.5)
    make_bag(tmp_path / 'one', plan)
    make_bag(tmp_path / 'copy', replace(plan, storage='sqlite3', compression='message'))
    make_bag(tmp_path / 'a <b> & c', replace(plan, seed=5, start_ns=plan.start_ns + 10**12))
    binding = example_binding_data()
    binding['arms']['left']['joints']['left_j1']['position'] = [-0.2, 0.2]
    (tmp_path / 'contract.json').write_text(example_contract().to_json())
    (tmp_path / 'binding.yaml').write_text(yaml.safe_dump(binding))
    return tmp_path


def run(site, *bags, report):
    args = ['--contract', site / 'contract.json', '--binding', site / 'binding.yaml', '--out', site / 'store']
    return main(['import', *map(str, [*(site / bag for bag in bags), *args, '--report', site / report])])


def test_the_json_holds_what_it_held_and_the_figures(site):
    assert run(site, 'one', 'copy', 'missing', report='report.json') == 1
    assert not (site / 'report.html').exists()
    data = json.loads((site / 'report.json').read_text())
    assert [bag['name'] for bag in data['bags']] == ['one', 'copy']
    assert {'path', 'name', 'sha256', 'episodes', 'notes', 'counters', 'bytes', 'wall_s'} <= set(
        data['bags'][0]
    )
    (episode,) = data['bags'][0]['episodes']
    assert {'bag', 'index', 'outcome', 'observations', 'seconds', 'rate_hz', 'instruction'} <= set(episode)
    assert len(data['skipped']) == 1
    streams = data['bags'][0]['streams']
    assert {topic: s['field'] for topic, s in streams.items()} == {
        '/top/image_raw': 'top',
        '/joint_states': 'joints',
        '/arm_controller/joint_trajectory': 'command',
    }
    assert streams['/joint_states']['rate_hz'] == pytest.approx(200, rel=0.02)
    assert streams == episode['streams'], 'one episode is all of the bag'
    assert [joint['name'] for joint in episode['joints']] == list(JOINTS)
    assert 'pictures' not in episode['cameras']['top'], 'pictures are for the page'
    (pair,) = data['duplicates']['episodes']
    assert pair['equal'] and pair['first'].startswith('one 0') and pair['second'].startswith('copy 0')
    assert any('left_j1, measured: outside of its limits' in f['what'] for f in data['findings'])
    assert data['totals']['episodes'] == 2


def test_a_folder_gets_both_and_older_bags_count_as_duplicates(site, capsys):
    assert run(site, 'one', report='first.html') == 0
    assert (site / 'first.html').exists() and not (site / 'first.json').exists()
    assert run(site, 'one', 'copy', report='out/import') == 1
    assert f'report: {site}/out/import/report.html, {site}/out/import/report.json' in capsys.readouterr().out
    data = json.loads((site / 'out' / 'import' / 'report.json').read_text())
    assert len(data['duplicates']['bags']) == 1
    (pair,) = data['duplicates']['episodes']
    assert pair['first'] == '000000.safetensors, in the store before'


def test_the_page_stands_alone_and_names_are_no_markup(site):
    assert run(site, 'one', 'a <b> & c', report='report') == 0
    text = (site / 'report' / 'report.html').read_text()
    assert '<script' not in text and 'http' not in text and '<link' not in text
    assert 'a &lt;b&gt; &amp; c' in text and 'a <b>' not in text
    assert text.count('data:image/jpeg;base64,') == 6
    assert 'left_j1, measured: outside of its limits -0.2 to 0.2 rad' in text


def test_an_import_of_nothing_has_a_report_too(site):
    assert run(site, 'missing', report='report') == 2
    assert json.loads((site / 'report' / 'report.json').read_text())['bags'] == []
    assert 'does not exist' in (site / 'report' / 'report.html').read_text()


def test_limits_come_from_the_robot_description_in_the_bag(site):
    joint = '<joint name="{}" type="revolute"><parent link="a{}"/><child link="a{}"/>' + (
        '<limit lower="-0.3" upper="0.3" velocity="1" effort="1"/></joint>'
    )
    links = ''.join(f'<link name="a{i}"/>' for i in range(4))
    urdf = (
        f'<robot name="r">{links}{"".join(joint.format(n, i, i + 1) for i, n in enumerate(JOINTS))}</robot>'
    )
    plan = Plan(duration_s=1.0)
    description = STORE.types['std_msgs/msg/String'](data=urdf)
    extra = [('/robot_description', 'std_msgs/msg/String', plan.start_ns, description)]
    make_bag(site / 'described', replace(plan, extra=extra))
    binding = yaml.safe_load((site / 'binding.yaml').read_text())
    binding['robot_description'] = '/robot_description'
    del binding['arms']['left']['joints']['left_j1']['position']
    (site / 'binding.yaml').write_text(yaml.safe_dump(binding))
    assert run(site, 'described', report='report.json') == 0
    (episode,) = json.loads((site / 'report.json').read_text())['bags'][0]['episodes']
    assert [joint['limits'] for joint in episode['joints']] == [[-0.3, 0.3], [-3.0, 3.0], [-0.1, 0.1]]
