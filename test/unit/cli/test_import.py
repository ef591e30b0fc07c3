# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros import`` as a user runs it: whole bags, exit codes, and a store that is never half changed."""

import json

import pytest
import yaml
from bag_maker import Plan, cut, example_binding_data, example_contract, make_bag

from dp_ros.cli.main import main
from dp_ros.data.demonstrations import Demonstrations
from dp_ros.data.episode_store import EpisodeStore


@pytest.fixture
def site(tmp_path):
    """Two bags, a contract and a binding."""
    for seed in range(2):
        make_bag(tmp_path / f'bag{seed}', Plan(seed=seed, duration_s=1.0))
    (tmp_path / 'contract.json').write_text(example_contract().to_json())
    (tmp_path / 'binding.yaml').write_text(yaml.safe_dump(example_binding_data()))
    return tmp_path


def run(site, *bags, options=()):
    args = ['--contract', site / 'contract.json', '--binding', site / 'binding.yaml', '--out', site / 'store']
    return main(['import', *map(str, [*bags, *args, *options])])


def test_bags_become_a_store_that_trains_and_can_be_appended_to(site, capsys):
    assert run(site, site / 'bag0') == 0
    assert run(site, site / 'bag1', options=['--report', site / 'report.json']) == 0
    assert json.loads((site / 'report.json').read_text())['bags'][0]['name'] == 'bag1'
    with EpisodeStore.open(site / 'store') as store:
        assert [source['name'] for source in store.sources] == ['bag0', 'bag1']
        windows = Demonstrations(store.contract, store)
        assert len(windows) == sum(len(episode) for episode in store) > 40
    # Once more: nothing new, and nothing lost.
    assert run(site, site / 'bag0') == 2
    assert 'is in the store already' in capsys.readouterr().err
    assert len(EpisodeStore.open(site / 'store')) == 2


def test_what_cannot_be_read_is_skipped_and_the_rest_goes_on(site, capsys):
    cut(site / 'bag0', 0.7)
    assert run(site, site / 'missing', site / 'bag0', site / 'bag1', options=['--processes', 2]) == 1
    error = capsys.readouterr().err
    assert f'skipped: {site}/missing' in error
    assert 'bag0' in error
    with EpisodeStore.open(site / 'store') as store:
        assert [source['name'] for source in store.sources] == ['bag0', 'bag1']


def test_a_store_of_another_contract_is_refused_and_stays(site, capsys):
    assert run(site, site / 'bag0') == 0
    before = (site / 'store' / 'store.json').read_bytes()
    (site / 'contract.json').write_text(example_contract(pred_horizon=16).to_json())
    assert run(site, site / 'bag1') == 2
    assert "its episodes are of contract 'made'" in capsys.readouterr().err
    assert (site / 'store' / 'store.json').read_bytes() == before
