# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Laws of the experts, their routes, and the plan that knows them before run time."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from dp_ros.errors import ConfigError
from dp_ros.model.experts import Experts, ExpertSizes, Route, load, load_balance
from dp_ros.model.network import Network, NetworkConfig
from dp_ros.model.route_plan import RoutePlan

CONFIG = NetworkConfig(
    width=24, depth=3, heads=4, actions_per_token=2, camera_points=8, camera_tokens=2, experts=4
)
VARIANTS = [CONFIG, replace(CONFIG, shared_expert=True), replace(CONFIG, experts=5, experts_active=1)]


def make(config=CONFIG, seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    sizes = {'cameras': (), 'proprio_dim': 6, 'action_dim': 3, 'pred_horizon': 16, 'obs_horizon': 2}
    network = Network(config, **sizes).eval()
    with torch.no_grad():  # open the zero-initialised gates, and let the routes depend on the noise
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for experts in network.experts():
            experts.router[-1].weight.mul_(20)
    return network.to(dtype)


def noisy(batch=3, tokens=8, seed=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, tokens, 6, generator=generator, dtype=dtype)
    return x, torch.logspace(-1.6, 0.6, batch * tokens, dtype=dtype).reshape(batch, tokens)


def context_of(network, batch=3, dtype=torch.float32):
    proprio = torch.randn(batch, 2, 6, generator=torch.Generator().manual_seed(1)).to(dtype)
    return network.encode(proprio, {})


def by_a_loop(experts, x_BTD, route):
    """By the definition: token by token, expert by expert."""
    out = torch.zeros_like(x_BTD)
    half = experts.sizes.hidden
    for b, t in torch.cartesian_prod(*map(torch.arange, x_BTD.shape[:2])):
        for e, weight in zip(route.index_BTK[b, t], route.weight_BTK[b, t], strict=True):
            h = experts.up_EHD[e] @ x_BTD[b, t] + experts.up_bias_EH[e]
            out[b, t] += weight * (experts.down_EDG[e] @ (h[:half] * F.silu(h[half:])))
    return out


@pytest.mark.parametrize('config', VARIANTS)
def test_both_ways_to_run_experts_equal_a_loop_over_them(config):
    network = make(config, dtype=torch.float64)
    x, (_, sigma) = torch.randn(3, 8, 24, dtype=torch.float64), noisy(dtype=torch.float64)
    tolerance = {'atol': 1e-12, 'rtol': 1e-12}
    for experts, route in zip(network.experts(), network.routes(sigma), strict=True):
        wanted = by_a_loop(experts, x, route)
        torch.testing.assert_close(experts(x, route), wanted, **tolerance)
        flat = [t.flatten(0, 1) for t in (x, route.index_BTK, route.weight_BTK)]
        torch.testing.assert_close(experts._everywhere(*flat).unflatten(0, (3, 8)), wanted, **tolerance)


def test_both_ways_have_the_same_gradients():
    network = make(dtype=torch.float64)
    x, (_, sigma) = torch.randn(3, 8, 24, dtype=torch.float64), noisy(dtype=torch.float64)
    experts = network.experts()[0]
    gradients = []
    for way in (experts._gathered, experts._everywhere):
        network.zero_grad()
        route = network.routes(sigma)[0]
        way(*(t.flatten(0, 1) for t in (x, route.index_BTK, route.weight_BTK))).square().sum().backward()
        gradients.append([p.grad.clone() for p in experts.parameters()])
    torch.testing.assert_close(*gradients, atol=1e-11, rtol=1e-11)


def test_one_expert_is_a_dense_swiglu():
    experts = Experts(8, ExpertSizes(hidden=5, routed=1, active=1, shared=False))
    x, route = torch.randn(2, 3, 8), experts.route(torch.randn(2, 3, 8))
    value, gate = F.linear(x, experts.up_EHD[0], experts.up_bias_EH[0]).chunk(2, dim=-1)
    torch.testing.assert_close(experts(x, route), (value * F.silu(gate)) @ experts.down_EDG[0].t())


def test_routes_are_the_most_probable_experts_and_their_shares_sum_to_one():
    network = make(replace(CONFIG, shared_expert=True))
    for route in network.routes(noisy()[1]):
        routed = route.weight_BTK[..., :2]
        torch.testing.assert_close(routed.sum(dim=-1), torch.ones(3, 8))
        top = route.probability_BTE.topk(2, dim=-1)
        torch.testing.assert_close(routed, top.values / top.values.sum(dim=-1, keepdim=True))
        assert torch.equal(route.index_BTK[..., :2], top.indices)
        assert (route.index_BTK[..., 2] == 4).all()
        assert (route.weight_BTK[..., 2] == 1).all()


def test_routes_see_the_noise_level_alone_and_each_token_for_itself():
    network = make()
    _, sigma = noisy()
    alone = network.routes(sigma)
    together = network.routes(sigma.flatten()[:, None])
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a.index_BTK.flatten(0, 1), b.index_BTK[:, 0])
    used = torch.cat([route.index_BTK.flatten() for route in alone])
    assert len(used.unique()) > 2, 'a test of routes needs some'


def test_routes_are_the_same_under_autocast():
    network = make()
    _, sigma = noisy()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        automatic = network.routes(sigma)
    for a, b in zip(automatic, network.routes(sigma), strict=True):
        assert torch.equal(a.index_BTK, b.index_BTK)
        assert torch.equal(a.weight_BTK, b.weight_BTK)


def staircase(steps=3, tokens=8):
    level_ST = torch.arange(1, tokens + 1) - torch.arange(steps)[:, None] / steps
    return 0.02 * 250 ** (level_ST / tokens)


@pytest.mark.parametrize('config', VARIANTS)
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_planned_and_fused_equals_live_routing(config, dtype, tolerance):
    network = make(config, dtype=dtype)
    context, (x, _) = context_of(network, dtype=dtype), noisy(dtype=dtype)
    schedules = {'tick': staircase().to(dtype), 'sampler': torch.tensor([[5.0], [0.7], [0.1]], dtype=dtype)}
    schedules['sampler'] = schedules['sampler'].expand(3, 8)
    plan = RoutePlan(network, schedules)
    for name, sigma_ST in schedules.items():
        for number, sigma_T in enumerate(sigma_ST):
            sigma_BT = sigma_T.expand(3, 8)
            for route, chosen in zip(network.routes(sigma_BT), plan.chosen[name][number], strict=True):
                assert set(chosen) == set(route.index_BTK.flatten().tolist())
            planned = network(x, sigma_BT, context, None, plan.feed_forwards(name, number))
            live = network(x, sigma_BT, context)
            torch.testing.assert_close(planned, live, atol=tolerance, rtol=tolerance)


def test_a_plan_fuses_each_set_once_counts_what_it_holds_and_leaves_the_network_alone():
    network = make()
    before = set(network.state_dict())
    plan = RoutePlan(network, {'a': staircase(6), 'b': staircase(2)})
    sets = 0
    for layer, fused in enumerate(plan.fused):
        wanted = {sets[layer] for rows in plan.chosen.values() for sets in rows}
        assert len(fused) == len(wanted)
        sets += sum(len(chosen) for chosen in wanted)
    hidden = network.experts()[0].sizes.hidden
    weights = sets * (3 * 24 * hidden + 2 * hidden)
    routes = sum(8 * hidden * len(chosen) for rows in plan.chosen.values() for row in rows for chosen in row)
    assert plan.size == weights + routes
    assert not plan.state_dict(), 'a plan is made, not stored'
    assert set(network.state_dict()) == before


def route_of(logits_NE, active):
    probability = logits_NE.softmax(dim=-1)[None]
    weight, index = probability.topk(active, dim=-1)
    return Route(probability, index, weight / weight.sum(dim=-1, keepdim=True))


@pytest.mark.parametrize('active', [1, 2])
def test_balance_is_one_at_equal_loads_and_grows_to_its_worst_at_collapse(active):
    def value(logits):
        route = route_of(logits, active)
        return float(load_balance(route, load(route)))

    turns = torch.stack([torch.eye(4).roll(k, 1)[0] + 0.5 * torch.eye(4).roll(k, 1)[1] for k in range(4)])
    assert value(3 * turns) == pytest.approx(1.0, abs=1e-6)
    collapsed = torch.tensor([[30.0] * active + [-30.0] * (4 - active)]).expand(10, 4)
    assert value(collapsed) == pytest.approx(4 / active, abs=1e-6)
    between = torch.cat([collapsed[:3], collapsed.flip(1)[:1]])
    assert 1.0 < value(between) < 4 / active


def test_load_counts_choices_and_not_the_shared_expert():
    index = torch.tensor([[[0, 1, 3], [0, 2, 3]]])
    share = load(Route(torch.full((1, 2, 3), 1 / 3), index, torch.ones(1, 2, 3)))
    torch.testing.assert_close(share, torch.tensor([0.5, 0.25, 0.25]))


def test_the_balance_loss_alone_wakes_experts_that_no_noise_level_chooses():
    network = make(replace(CONFIG, depth=1))
    (experts,) = network.experts()
    with torch.no_grad():
        experts.router[-1].bias.copy_(torch.tensor([8.0, 7.0, -4.0, -5.0]))
        experts.router[-1].weight.mul_(0.05)
    sigma = torch.logspace(-1.7, 0.7, 64)[:, None]
    assert sorted(load(network.routes(sigma)[0]).tolist()) == [0, 0, 0.5, 0.5]
    optimiser = torch.optim.Adam(experts.router.parameters(), lr=0.05)
    for _ in range(200):
        route = network.routes(sigma)[0]
        optimiser.zero_grad()
        load_balance(route, load(route)).backward()
        optimiser.step()
    shares = load(network.routes(sigma)[0])
    assert shares.min() >= 0.1, shares


def test_the_default_size_of_an_expert_gives_the_active_ones_the_weights_of_the_mlp():
    for config in (CONFIG, replace(CONFIG, shared_expert=True), replace(CONFIG, experts_active=1)):
        sizes = config.expert_sizes
        together = 3 * config.width * sizes.hidden * sizes.chosen
        assert together == pytest.approx(2 * config.mlp_ratio * config.width**2, rel=0.03)
    assert replace(CONFIG, expert_ratio=0.5).expert_sizes.hidden == 12


def test_illegal_numbers_of_experts_are_refused():
    for active in (0, 5):
        with pytest.raises(ConfigError, match=r'between 1 and experts \(4\)'):
            replace(CONFIG, experts_active=active)
    with pytest.raises(ConfigError, match='negative'):
        replace(CONFIG, experts=-1)
