# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""`dp_ros bench peers`: what it says without the peers, and what it measures of ours."""

import json
from pathlib import Path

import pytest

from dp_ros.cli.bench_peers import ratios
from dp_ros.cli.main import main
from dp_ros.evaluation.peers import ROWS

SHIPPED = Path(__file__).parents[3] / 'checkpoints' / 'aloha_transfer_cube'


def test_without_the_peers_it_says_how_to_get_them(tmp_path, capsys):
    assert main(['bench', 'peers', '--python', str(tmp_path / 'python')]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / 'python') in said
    assert 'bench/peers/setup.sh' in said


def test_ours_alone_need_no_peers(tmp_path, capsys):
    out = tmp_path / 'peers.json'
    argv = ['--rows', 'shipped', '--python', str(tmp_path / 'python'), '--rounds', '2', '--seconds', '0.02']
    assert main(['bench', 'peers', '--checkpoint', str(SHIPPED), *argv, '--json', str(out)]) == 0
    (row,) = json.loads(out.read_text())['rows']
    assert row['replans'] == 4
    assert 0 < row['ms']['least'] <= row['ms']['p50'] <= row['ms']['p95']
    assert row['parameters'] == pytest.approx(3.0e6, rel=0.05)
    assert (row['cameras'], row['size'], row['backend']) == (1, [64, 64], 'eager')
    assert 'dp_ros, the shipped policy' in capsys.readouterr().out


def test_a_process_that_ends_is_named(tmp_path, capsys):
    assert main(['bench', 'peers', '--rows', 'shipped', '--checkpoint', str(tmp_path)]) == 2
    assert "'shipped' ended" in capsys.readouterr().err


def test_ratios_are_of_medians_and_only_of_what_was_measured():
    rows = [{'key': 'ours-1', 'ms': {'p50': 4.0}}, {'key': 'act-1', 'ms': {'p50': 80.0}}]
    assert ratios(rows) == [{'ours': 'ours-1', 'theirs': 'act-1', 'times': 20.0, 'target': 16}]


def test_rows_have_keys_of_their_own():
    assert len({row.key for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--threads', '0'], '--threads must be at least 1'),
        (['--rounds', '0'], '--rounds must be at least 1'),
        (['--seconds', '0'], '--seconds must be more than 0'),
        (['--plot', 'peers.png'], '--plot must be a .svg file'),
    ],
)
def test_bad_options_are_one_message(argv, message, capsys):
    assert main(['bench', 'peers', *argv]) == 2
    assert message in capsys.readouterr().err
