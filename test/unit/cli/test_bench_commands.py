# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""`dp_ros bench` hands over to one module per bench."""

import importlib.util

import pytest

from dp_ros.cli.bench import BENCHES
from dp_ros.cli.main import main


def test_bench_lists_its_benches(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['bench', '--help'])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(name in out for name in BENCHES)


@pytest.mark.parametrize('name', [n for n in BENCHES if importlib.util.find_spec(f'dp_ros.cli.bench_{n}')])
def test_every_bench_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main(['bench', name, '--help'])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert f'dp_ros bench {name}' in out
    assert '--json' in out


@pytest.mark.parametrize('argv', [['bench'], ['bench', 'nothing'], ['bench', 'motion', '--nonsense', '1']])
def test_what_is_no_bench_is_refused(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert 'usage: dp_ros bench' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--seeds', '0'], '--seeds must be at least 1'),
        (['--seed', '-1'], '--seed must be at least 0'),
        (['--seconds', '1'], '--seconds must be at least 3'),
        (['--plot', 'motion.svg'], '--plot must be a .png file'),
    ],
)
def test_bad_options_of_motion_are_one_message(argv, message, capsys):
    assert main(['bench', 'motion', *argv]) == 2
    assert message in capsys.readouterr().err
