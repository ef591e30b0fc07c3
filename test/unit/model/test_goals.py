# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Laws of the goal token."""

from dataclasses import replace

import pytest
import torch

from dp_ros.model.goals import IMAGE, INSTRUCTION, NO_GOAL, TEXT_DIM, GoalBatch, GoalEncoder
from dp_ros.model.network import Network, NetworkConfig

BOTH = ('instruction', 'image')
CONFIG = NetworkConfig(width=32, depth=2, heads=4, actions_per_token=2, camera_points=8, camera_tokens=2)


def make(config=CONFIG, goals=BOTH, opened=True):
    torch.manual_seed(0)
    network = Network(
        config, cameras=('top',), proprio_dim=6, action_dim=3, pred_horizon=8, obs_horizon=2, goals=goals
    ).eval()
    if opened:  # the zero-initialised gates, so that every input matters
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def some_goals(*kinds):
    generator = torch.Generator().manual_seed(1)
    text_BG = torch.randn(len(kinds), TEXT_DIM, generator=generator)
    return GoalBatch(
        torch.tensor(kinds),
        text_BG / text_BG.norm(dim=1, keepdim=True),
        torch.randint(0, 256, (len(kinds), 16, 16, 3), generator=generator, dtype=torch.uint8),
    )


def observation(batch):
    generator = torch.Generator().manual_seed(2)
    image = torch.randint(0, 256, (batch, 2, 16, 16, 3), generator=generator, dtype=torch.uint8)
    return torch.randn(batch, 2, 6, generator=generator), {'top': image}


def noisy(batch):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(batch, 4, 6, generator=generator), torch.rand(batch, 4, generator=generator) + 0.1


def test_dropping_the_goal_of_one_sample_leaves_the_others_unchanged():
    network = make()
    goals = some_goals(INSTRUCTION, IMAGE, IMAGE)
    dropped = replace(goals, kind_B=torch.tensor([INSTRUCTION, NO_GOAL, IMAGE]))
    before, after = (
        network(*noisy(3), network.encode(*observation(3), network.goals(g))) for g in (goals, dropped)
    )
    torch.testing.assert_close(after[[0, 2]], before[[0, 2]], atol=1e-6, rtol=0)
    assert (after[1] - before[1]).abs().max() > 1e-3


def test_text_and_picture_and_null_stand_in_the_same_place():
    """Only the last token of the context differs, and it is a token of the same size."""
    network = make()
    contexts = [
        network.encode(*observation(1), network.goals(some_goals(kind)))
        for kind in (INSTRUCTION, IMAGE, NO_GOAL)
    ]
    for context in contexts[1:]:
        assert torch.equal(context.tokens_BND[:, :-1], contexts[0].tokens_BND[:, :-1])
        assert (context.tokens_BND[:, -1] - contexts[0].tokens_BND[:, -1]).abs().max() > 1e-2
        assert (context.summary_BD - contexts[0].summary_BD).abs().max() > 1e-3
    lengths = torch.stack([network.goals(some_goals(k)).norm() for k in (INSTRUCTION, IMAGE, NO_GOAL)])
    torch.testing.assert_close(lengths, lengths[:1].expand(3), atol=0.02, rtol=0)


def test_absent_goals_are_a_learned_token_and_not_zeros():
    goals = make().goals
    null_BD = goals(some_goals(NO_GOAL, NO_GOAL))
    assert torch.equal(null_BD, goals.null_tokens(2))
    assert null_BD.abs().max() > 0.1
    null_BD.square()[:, 0].sum().backward()
    assert goals.null.grad.abs().max() > 0


def test_what_a_row_does_not_use_does_not_reach_it():
    goals = make().goals
    batch = some_goals(INSTRUCTION, IMAGE)
    changed = replace(
        batch,
        text_BG=torch.stack([batch.text_BG[0], torch.full((TEXT_DIM,), torch.nan)]),
        image_BHWC=torch.stack([255 - batch.image_BHWC[0], batch.image_BHWC[1]]),
    )
    assert torch.equal(goals(changed), goals(batch))


@pytest.mark.parametrize('film', [False, True])
def test_several_goals_of_one_observation_equal_one_after_another(film):
    network = make(replace(CONFIG, goal_film=film))
    one, other = (network.goals(some_goals(*kinds)) for kinds in ((INSTRUCTION, IMAGE), (IMAGE, NO_GOAL)))
    x, sigma = noisy(2)
    many = network(
        x.repeat(2, 1, 1), sigma.repeat(2, 1), network.encode(*observation(2), torch.cat([one, other]))
    )
    each = [network(x, sigma, network.encode(*observation(2), goal)) for goal in (one, other)]
    torch.testing.assert_close(many, torch.cat(each), atol=1e-5, rtol=1e-5)


def test_a_fresh_film_changes_nothing_and_an_opened_one_does():
    plain, filmed = make(opened=False), make(replace(CONFIG, goal_film=True), opened=False)
    goal_BD = plain.goals(some_goals(INSTRUCTION))
    before, same = (n.encode(*observation(1), goal_BD).tokens_BND for n in (plain, filmed))
    assert torch.equal(same, before)
    torch.nn.init.normal_(filmed.goal_films['top'].weight)
    after = filmed.encode(*observation(1), goal_BD).tokens_BND
    assert (after - before)[:, 0].abs().max() > 1e-3


def test_illegal_goals_are_refused():
    text_only = GoalEncoder(32, 8, ('instruction',))
    with pytest.raises(ValueError, match=r"must be of \('instruction',\)"):
        text_only(some_goals(IMAGE))
    with pytest.raises(ValueError, match='nothing that says it'):
        text_only(GoalBatch(torch.tensor([INSTRUCTION])))
    with pytest.raises(ValueError, match='got none'):
        make().encode(*observation(1))
    with pytest.raises(ValueError, match='no goals here'):
        make(goals=()).encode(*observation(1), torch.zeros(1, 32))
    with pytest.raises(ValueError, match='needs a contract with goals'):
        make(replace(CONFIG, goal_film=True), goals=())
