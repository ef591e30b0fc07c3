# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros collect`` with real simulators: stop by Ctrl-C, go on, refuse other settings."""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('gym_aloha')

from dp_ros.cli import collect
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import StoreError
from dp_ros.simulation.demonstration import demonstrate
from dp_ros.simulation.expert import TransferCubeExpert
from dp_ros.simulation.robot import make_task

_SCRIPT = """
import argparse, sys
from dp_ros.cli import collect
parser = argparse.ArgumentParser()
collect.add_arguments(parser)
sys.exit(collect.run(parser.parse_args(sys.argv[1:])))
"""


def arguments(out: Path, episodes: int, noise: str = '0') -> list[str]:
    return [
        f'--out={out}',
        f'--episodes={episodes}',
        f'--noise={noise}',
        '--processes=1',
        '--first-seed=900000',
    ]


def run(out: Path, episodes: int, noise: str = '0') -> int:
    parser = argparse.ArgumentParser()
    collect.add_arguments(parser)
    return collect.run(parser.parse_args(arguments(out, episodes, noise)))


def test_stop_go_on_and_equal_to_a_direct_demonstration(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / 'store'
    process = subprocess.Popen(
        [sys.executable, '-c', _SCRIPT, *arguments(out, 1000)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith('1/1000 episodes')
    os.killpg(process.pid, signal.SIGINT)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert 'the same command goes on' in stdout
    kept = len(EpisodeStore.open(out))
    assert kept >= 1

    assert run(out, kept + 1) == 0
    assert f'goes on after {kept} episodes' in capsys.readouterr().out
    store = EpisodeStore.open(out)
    assert store.seeds() == [900_000 + k for k in range(kept + 1)]
    robot = make_task('aloha_transfer_cube')
    direct, _ = demonstrate(robot, TransferCubeExpert(), 900_000 + kept, 0.0)
    robot.close()
    stored = store.read(kept)
    for name, value in direct.tensors().items():
        np.testing.assert_array_equal(value, stored.tensors()[name])

    assert run(out, kept + 1) == 0
    assert 'nothing to do' in capsys.readouterr().out
    with pytest.raises(StoreError, match=r'settings\.max_noise_rad is 0\.0 there and 0\.02 here'):
        run(out, kept + 2, noise='0.02')
