# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""bench/import_speed.py on a bag of a few frames: it makes, iterates and imports, and its table has a line a case."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[3] / 'bench'


@pytest.fixture
def bench(monkeypatch):
    """The two modules; scripts are no package."""
    monkeypatch.syspath_prepend(BENCH)
    import camera_bag
    import import_speed

    return camera_bag, import_speed


@pytest.mark.parametrize(('compression', 'commands'), [('none', 'leader'), ('zstd', 'windows')])
def test_both_sides_read_the_same_bag(bench, compression, commands, tmp_path):
    camera_bag, import_speed = bench
    camera_bag.make_bag(tmp_path / 'bag', 9_000_000, compression, commands)
    (tmp_path / 'other').mkdir()
    runs = {
        way: [import_speed.timed(way, tmp_path / 'bag', tmp_path / 'other', '64x64', commands)]
        for way in import_speed.WAYS
    }
    sizes = {way: found[0]['bytes'] for way, found in runs.items()}
    assert sizes['import'] == sizes['bytes'] == sizes['deserialized'] >= 9_000_000
    assert all(run['wall_s'] > 0 for found in runs.values() for run in found)
    cells = import_speed.row('case', runs).split('|')
    assert len(cells) == len(import_speed.HEAD.splitlines()[0].split('|'))


@pytest.mark.slow
def test_the_script_runs_whole(tmp_path):
    args = [
        '--gigabytes',
        '0.01',
        '--repeats',
        '1',
        '--memory',
        '--inputs',
        '64x64',
        '--json',
        tmp_path / 'all.json',
    ]
    script = [sys.executable, BENCH / 'import_speed.py', *args, '--folder', tmp_path]
    printed = subprocess.run([*map(str, script)], check=True, capture_output=True, text=True).stdout
    cases = json.loads((tmp_path / 'all.json').read_text())['cases']
    assert list(cases) == ['none, 64x64', 'zstd, 64x64']
    for case, found in cases.items():
        assert f'| {case} |' in printed
        assert found['memory']['resident_mib'] >= found['memory']['own_mib'] > 10
        assert len(found['runs']['import']) == 1
