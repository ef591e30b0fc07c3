# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Laws of the network."""

from dataclasses import replace

import pytest
import torch

from dp_ros.model.attention import Attention
from dp_ros.model.blocks import Block
from dp_ros.model.network import Network, NetworkConfig

CONFIG = NetworkConfig(width=32, depth=2, heads=4, actions_per_token=2, camera_points=8, camera_tokens=2)


def make(config=CONFIG, seed=0, **changes):
    torch.manual_seed(seed)
    sizes = {
        'cameras': ('top', 'wrist'),
        'proprio_dim': 6,
        'action_dim': 3,
        'pred_horizon': 8,
        'obs_horizon': 2,
        'goals': ('instruction',),
    }
    network = Network(config, **(sizes | changes)).eval()
    with torch.no_grad():  # open all zero-initialised gates
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def inputs(batch=2, seed=1):
    generator = torch.Generator().manual_seed(seed)

    def image():
        return torch.randint(0, 256, (batch, 2, 16, 16, 3), generator=generator, dtype=torch.uint8)

    return {
        'proprio_BOS': torch.randn(batch, 2, 6, generator=generator),
        'images': {'top': image(), 'wrist': image()},
        'goal_BD': torch.randn(batch, 32, generator=generator),
    }


def noisy(batch=2, tokens=4, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, tokens, 6, generator=generator), torch.rand(
        batch, tokens, generator=generator
    ) + 0.1


def test_fresh_block_is_the_identity():
    block = Block(32, 4, 2)
    x, modulation = torch.randn(2, 5, 32), torch.zeros(2, 5, 7 * 32)
    context = block.cross_attention.keys_values(torch.randn(2, 3, 32))
    torch.testing.assert_close(block(x, modulation, context, None, None), x)


def test_fresh_network_predicts_zero_whatever_it_sees():
    network = Network(
        CONFIG,
        cameras=('top', 'wrist'),
        proprio_dim=6,
        action_dim=3,
        pred_horizon=8,
        obs_horizon=2,
        goals=('instruction',),
    )
    assert torch.count_nonzero(network(*noisy(), network.encode(**inputs()))) == 0


def test_cached_keys_and_values_equal_uncached():
    network = make()
    x, sigma = noisy()
    context = network.encode(**inputs())
    first = network(x, sigma, context)
    again = network(x, sigma, context)  # the second use of one cache
    fresh = network(x, sigma, network.encode(**inputs()))
    assert torch.equal(first, again)
    torch.testing.assert_close(first, fresh)
    # By the textbook, without any cache: plain multi-head attention over the context tokens.
    attention: Attention = network.blocks[0].cross_attention
    h = torch.randn(2, 4, 32)
    k, v = attention.key_value(context.tokens_BND).chunk(2, dim=-1)
    q, k, v = (t.unflatten(-1, (4, 8)).transpose(1, 2) for t in (attention.query(h), k, v))
    q, k = attention.query_norm(q), attention.key_norm(k)
    weights = (q @ k.transpose(-1, -2) / 8**0.5).softmax(dim=-1)
    textbook = attention.out((weights @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(h, context.keys_values[0]), textbook)


def test_first_action_depends_on_every_context_token():
    network = make()
    x, sigma = noisy(batch=1)
    full = network.encode(**inputs(batch=1))
    assert full.tokens_BND.shape[1] == network.num_context == 2 * (2 * 2 + 1) + 1
    out = network(x, sigma, full)[:, 0]
    for hidden in range(network.num_context):
        valid = torch.ones(1, network.num_context, dtype=torch.bool)
        valid[0, hidden] = False
        changed = network(x, sigma, network.encode(**inputs(batch=1), valid_BN=valid))[:, 0]
        assert (changed - out).abs().max() > 1e-5, f'context token {hidden} does not reach the first action'


@pytest.mark.parametrize('config', [CONFIG, replace(CONFIG, fusion_token=True)])
def test_hidden_context_changes_nothing(config):
    network = make(config)
    x, sigma = noisy()
    valid = torch.ones(2, network.num_context, dtype=torch.bool)
    valid[:, :2] = False  # the top camera of the older observation
    seen = inputs()
    before = network(x, sigma, network.encode(**seen, valid_BN=valid))
    seen['images']['top'] = seen['images']['top'].clone()
    seen['images']['top'][:, 0] = 255 - seen['images']['top'][:, 0]
    torch.testing.assert_close(network(x, sigma, network.encode(**seen, valid_BN=valid)), before)


def test_the_fusion_token_is_made_of_every_other_one_and_reaches_the_blocks():
    network = make(replace(CONFIG, fusion_token=True))
    x, sigma = noisy(batch=1)
    full = network.encode(**inputs(batch=1))
    assert full.tokens_BND.shape[1] == network.num_context + 1
    for hidden in range(network.num_context):
        valid = torch.ones(1, network.num_context, dtype=torch.bool)
        valid[0, hidden] = False
        other = network.encode(**inputs(batch=1), valid_BN=valid)
        assert (other.tokens_BND - full.tokens_BND)[:, -1].abs().max() > 1e-4, f'token {hidden} is not fused'
        assert torch.equal(other.tokens_BND[:, :-1], full.tokens_BND[:, :-1])
    before = network(x, sigma, full)
    with torch.no_grad():
        network.fusion[-1].bias.add_(1.0)
    assert (network(x, sigma, network.encode(**inputs(batch=1))) - before).abs().max() > 1e-4


def test_padded_horizon_and_padded_arm_change_no_valid_output():
    network = make()
    x, sigma = noisy()
    context = network.encode(**inputs())
    valid = torch.ones(2, 4, 6, dtype=torch.bool)
    valid[:, 3] = False  # beyond the horizon
    valid[:, :, 2::3] = False  # the third joint of each action: an arm that this robot lacks
    before = network(x, sigma, context, valid)
    assert torch.count_nonzero(before[~valid]) == 0
    x, sigma = x.clone(), sigma.clone()
    x[~valid] = 1e3
    sigma[:, 3] = 4.0
    torch.testing.assert_close(network(x, sigma, context, valid)[valid], before[valid])
    # A shorter horizon without padding gives the same valid tokens.
    full = torch.ones(2, 4, 6, dtype=torch.bool)
    full[:, 3] = False
    short = network(x[:, :3], sigma[:, :3], context)
    torch.testing.assert_close(network(x, sigma, context, full)[:, :3], short)


def test_sigma_is_per_token():
    network = make()
    x, sigma = noisy()
    context = network.encode(**inputs())
    changed = sigma.clone()
    changed[:, 2] *= 3.0
    difference = (network(x, changed, context) - network(x, sigma, context)).abs().amax(dim=(0, 2))
    assert difference.argmax() == 2


def test_repeat_serves_several_noise_draws_of_one_observation():
    network = make()
    x, sigma = noisy(batch=4)
    context = network.encode(**inputs())
    many = network(x, sigma, context.repeat(2))
    each = [network(x[i : i + 1], sigma[i : i + 1], network.encode(**_row(i // 2))) for i in range(4)]
    torch.testing.assert_close(many, torch.cat(each))


def _row(index):
    seen = inputs()
    return {
        'proprio_BOS': seen['proprio_BOS'][index : index + 1],
        'images': {k: v[index : index + 1] for k, v in seen['images'].items()},
        'goal_BD': seen['goal_BD'][index : index + 1],
    }


def test_inputs_are_not_changed():
    network, seen, (x, sigma) = make(), inputs(), noisy()
    valid = torch.ones(2, 4, 6, dtype=torch.bool)
    valid[:, 3] = False
    before = x.clone(), seen['proprio_BOS'].clone(), seen['images']['top'].clone()
    network(x, sigma, network.encode(**seen), valid)
    for kept, now in zip(before, (x, seen['proprio_BOS'], seen['images']['top']), strict=True):
        assert torch.equal(kept, now)


def test_illegal_sizes_are_refused():
    with pytest.raises(ValueError, match='multiple of'):
        make(pred_horizon=7)
    with pytest.raises(ValueError, match='goal'):
        make().encode(inputs()['proprio_BOS'], inputs()['images'])
