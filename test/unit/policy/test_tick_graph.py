# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The tick as one graph: the network as it was trained, to rounding, whatever the policy is made of."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dp_ros.contract import Arm, Camera, Contract, Embodiment, Joint, Timing, Vector
from dp_ros.observation.observation import Observation
from dp_ros.policy.backends import Runtime
from dp_ros.policy.config import SAMPLER_NAMES, ControlConfig, DiffusionConfig
from dp_ros.policy.goal import Goal
from dp_ros.policy.modes import make_controller
from dp_ros.policy.testing import tiny_policy

PERIOD = 40_000_000
PLAIN = Contract(
    name='toy',
    embodiment=Embodiment(arms=(Arm(name='arm', joints=(Joint(name='a'), Joint(name='b'))),)),
    cameras=tuple(
        Camera(name=name, source_size=(32, 24), crop=(0, 0, 32, 24), size=(32, 24))
        for name in ('top', 'wrist')
    ),
    timing=Timing(obs_horizon=2, pred_horizon=8, action_horizon=2, period_ns=PERIOD),
)
RICH = replace(PLAIN, goals=('instruction', 'image'), vectors=(Vector(name='cube', dim=3),))
CASES = {
    'streaming': (PLAIN, {}, ControlConfig()),
    'several evaluations, from a full denoise': (
        PLAIN,
        {},
        ControlConfig(evaluations=3, buffer_start='denoise'),
    ),
    'experts': (PLAIN, {'experts': 4, 'shared_expert': True, 'depth': 2}, ControlConfig(evaluations=2)),
    'past': (PLAIN, {'past_tokens': 2}, ControlConfig()),
    'goal': (RICH, {}, ControlConfig()),
    'guided': (RICH, {'experts': 3, 'past_tokens': 2}, ControlConfig(guidance=2.0)),
    'unconditional': (RICH, {}, ControlConfig(guidance=0.0)),
    'fusion': (RICH, {'fusion_token': True}, ControlConfig(guidance=2.0)),
    'goal in the cameras': (RICH, {'goal_film': True}, ControlConfig(guidance=1.5, evaluations=2)),
    **{
        f'chunk by {s}': (PLAIN, {}, ControlConfig(mode='chunk', evaluations=3, sampler=s))
        for s in SAMPLER_NAMES
    },
    'truncated, guided, with experts': (
        RICH,
        {'experts': 3},
        ControlConfig(mode='truncated', evaluations=2, guidance=2.0, restart_sigma=0.7),
    ),
    'guided chunk with experts': (
        RICH,
        {'experts': 3},
        ControlConfig(mode='chunk', evaluations=2, guidance=2.0, schedule='karras'),
    ),
}


class Folded(Runtime):
    """The graph itself, without any library."""

    def __init__(self, graph):
        self.graph = graph

    def run(self, inputs):
        assert {name: tuple(value.shape) for name, value in inputs.items()} == self.graph.shapes
        return self.graph.run(inputs)


@pytest.fixture(params=CASES, name='case')
def fixture_case(request):
    contract, sizes, control = CASES[request.param]
    return tiny_policy(contract, **sizes), control


@torch.inference_mode()
def test_the_folded_graph_is_the_network(case):
    policy, control = case
    graph = make_controller(policy, control=control).graph()
    inputs = graph.example(1)
    got, wanted = graph.run(inputs), graph.reference(inputs)
    assert len(got) == len(wanted) == len(graph.outputs)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=0)
    for name in graph.shapes:  # a graph that forgets an input would agree with itself
        changed = {**inputs, name: ~inputs[name] if name == 'past_valid' else inputs[name] + 1}
        assert any(not torch.equal(a, b) for a, b in zip(graph.run(changed), got, strict=True)), name


@pytest.mark.parametrize('relative', [False, True])
def test_a_controller_makes_the_same_chunks_through_the_graph(case, relative):
    policy, control = case
    policy = replace(
        policy, config=replace(policy.config, diffusion=DiffusionConfig(relative_actions=relative))
    )
    eager, through = (make_controller(policy, 3, control) for _ in range(2))
    through.runtime = Folded(through.graph())
    for controller in (eager, through):
        if policy.contract.goals and control.guidance:
            controller.set_goal(Goal(instruction='push the button'))
    for k in range(5):
        if k == 3:
            eager.reset()
            through.reset()
        seen = Observation(stamp_ns=10**9 + 2 * k * PERIOD, ages_ns={}, **policy.contract.example(k))
        np.testing.assert_allclose(through.tick(seen).positions, eager.tick(seen).positions, atol=1e-6)
    assert set(through.stage_ms) == set(eager.stage_ms)


def test_a_graph_for_two_branches_serves_without_a_goal():
    policy = tiny_policy(RICH)
    control = ControlConfig(guidance=2.0, goal_free=True)
    eager, through = (make_controller(policy, 3, control) for _ in range(2))
    through.runtime = Folded(through.graph())
    seen = Observation(stamp_ns=10**9, ages_ns={}, **RICH.example(0))
    np.testing.assert_allclose(through.tick(seen).positions, eager.tick(seen).positions, atol=1e-6)


def test_pictures_reach_the_network_without_a_copy():
    policy, example = tiny_policy(PLAIN), PLAIN.example()
    inputs = policy.inputs(example['proprio'], example['images'])
    for name, image in example['images'].items():
        assert inputs[f'image.{name}'].data_ptr() == image.ctypes.data
