# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""`dp_ros bench train` times the steps of a training run, and those are the run's own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from dp_ros.cli.main import main
from dp_ros.contract import Arm, Camera, Contract, Embodiment, Joint, Timing
from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.training.data import load_data
from dp_ros.training.distributed import World
from dp_ros.training.experiment import Experiment
from dp_ros.training.speed import STAGES, time_steps
from dp_ros.training.step import Trainee

CONTRACT = Contract(
    name='toy',
    embodiment=Embodiment(arms=(Arm(name='arm', joints=(Joint(name='a'),)),)),
    cameras=(Camera(name='top', source_size=(16, 16), crop=(0, 0, 16, 16), size=(16, 16)),),
    timing=Timing(obs_horizon=1, pred_horizon=4, action_horizon=2, period_ns=40_000_000),
)
EXPERIMENT = """
name: toy
store: {store}
network: {{width: 16, depth: 1, heads: 2, actions_per_token: 2, camera_points: 8, camera_tokens: 2}}
training: {{steps: 50, batch_size: 4, validation_episodes: 1, precision: fp32}}
"""


@pytest.fixture(scope='module')
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp('toy')
    rng = np.random.default_rng(0)
    with EpisodeStore.create(folder / 'store', CONTRACT, {}) as store:
        for _ in range(3):
            path = rng.normal(size=(12, 1)).astype(np.float32)
            stamps_ns = np.arange(12, dtype=np.int64) * CONTRACT.timing.period_ns
            images = {'top': rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)}
            frames = {'stamps_ns': stamps_ns, 'proprio': path, 'actions': path, 'images': images}
            store.append(Episode.regular(CONTRACT.timing, **frames))
    (folder / 'toy.yaml').write_text(EXPERIMENT.format(store=folder / 'store'))
    return folder / 'toy.yaml'


def test_the_timed_steps_are_those_of_a_run(experiment):
    config = Experiment.from_yaml(experiment)
    trainee = Trainee(config, load_data(config), World(0, 1, torch.device('cpu')))
    own = [trainee.step(k)['denoising'] for k in range(4)]
    times = time_steps(config, load_data(config), 'cpu', steps=2, warmup=2)
    assert times.losses == own[2:]
    assert times.parameters == sum(p.numel() for p in trainee.network.parameters())
    assert {name: len(values) for name, values in times.stages_s.items()} == dict.fromkeys(STAGES, 2)


def test_the_command_says_how_fast_and_why(experiment, tmp_path, capsys):
    files = ['--json', str(tmp_path / 'train.json'), '--plot', str(tmp_path / 'train.svg')]
    assert main(['bench', 'train', '--experiment', str(experiment), '--steps', '5', *files]) == 0
    figures = json.loads((tmp_path / 'train.json').read_text())
    assert figures['slowest'] in STAGES
    assert figures['samples_per_s'] == pytest.approx(4e3 / figures['step_ms']['p50'])
    stages_ms = {name: values['p50'] for name, values in figures['stages_ms'].items()}
    assert figures['feed_ratio'] == pytest.approx(figures['step_ms']['p50'] / stages_ms['data'])
    bound_ms = figures['flop'] / figures['matmul_gflops'] * 1e-6
    assert figures['ratio_to_bound'] == pytest.approx(figures['step_ms']['p50'] / bound_ms)
    drawn = ElementTree.parse(tmp_path / 'train.svg').getroot()
    assert set(STAGES) <= {element.text for element in drawn.iter()}
    assert 'bottleneck: ' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--steps', '0'], '--steps must be at least 1'),
        (['--warmup', '0'], '--warmup must be at least 1'),
        (['--plot', 'train.png'], '--plot must be a .svg file'),
    ],
)
def test_bad_options_are_one_message(experiment, argv, message, capsys):
    assert main(['bench', 'train', '--experiment', str(experiment), *argv]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize('argv', [['train'], ['bench', 'train']])
@pytest.mark.parametrize(('before', 'after'), [(None, 'passive'), ('active', 'active')])
def test_threads_of_training_sleep_unless_the_user_says_otherwise(argv, before, after):
    """Said before torch is imported, which is when it is read."""
    program = (
        'import os, sys\n'
        'class Watch:\n'
        '    def find_spec(self, name, *_):\n'
        "        if name == 'torch': print(os.environ.get('OMP_WAIT_POLICY')); os._exit(0)\n"
        'sys.meta_path.insert(0, Watch())\n'
        'from dp_ros.cli.main import main\n'
        f'main({[*argv, "--experiment", "none.yaml"]!r})\n'
    )
    environment = {k: v for k, v in os.environ.items() if k != 'OMP_WAIT_POLICY'}
    environment |= {'PYTHONPATH': str(Path(__file__).parents[3])}
    environment |= {} if before is None else {'OMP_WAIT_POLICY': before}
    done = subprocess.run(
        [sys.executable, '-c', program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == after


def test_compiling_says_which_compiler_it_lacks(experiment, monkeypatch, capsys):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    assert main(['bench', 'train', '--experiment', str(experiment), '--compile']) == 2
    assert '--compile needs a C++ compiler' in capsys.readouterr().err


@pytest.mark.slow  # the compiler takes most of a minute
def test_compiled_encoders_change_rounding_alone(experiment):
    torch._dynamo.utils.counters.clear()
    config = Experiment.from_yaml(experiment)
    plain, compiled = (
        time_steps(config, load_data(config), 'cpu', steps=6, warmup=1, compiled=way).losses
        for way in (False, True)
    )
    np.testing.assert_allclose(compiled, plain, rtol=1e-4)
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] > 0  # else nothing was compiled
