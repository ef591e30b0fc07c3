# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Closed forms equal what is counted while the network runs."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dp_ros.model.accounting import (
    active_parameters,
    dense_like,
    evaluation_operations,
    loads,
    mixture_weights,
    total_parameters,
)
from dp_ros.model.network import Network, NetworkConfig
from dp_ros.model.route_plan import RoutePlan

CONFIG = NetworkConfig(width=48, depth=2, heads=4, actions_per_token=2, experts=4)
VARIANTS = [
    replace(CONFIG, experts=0),
    replace(CONFIG, experts=0, fusion_token=True),
    CONFIG,
    replace(CONFIG, shared_expert=True, experts=6),
]


def make(config):
    torch.manual_seed(0)
    network = Network(config, cameras=(), proprio_dim=6, action_dim=3, pred_horizon=16, obs_horizon=2).eval()
    with torch.no_grad():
        for experts in network.experts():
            experts.router[-1].weight.mul_(20)
    return network


def counted(network, sigma_T, **arguments):
    # The fused attention of CPUs is not counted; its definition is.
    context = network.encode(torch.randn(1, 2, 6), {})
    x = torch.randn(1, network.num_tokens, network.token_dim)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(x, sigma_T[None], context, **arguments)
    return counter.get_total_flops()


@pytest.mark.parametrize('config', VARIANTS)
def test_operations_live_and_fused_equal_what_is_counted(config):
    network, sigma = make(config), torch.logspace(-1.5, 0.5, 8)
    assert evaluation_operations(network) == counted(network, sigma)
    if config.experts:
        schedule = {'tick': sigma[None], 'one level': sigma[:1].expand(1, 8)}
        plan = RoutePlan(network, schedule)
        for name, rows in schedule.items():
            fused = [len(chosen) for chosen in plan.chosen[name][0]]
            ways = plan.feed_forwards(name, 0)
            assert evaluation_operations(network, fused) == counted(network, rows[0], feed_forwards=ways)
        # One level for all tokens: the fused experts cost what the active ones do, and no router runs.
        assert fused == [network.experts()[0].sizes.chosen] * 2
        assert evaluation_operations(network, fused) < evaluation_operations(network)


def test_past_tokens_are_counted_as_what_they_compute():
    network, sigma = make(replace(CONFIG, past_tokens=3)), torch.logspace(-1.5, 0.5, 8)
    assert evaluation_operations(network) == counted(network, sigma) > evaluation_operations(make(CONFIG))


def test_active_parameters_are_those_that_a_token_touches():
    network = make(replace(CONFIG, depth=1))
    with torch.no_grad():  # no closed gates, which stop gradients
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    context = network.encode(torch.randn(1, 2, 6), {})
    x, sigma = torch.randn(1, 1, network.token_dim), torch.ones(1, 1)
    network(x, sigma, context).square().sum().backward()
    (experts,) = network.experts()
    idle = sum(
        (p.grad.flatten(1) == 0).all(dim=1).sum() * p[0].numel() for p in list(experts.parameters())[:3]
    )
    assert active_parameters(network) == total_parameters(network) - idle < total_parameters(network)


def test_dense_networks_of_equal_active_and_equal_total_size():
    network = make(CONFIG)
    active, total = (make(dense_like(CONFIG, total=t)) for t in (False, True))
    assert not active.experts()
    assert total_parameters(active) == pytest.approx(active_parameters(network), rel=0.04)
    assert total_parameters(total) == pytest.approx(total_parameters(network), rel=0.04)


def test_loads_sum_to_one_and_follow_the_routes():
    network = make(replace(CONFIG, shared_expert=True))
    weights = mixture_weights(network, torch.logspace(-1.5, 0.5, 30))
    assert weights.shape == (2, 30, 4)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 30))
    assert ((weights > 0).sum(dim=-1) == 2).all()
    torch.testing.assert_close(loads(weights).sum(dim=-1), torch.ones(2))
