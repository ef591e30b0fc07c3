# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Laws of past tokens: what is hidden does not matter, what is given does, and their level is always the same."""

from dataclasses import replace

import pytest
import torch

from dp_ros.errors import ConfigError
from dp_ros.model.network import Network, NetworkConfig
from dp_ros.model.past import Past
from dp_ros.model.route_plan import RoutePlan

CONFIG = NetworkConfig(width=32, depth=2, heads=4, actions_per_token=2)
WITH_PAST = replace(CONFIG, past_tokens=3)


def make(config):
    torch.manual_seed(0)
    network = Network(
        config, cameras=(), proprio_dim=6, action_dim=3, pred_horizon=8, obs_horizon=2, past_sigma=0.05
    ).eval()
    with torch.no_grad():  # open all zero-initialised gates, and let the routes depend on the noise
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for experts in network.experts():
            experts.router[-1].weight.mul_(20)
    return network


def noisy(rows=2):
    generator = torch.Generator().manual_seed(1)
    x_BTP = torch.randn(rows, 4, 6, generator=generator)
    return x_BTP, torch.rand(rows, 4, generator=generator) + 0.1


def context(network, past=None, rows=2):
    proprio = torch.randn(rows, 2, 6, generator=torch.Generator().manual_seed(2))
    return network.encode(proprio, {}, past=past)


def some_past(*valid):
    x_BKP = torch.randn(len(valid), 3, 6, generator=torch.Generator().manual_seed(3))
    return Past(x_BKP, torch.tensor(valid, dtype=torch.bool))


def test_a_hidden_past_is_as_none_and_as_a_network_without():
    network = make(WITH_PAST)
    plain = make(CONFIG)
    weights = network.state_dict()
    del weights['past.position']  # all that a past adds
    plain.load_state_dict(weights)
    wanted = plain(*noisy(), context(plain))
    torch.testing.assert_close(network(*noisy(), context(network)), wanted)
    hidden = some_past([0, 0, 0], [0, 0, 0])
    torch.testing.assert_close(network(*noisy(), context(network, hidden)), wanted)


def test_a_fresh_network_with_past_has_the_weights_of_one_without():
    torch.manual_seed(0)
    sizes = {'cameras': (), 'proprio_dim': 6, 'action_dim': 3, 'pred_horizon': 8, 'obs_horizon': 2}
    plain = Network(CONFIG, **sizes).state_dict()
    torch.manual_seed(0)
    grown = Network(WITH_PAST, **sizes).state_dict()
    assert all(torch.equal(grown[name], value) for name, value in plain.items())


def test_what_a_hidden_token_holds_changes_nothing_to_the_last_bit():
    network, past = make(WITH_PAST), some_past([0, 1, 1], [0, 0, 1])
    other = Past(torch.where(past.valid_BK[..., None], past.x_BKP, 7.0), past.valid_BK)
    assert torch.equal(network(*noisy(), context(network, past)), network(*noisy(), context(network, other)))


@pytest.mark.parametrize('token', range(3))
def test_every_action_depends_on_every_past_token_that_is_given(token):
    network, past = make(WITH_PAST), some_past([1, 1, 1], [1, 1, 1])
    moved = past.x_BKP.clone()
    moved[0, token] += 1.0
    before = network(*noisy(), context(network, past))
    after = network(*noisy(), context(network, Past(moved, past.valid_BK)))
    assert (before[0] - after[0]).abs().amin(dim=-1).min() > 1e-5, 'the first action above all'
    assert torch.equal(before[1], after[1]), 'another sample is none of its business'


def test_past_tokens_carry_their_own_level_whatever_is_denoised():
    network = make(WITH_PAST)
    for sigma_BT in (noisy()[1], 10 * noisy()[1]):
        sequence_BT = network.sequence_noise(sigma_BT)
        assert (sequence_BT[:, :3] == 0.05).all()
        assert torch.equal(sequence_BT[:, 3:], sigma_BT)
    assert torch.equal(make(CONFIG).sequence_noise(sigma_BT), sigma_BT)


def test_planned_routes_with_a_past_equal_live_ones():
    network = make(replace(WITH_PAST, experts=4))
    x_BTP, sigma_BT = noisy(rows=1)
    seen = context(network, some_past([0, 1, 1]), rows=1)
    plan = RoutePlan(network, {'tick': sigma_BT})
    planned = network(x_BTP, sigma_BT, seen, feed_forwards=plan.feed_forwards('tick', 0))
    torch.testing.assert_close(planned, network(x_BTP, sigma_BT, seen))


def test_rows_of_repeated_contexts_keep_their_past():
    network, past = make(WITH_PAST), some_past([1, 1, 1], [0, 0, 1])
    x_BTP, sigma_BT = noisy(rows=4)
    together = network(x_BTP, sigma_BT, context(network, past).repeat(2))
    each = [
        network(x_BTP[i : i + 1], sigma_BT[i : i + 1], _row(context(network, past), i // 2)) for i in range(4)
    ]
    torch.testing.assert_close(together, torch.cat(each))


def _row(seen, i):
    rows = slice(i, i + 1)
    return replace(
        seen,
        tokens_BND=seen.tokens_BND[rows],
        summary_BD=seen.summary_BD[rows],
        keys_values=tuple((k[rows], v[rows]) for k, v in seen.keys_values),
        past=Past(seen.past.x_BKP[rows], seen.past.valid_BK[rows]),
    )


def test_what_is_illegal_is_said():
    with pytest.raises(ConfigError, match='past_tokens must not be negative, got -1'):
        NetworkConfig(past_tokens=-1)
    with pytest.raises(ValueError, match='without past tokens'):
        context(make(CONFIG), some_past([1, 1, 1], [1, 1, 1]))
