# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A controller whose network has experts knows their routes before it runs, for whatever it is going to ask."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dp_ros.contract import Contract
from dp_ros.observation.observation import Observation
from dp_ros.policy.checkpoint import load_checkpoint, save_checkpoint
from dp_ros.policy.config import SAMPLER_NAMES, ControlConfig
from dp_ros.policy.modes import make_controller
from dp_ros.policy.testing import tiny_policy

CONTRACT = Contract.from_json(Path(__file__).parents[3] / 'config' / 'contracts' / 'aloha_transfer_cube.json')
CONTROLS = [
    ControlConfig(),
    ControlConfig(evaluations=3, buffer_start='denoise'),
    *(ControlConfig(mode='chunk', evaluations=4, sampler=sampler) for sampler in SAMPLER_NAMES),
]


@pytest.fixture(scope='module')
def policy():
    policy = tiny_policy(CONTRACT, depth=2, experts=4)
    with torch.no_grad():
        for experts in policy.network.experts():
            experts.router[-1].weight.mul_(30)  # so that the routes depend on the noise
    return policy


@pytest.mark.parametrize('control', CONTROLS, ids=lambda c: f'{c.mode}-{c.sampler}-{c.evaluations}')
def test_planned_chunks_equal_live_ones_and_every_level_was_foreseen(policy, control):
    planned, live = make_controller(policy, 1, control), make_controller(policy, 1, control)
    live.plan = None
    asked = []
    hook = policy.network.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[1]))
    for k in range(3):
        seen = Observation(stamp_ns=10**9 + k, ages_ns={}, **CONTRACT.example(k))
        asked.clear()
        chunk = planned.tick(seen)
        wanted = live.tick(seen)
        np.testing.assert_allclose(chunk.positions, wanted.positions, atol=1e-6)
        evaluations = len(asked) // 2
        for a, b in zip(asked[:evaluations], asked[evaluations:], strict=True):
            assert torch.equal(a, b)
        schedules = planned._schedules()
        expected = schedules['tick'] if control.mode == 'streaming' else schedules['full']
        assert torch.equal(torch.cat(asked[evaluations - len(expected) : evaluations]), expected)
    hook.remove()
    sets = {chosen for rows in planned.plan.chosen.values() for row in rows for chosen in row}
    assert len(sets) > 1, 'a test of routes needs some'


def test_a_checkpoint_with_experts_comes_back_whole(tmp_path):
    written = tiny_policy(CONTRACT, experts=3, shared_expert=True)
    example = CONTRACT.example()
    golden = {'proprio': torch.as_tensor(example['proprio'])}
    golden |= {f'images.{name}': torch.as_tensor(image) for name, image in example['images'].items()}
    save_checkpoint(tmp_path / 'moe', written, golden, '# A tiny untrained policy\n')
    read = load_checkpoint(tmp_path / 'moe')
    assert read.config.network == written.config.network
    assert len(read.network.experts()) == 1


def test_a_dense_policy_has_no_plan():
    assert make_controller(tiny_policy(CONTRACT)).plan is None
