# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""bench/rdt_sized.py: as large as it says, and it runs where it is small."""

import json
import sys
from pathlib import Path

import pytest
import torch

BENCH = Path(__file__).resolve().parents[3] / 'bench'


@pytest.fixture
def bench(monkeypatch):
    """The script as a module."""
    monkeypatch.syspath_prepend(BENCH)
    import rdt_sized

    return rdt_sized


def test_it_is_as_large_as_rdt(bench):
    with torch.device('meta'):
        network = bench.make_network(2048, 28, 32)
    assert 1.1e9 < sum(parameter.numel() for parameter in network.parameters()) < 1.3e9


def test_a_small_one_tells_what_keeping_the_context_saves(bench, monkeypatch, tmp_path, capsys):
    small = ['--width', '32', '--depth', '2', '--heads', '2', '--camera-tokens', '9', '--ticks', '3']
    monkeypatch.setattr(
        sys, 'argv', ['rdt_sized.py', '--device', 'cpu', *small, '--json', str(tmp_path / 'a.json')]
    )
    bench.main()
    kept, anew = json.loads((tmp_path / 'a.json').read_text())['rows']
    # Keys and values of 27 tokens by a matrix of 32 x 64, in two layers.
    assert anew['flop'] - kept['flop'] == 2 * 2 * 27 * 32 * 64
    assert anew['bytes'] - kept['bytes'] == 4 * 2 * 32 * 64
    assert 'made anew' in capsys.readouterr().out
