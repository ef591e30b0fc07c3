# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""`dp_ros bench family` from an episode store to the page, with a model that learns nothing in three steps."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec('metaworld') is None:
    pytest.skip('needs the extra `metaworld`', allow_module_level=True)

from dp_ros.cli.main import main
from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import ConfigError
from dp_ros.evaluation import rollout
from dp_ros.evaluation.choice import KEY
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.share import share_path
from dp_ros.simulation.metaworld_tasks import known_instructions
from dp_ros.simulation.robot import make_task

pytestmark = pytest.mark.sim
CONTRACT = Contract.from_json(share_path('config', 'contracts', 'metaworld_state.json'))
FAMILY = """
task: metaworld/reach-v3-state
experiment: metaworld_mt50_state
collect: nothing
episodes: 2
models:
  tiny:
    network: {width: 16, depth: 1, heads: 2, past_tokens: 1}
    training: {steps: 3, batch_size: 4, warmup_steps: 1, validation_episodes: 1, validate_every: 3, precision: fp32}
choose:
  tiny: {episodes: 1, control: [{evaluations: 2}]}
rows:
  - {model: tiny}
  - {model: tiny, control: {mode: chunk, evaluations: 2, execute: 4, sigma_max: 1.0}}
  - {model: tiny, disturb: true}
"""


@pytest.fixture
def short_episodes(monkeypatch):
    def made(name):
        robot = make_task(name)
        robot.episode_steps = 24
        return robot

    monkeypatch.setattr(rollout, 'make_task', made)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    rng, timing = np.random.default_rng(0), CONTRACT.timing
    with EpisodeStore.create(tmp_path / 'store', CONTRACT, {}) as made:
        for _ in range(3):
            made.append(
                Episode.regular(
                    timing,
                    stamps_ns=np.arange(12) * timing.period_ns,
                    proprio=rng.normal(size=(12, 4)).astype(np.float32),
                    images={},
                    actions=rng.normal(size=(12, 4)).astype(np.float32),
                    vectors={'state': rng.normal(size=(12, 39)).astype(np.float32)},
                    metadata={'instruction': known_instructions('reach-v3')[0]},
                )
            )
    return tmp_path / 'store'


def test_a_family_from_store_to_page_and_again_without_work(tmp_path, store, short_episodes, capsys):
    (tmp_path / 'toy.yaml').write_text(FAMILY)
    command = ['bench', 'family', '--suite', str(tmp_path / 'toy.yaml'), '--store', str(store)]
    command += ['--runs', str(tmp_path / 'runs'), '--out', str(tmp_path / 'out'), '--curve', '1']
    assert main(command) == 0
    said = capsys.readouterr()
    assert 'validation chose' in said.err
    table = (tmp_path / 'out' / 'table.md').read_text()
    assert table in said.out
    names = [
        'tiny',
        'tiny, mode chunk, evaluations 2, execute 4, sigma_max 1.0',
        'tiny, disturbed',
        'tiny, step 1',
    ]
    figures = json.loads((tmp_path / 'out' / 'figures.json').read_text())
    assert list(figures) == names
    assert 0 <= figures['tiny, disturbed']['recovery']['moved'] <= 2
    for heading in ('## Recovery after a disturbance', '## Chosen on validation seeds'):
        assert heading in table
    for name in ('page.html', 'plots.png', 'evaluations.svg', 'steps.svg'):
        assert (tmp_path / 'out' / name).stat().st_size > 1000
    checkpoint = tmp_path / 'runs' / 'tiny' / 'checkpoint'
    choice = load_checkpoint(checkpoint).config.provenance[KEY]
    assert (choice['seeds'], choice['candidates']) == ([10_000, 10_001], [{}, {'evaluations': 2}])
    card = (checkpoint / 'README.md').read_text()
    assert '| metaworld/reach-v3-state | 0 to 1 (test) | as the checkpoint says |' in card
    assert card.count('| metaworld/reach-v3-state |') == 3
    assert main(command) == 0
    again = capsys.readouterr()
    assert again.err == '' and said.out.endswith(again.out), 'all of it was there already'
    assert (checkpoint / 'README.md').read_text() == card


def test_weights_of_a_step_that_the_run_has_passed_are_not_made_up(tmp_path, store, short_episodes):
    (tmp_path / 'toy.yaml').write_text(FAMILY)
    command = [
        'bench',
        'family',
        '--suite',
        str(tmp_path / 'toy.yaml'),
        '--store',
        str(store),
        '--train-only',
    ]
    command += ['--runs', str(tmp_path / 'runs')]
    assert main(command) == 0
    from dp_ros.cli.bench_family import experiment_of
    from dp_ros.evaluation.family import Family
    from dp_ros.training.loop import train

    experiment = experiment_of(Family.from_yaml(tmp_path / 'toy.yaml'), 'tiny', str(store))
    with pytest.raises(ConfigError, match=r'at step 3 already, its weights of step 2 are gone'):
        train(experiment, tmp_path / 'runs' / 'tiny', stop_after=2)
