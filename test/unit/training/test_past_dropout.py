# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Past tokens of a batch: what was commanded, forgotten in part for the share that is asked for."""

from dataclasses import replace

import pytest
import torch

from dp_ros.data.demonstrations import Windows
from dp_ros.model.network import Network
from dp_ros.policy.normalizer import Normalizer
from dp_ros.training.experiment import Experiment
from dp_ros.training.goals import Aims
from dp_ros.training.loss import TrainingLoss
from dp_ros.training.past import draw_past

BATCH, TOKENS, PER_TOKEN = 400, 3, 2
ACTION = Normalizer(torch.tensor([1.0, -1.0]).double(), torch.tensor([0.5, 2.0]).double())


def experiment(**training):
    return Experiment.from_dict(
        {
            'name': 'toy',
            'store': 'nowhere',
            'network': {'past_tokens': TOKENS, 'actions_per_token': PER_TOKEN},
            'training': {'steps': 1, 'batch_size': BATCH, **training},
        }
    )


def windows(rows=slice(None)):
    past = torch.randn(BATCH, TOKENS * PER_TOKEN, 2, generator=torch.Generator().manual_seed(0))
    begun = torch.arange(BATCH) % 4  # so many actions are older than the episode
    valid = torch.arange(TOKENS * PER_TOKEN) >= begun[:, None]
    nothing = torch.zeros(0)
    return Windows(nothing, {}, nothing, nothing, past=past[rows], past_valid=valid[rows])


def draw(rows=slice(None), seed=1, **training):
    generator = torch.Generator().manual_seed(seed)
    nowhere = torch.zeros(BATCH, 2).double()
    return draw_past(experiment(**training), ACTION, windows(rows), nowhere[rows], rows, generator)


def test_without_dropout_all_that_was_commanded_is_seen():
    past = draw(past_dropout=0.0)
    for row in range(4):  # a token counts if all of its actions do
        assert past.valid_BK[row].tolist() == [2 * k >= row for k in range(TOKENS)]
    decoded = ACTION.decode(past.x_BKP.unflatten(-1, (PER_TOKEN, 2)).flatten(1, 2))
    torch.testing.assert_close(decoded.float(), windows().past, atol=1e-2, rtol=0)  # c_in(0.02) is nearly 1


@pytest.mark.parametrize('share', [0.25, 1.0])
def test_dropout_forgets_the_oldest_tokens_of_its_share(share):
    past = draw(past_dropout=share)
    begun = windows().past_valid[:, 0]  # whose past is complete
    kept = past.valid_BK[begun].sum(dim=1)
    newest = torch.arange(TOKENS, 0, -1) <= kept[:, None]
    assert torch.equal(past.valid_BK[begun], newest), 'what is kept is the newest'
    forgetful = (kept < TOKENS).float().mean().item()
    assert abs(forgetful - share) <= 4 * (share * (1 - share) / len(kept)) ** 0.5
    if share == 1.0:
        assert sorted(set(kept.tolist())) == [0, 1, 2]


def test_processes_draw_what_one_process_draws_for_their_rows():
    whole, half = draw(past_dropout=0.5), draw(slice(BATCH // 2, BATCH), past_dropout=0.5)
    assert torch.equal(half.valid_BK, whole.valid_BK[BATCH // 2 :])
    assert torch.equal(half.x_BKP, whole.x_BKP[BATCH // 2 :])


def test_noise_never_reaches_the_past():
    """Whatever a step draws, the network is given the past clean, and learns nothing from it but what follows."""
    config = experiment(past_dropout=0.0)
    sizes = {'cameras': (), 'proprio_dim': 2, 'action_dim': 2, 'pred_horizon': 8, 'obs_horizon': 1}
    network_config = replace(config.network, width=16, depth=1, heads=2)
    torch.manual_seed(0)
    loss = TrainingLoss(Network(network_config, **sizes), config.training)
    past = draw(past_dropout=0.0)
    embedded = []
    loss.network.embed.register_forward_pre_hook(lambda module, inputs: embedded.append(inputs[0]))
    clean = torch.zeros(BATCH, 4, 4)
    for seed in range(2):
        noise = torch.randn(BATCH, 4, 4, generator=torch.Generator().manual_seed(seed))
        sigma = torch.full((BATCH, 4), 0.5 + seed)
        loss(
            torch.zeros(BATCH, 1, 2), {}, {}, clean, torch.ones_like(clean).bool(), sigma, noise, Aims(), past
        )
    pasts = [x for x in embedded if x.shape[1] == TOKENS]
    assert len(pasts) == 2
    assert all(torch.equal(x, past.x_BKP) for x in pasts)


def test_without_past_tokens_nothing_is_drawn():
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    none = replace(windows(), past=None)
    assert draw_past(experiment(), ACTION, none, torch.zeros(BATCH, 2), slice(None), generator) is None
    assert torch.equal(generator.get_state(), before)
