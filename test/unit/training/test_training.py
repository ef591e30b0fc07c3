# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Training: learns, resumes identically, and is the same on two processes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dp_ros.contract import Arm, Camera, Contract, Embodiment, Joint, Timing
from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import CheckpointError, ConfigError
from dp_ros.observation.observation import Observation
from dp_ros.policy.modes import make_controller
from dp_ros.training.experiment import Experiment, HorizonConfig
from dp_ros.training.loop import train

CONTRACT = Contract(
    name='toy',
    embodiment=Embodiment(arms=(Arm(name='arm', joints=(Joint(name='a'), Joint(name='b'))),)),
    cameras=(Camera(name='top', source_size=(16, 16), crop=(0, 0, 16, 16), size=(16, 16)),),
    timing=Timing(obs_horizon=2, pred_horizon=8, action_horizon=2, period_ns=40_000_000),
)
EXPERIMENT = """
name: toy
store: {store}
network: {{width: 16, depth: 1, heads: 2, actions_per_token: 2, camera_points: 8, camera_tokens: 2}}
training: {{steps: 12, batch_size: 8, validation_episodes: 1, validate_every: 6, snapshot_every: 4, precision: fp32,
           warmup_steps: 2}}
"""


@pytest.fixture(scope='module')
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp('toy')
    rng = np.random.default_rng(0)
    with EpisodeStore.create(folder / 'store', CONTRACT, {}) as store:
        for _ in range(8):
            phase = rng.uniform(0, 6) + np.array([0.0, 1.5])
            path = np.sin(0.3 * np.arange(20)[:, None] + phase).astype(np.float32)
            store.append(
                Episode.regular(
                    CONTRACT.timing,
                    stamps_ns=np.arange(20, dtype=np.int64) * 40_000_000,
                    proprio=path,
                    actions=np.roll(path, -1, axis=0),
                    images={'top': np.full((20, 16, 16, 3), 128, np.uint8)},
                )
            )
    (folder / 'toy.yaml').write_text(EXPERIMENT.format(store=folder / 'store'))
    return folder / 'toy.yaml'


@pytest.fixture(params=['mlp', 'experts'])
def either(experiment, request):
    """The experiment with the MLP, and with past tokens and experts whose loads weigh in enough to be seen."""
    if request.param == 'mlp':
        return experiment
    text = experiment.read_text().replace(
        'camera_tokens: 2}', 'camera_tokens: 2, experts: 3, past_tokens: 2}'
    )
    path = experiment.with_name('experts.yaml')
    path.write_text(text.replace('steps: 12', 'load_balance: 0.5, steps: 12'))
    return path


def weights(policy):
    return dict(policy.network.state_dict().items())


def assert_same(got, wanted, **tolerance):
    assert got.keys() == wanted.keys()
    for name in got:
        torch.testing.assert_close(
            got[name], wanted[name], msg=lambda m, name=name: f'{name}: {m}', **tolerance
        )


def test_killed_and_resumed_equals_uninterrupted(either, tmp_path):
    config = Experiment.from_yaml(either)
    whole = train(config, tmp_path / 'whole')
    for stop in (4, 7):  # at a snapshot, and between two: what was not kept is computed again
        train(config, tmp_path / 'parts', stop_after=stop)
    resumed = train(config, tmp_path / 'parts')
    assert_same(weights(resumed.policy), weights(whole.policy), atol=0, rtol=0)
    assert resumed.figures == whole.figures


def test_a_kill_between_snapshots_loses_nothing_but_time(experiment, tmp_path):
    config = Experiment.from_yaml(experiment)
    train(config, tmp_path / 'killed', stop_after=6)
    snapshot = tmp_path / 'killed' / 'snapshot.safetensors'
    (tmp_path / 'killed' / 'snapshot.safetensors.part').write_bytes(snapshot.read_bytes()[:100])
    assert_same(
        weights(train(config, tmp_path / 'killed').policy),
        weights(train(config, tmp_path / 'fresh').policy),
        atol=0,
        rtol=0,
    )


def test_two_processes_equal_one(either, tmp_path):
    script = (
        'import sys, torch; from pathlib import Path; from safetensors.torch import save_file\n'
        'from dp_ros.training.experiment import Experiment; from dp_ros.training.loop import train\n'
        'torch.set_num_threads(1)\n'
        'result = train(Experiment.from_yaml(Path(sys.argv[1])), Path(sys.argv[2]))\n'
        'if result.is_main: save_file(result.policy.network.state_dict(), sys.argv[3])\n'
    )
    (tmp_path / 'run.py').write_text(script)
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2', 'run.py']
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(Path(__file__).parents[3])}
    done = subprocess.run(
        [*command, str(either), 'two', 'two.safetensors'],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    from safetensors.torch import load_file

    one = train(Experiment.from_yaml(either), tmp_path / 'one')
    assert_same(load_file(tmp_path / 'two.safetensors'), weights(one.policy), atol=2e-4, rtol=1e-3)


def test_loss_falls(experiment, tmp_path):
    config = Experiment.from_yaml(experiment)
    longer = replace(config.training, steps=150, validate_every=150, learning_rate=1e-2, ema_decay=0.9)
    before = train(replace(config, training=replace(config.training, steps=1)), tmp_path / 'a').figures
    after = train(replace(config, training=longer), tmp_path / 'b').figures
    assert after['loss_buffer'] < 0.8 * before['loss_buffer']
    assert after['loss_shared'] < before['loss_shared']


def test_horizons_of_the_experiment_stand_in_for_those_of_the_store(experiment, tmp_path):
    wanted = Experiment.from_yaml(experiment)
    wanted = replace(wanted, horizons=HorizonConfig(pred_horizon=12, action_horizon=6))
    policy = train(wanted, tmp_path, stop_after=2).policy
    assert policy.contract.timing == replace(CONTRACT.timing, pred_horizon=12, action_horizon=6)
    assert (policy.network.num_tokens, policy.levels.count) == (6, 2)
    controller = make_controller(policy)
    example = CONTRACT.example()
    chunk = controller.tick(Observation(0, example['proprio'], example['images'], {}))
    assert chunk.positions.shape == (12, 2)
    assert controller.tick_ns == 6 * CONTRACT.timing.period_ns
    odd = replace(wanted, horizons=HorizonConfig(action_horizon=1))
    with pytest.raises(
        ConfigError, match=r'action_horizon \(1\) must be a multiple of network.actions_per_token'
    ):
        train(odd, tmp_path / 'odd', stop_after=2)


def test_a_full_disk_keeps_the_older_snapshot(experiment, tmp_path):
    config = Experiment.from_yaml(experiment)
    train(config, tmp_path / 'run', stop_after=4)
    before = (tmp_path / 'run' / 'snapshot.safetensors').read_bytes()
    script = (
        'import resource, signal, sys; from pathlib import Path\n'
        'from dp_ros.cli.main import main\n'
        'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n'
        'sys.exit(main(["train", "--experiment", sys.argv[1], "--run", sys.argv[2]]))\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', script, str(experiment), str(tmp_path / 'run')],
        env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[3])},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr[-2000:]
    assert 'cannot write the snapshot' in done.stderr
    assert (tmp_path / 'run' / 'snapshot.safetensors').read_bytes() == before
    assert not list((tmp_path / 'run').glob('*.part'))


def test_snapshot_of_another_experiment_or_a_damaged_one_is_refused(experiment, tmp_path):
    config = Experiment.from_yaml(experiment)
    train(config, tmp_path / 'run', stop_after=4)
    other = replace(config, training=replace(config.training, seed=1))
    with pytest.raises(ConfigError, match=r'another experiment \(differs in \[.training.\]\)'):
        train(other, tmp_path / 'run')
    snapshot = tmp_path / 'run' / 'snapshot.safetensors'
    snapshot.write_bytes(snapshot.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match='cannot read the snapshot'):
        train(config, tmp_path / 'run')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ('trainig: {steps: 3}', r'unknown keys \[.trainig.\]; legal'),
        ('training: {step: 3}', r'toy.yaml.training: unknown keys \[.step.\]; legal'),
        ('training: {steps: 0}', r'training.steps must be at least 1'),
        ('training: {}', r'toy.yaml.training: missing keys \[.steps.\]'),
        ('training: {steps: many}', r'training.steps: expected int'),
        ('training: {steps: 3, load_balance: -1}', r'load_balance must not be negative'),
        ('training: {steps: 3, precision: fp8}', r'precision must be one of'),
        ('training: {steps: 3, validation_episodes: 8}', r'between 1 and 7'),
        ('training: [', r'not valid YAML'),
    ],
)
def test_illegal_experiments_say_where_and_what_is_legal(experiment, tmp_path, change, message):
    kept = [
        line for line in experiment.read_text().splitlines() if line.startswith(('name', 'store', 'network'))
    ]
    (tmp_path / 'toy.yaml').write_text('\n'.join([*kept, change]))
    with pytest.raises(ConfigError, match=message):
        train(Experiment.from_yaml(tmp_path / 'toy.yaml'), tmp_path / 'run')
