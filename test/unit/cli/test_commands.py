# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The command line: what it prints, and how it fails."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from dp_ros.cli.main import COMMANDS, main
from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.model.accounting import active_parameters, total_parameters
from dp_ros.policy.checkpoint import (
    load_checkpoint,
    observation_tensors,
    replace_config,
    save_checkpoint,
)
from dp_ros.policy.testing import tiny_checkpoint, tiny_policy

ROOT = Path(__file__).parents[3]
CONTRACT = Contract.from_json(ROOT / 'config' / 'contracts' / 'aloha_transfer_cube.json')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp('checkpoint') / 'tiny', CONTRACT)


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp('store') / 'store'
    with EpisodeStore.create(path, CONTRACT, {'task': 'aloha_transfer_cube'}) as store:
        for _ in range(2):
            store.append(
                Episode.regular(
                    CONTRACT.timing,
                    stamps_ns=np.arange(5, dtype=np.int64) * CONTRACT.timing.period_ns,
                    proprio=np.zeros((5, 14), np.float32),
                    actions=np.full((5, 14), 0.25, np.float32),
                    images={'top': np.zeros((5, 64, 64, 3), np.uint8)},
                )
            )
    return path


@pytest.mark.parametrize('command', sorted(COMMANDS))
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, '--help'])
    assert stop.value.code == 0
    assert command in capsys.readouterr().out


def test_inspect_a_checkpoint_and_whether_it_fits(checkpoint, tmp_path, capsys):
    binding = ROOT / 'config' / 'bindings' / 'aloha_sim.yaml'
    assert main(['inspect', str(checkpoint), '--binding', str(binding)]) == 0
    text = capsys.readouterr().out
    assert CONTRACT.hash[:8] in text
    assert 'golden sample reproduced' in text
    assert 'fits' in text
    other = tmp_path / 'other.yaml'
    other.write_text(
        binding.read_text().replace('left_arm_elbow', 'left_arm_elbw').replace('right_arm_waist', 'waist')
    )
    assert main(['inspect', str(checkpoint), '--binding', str(other)]) == 1
    text = capsys.readouterr().out
    assert "'left_arm_elbow'" in text
    assert "'right_arm_waist'" in text


def test_inspect_a_store_goes_on_past_damage(store, tmp_path, capsys):
    copy = tmp_path / 'store'
    shutil.copytree(store, copy)
    assert main(['inspect', str(copy)]) == 0
    assert '2 readable, 0 damaged' in capsys.readouterr().out
    episode = copy / 'episodes' / '000001.safetensors'
    episode.write_bytes(episode.read_bytes()[:-7])
    assert main(['inspect', str(copy)]) == 1
    text = capsys.readouterr().out
    assert '1 readable, 1 damaged' in text
    assert '000001.safetensors' in text
    assert '+0.2500 to +0.2500 rad' in text


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['inspect', '/nowhere'], '/nowhere: neither a checkpoint'),
        (['rollout', '--checkpoint', '/nowhere'], 'no such checkpoint directory'),
        (['rollout', '--checkpoint', '/nowhere', '--episodes', '0'], '--episodes must be at least 1'),
        (['train', '--experiment', '/nowhere.yaml'], '/nowhere.yaml: cannot be read'),
        (['bench', 'latency', '--checkpoint', '/nowhere', '--ticks', '0'], '--ticks must be at least 1'),
        (['collect', '--task', 'fold_laundry', '--out', '/tmp/unused'], "'aloha_transfer_cube'"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(argv, message, capsys):
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert 'Traceback' not in captured.err


def test_an_unknown_task_is_refused_with_the_legal_ones(checkpoint, capsys):
    assert (
        main(['rollout', '--checkpoint', str(checkpoint), '--task', 'fold_laundry', '--processes', '1']) == 2
    )
    said = capsys.readouterr().err
    assert "unknown task 'fold_laundry'; legal: 'aloha_insertion', 'aloha_transfer_cube'" in said


def test_bench_measures_every_stage(checkpoint, tmp_path, capsys):
    assert (
        main(
            [
                'bench',
                'latency',
                '--checkpoint',
                str(checkpoint),
                '--backend',
                'eager',
                '--ticks',
                '5',
                '--json',
                str(tmp_path / 'b.json'),
            ]
        )
        == 0
    )
    figures = json.loads((tmp_path / 'b.json').read_text())
    (measured,) = figures['backends'].values()
    assert list(measured['stages_ms']) == ['observe', 'encode', 'network', 'decode', 'tick', 'plan', 'total']
    assert all(values['count'] == 5 and values['p50'] > 0 for values in measured['stages_ms'].values())
    assert figures['flop'] > 0
    assert measured['ratio_to_bound'] > 1.0, 'nothing runs faster than its own matrix products and weights'
    assert 'p99' in capsys.readouterr().out


def test_export_and_bench_refuse_what_they_do_not_know(checkpoint, capsys):
    assert main(['export', '--checkpoint', str(checkpoint), '--backend', 'tensorrt']) == 2
    assert 'legal: onnxruntime, openvino' in capsys.readouterr().err
    assert (
        main(['bench', 'latency', '--checkpoint', str(checkpoint), '--backend', 'warp', '--ticks', '1']) == 2
    )
    assert "unknown backend 'warp'; legal: eager, auto, " in capsys.readouterr().err
    assert (
        main(['rollout', '--checkpoint', str(checkpoint), '--processes', '1', '--backend', 'openvino']) == 2
    )
    assert f'make it: dp_ros export --checkpoint {checkpoint} --backend openvino' in capsys.readouterr().err


def test_inspect_says_what_experts_cost_and_where_they_work(tmp_path, capsys):
    policy = tiny_policy(CONTRACT, depth=2, experts=4)
    save_checkpoint(tmp_path / 'moe', policy, observation_tensors(**CONTRACT.example()), '# Untrained\n')
    assert main(['inspect', str(tmp_path / 'moe'), '--plot', str(tmp_path / 'experts.svg')]) == 0
    text = capsys.readouterr().out
    total, active = total_parameters(policy.network), active_parameters(policy.network)
    assert f'{total:,}, of which a token meets {active:,}' in text
    assert 'equal active size' in text
    assert 'loads of layer 1' in text
    cells = [
        rect.get('fill-opacity')
        for rect in ElementTree.parse(tmp_path / 'experts.svg').iter('{http://www.w3.org/2000/svg}rect')
    ]
    weights = np.array(cells, float).reshape(2, 4, -1)  # layers, experts, noise levels
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=2e-3)


def test_inspect_says_what_a_policy_remembers_and_how_its_control_was_chosen(tmp_path, capsys):
    path = tiny_checkpoint(tmp_path / 'tiny', CONTRACT, past_tokens=2)
    config = load_checkpoint(path).config
    choice = {'seeds': [10_000, 10_050], 'candidates': [{}, {'evaluations': 2}]}
    replace_config(path, replace(config, provenance={'control_choice': choice}))
    assert main(['inspect', str(path)]) == 0
    text = capsys.readouterr().out
    assert 'streaming, 1 evaluation(s), start from hold; 0.25 for each executed action' in text
    assert 'chosen among 2 on validation seeds 10000 to 10049' in text
    assert '8 actions that it commanded itself' in text


def test_inspect_has_no_experts_to_plot_in_a_dense_checkpoint(checkpoint, tmp_path, capsys):
    assert main(['inspect', str(checkpoint), '--plot', str(tmp_path / 'none.svg')]) == 2
    assert 'this network has none' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
