# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Faults through the real action_node: a handful of each kind, and the whole matrix where there is time for it."""

import argparse

import pytest

from dp_ros.cli.bench_faults import add_arguments, matrix, run
from dp_ros.share import share_path
from dp_ros.simulation.fault_files import load_faults

FEW = {
    'two': (
        'chunks_permuted',
        'chunks_nan',
        'joints_one_arm_missing',
        'joint_blocked',
        'estop',
        'start_far_away',
    ),
    'one': ('chunks_seam_jump', 'joints_dropped', 'clock_jumps_back', 'clock_frozen'),
}


@pytest.mark.parametrize('arms', FEW)
def test_a_few_faults_end_as_their_files_say(arms, tmp_path):
    specs = load_faults(only=list(FEW[arms]))
    rows = list(matrix(specs, share_path('config', 'faults'), tmp_path, arms, seed=7))
    assert {row.fault for row in rows} == set(FEW[arms])
    assert {row.fault: row.problems for row in rows if not row.ok} == {}


def test_the_command_fails_where_a_fault_does_not_end_as_its_file_says(tmp_path, capsys):
    text = share_path('config', 'faults', 'chunks_duplicated.yaml').read_text()
    (tmp_path / 'chunks_duplicated.yaml').write_text(text.replace("'^RUN'", "'^FAULT'"))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = ['--faults', str(tmp_path), '--arms', 'one', '--json', str(tmp_path / 'rows.json')]
    assert run(parser.parse_args(options)) == 1
    assert "does not match '^FAULT'" in capsys.readouterr().out
    assert '"ok": false' in (tmp_path / 'rows.json').read_text()


@pytest.mark.slow
@pytest.mark.parametrize('arms', ['one', 'two'])
def test_every_fault_ends_as_its_file_says(arms, tmp_path):
    rows = list(matrix(load_faults(), share_path('config', 'faults'), tmp_path, arms, seed=0))
    assert {row.fault: row.problems for row in rows if not row.ok} == {}
