# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The latency of policies with goals: guidance costs a second branch of the network and nothing else."""

from dataclasses import replace

import pytest

from dp_ros.contract import Contract
from dp_ros.evaluation.latency import measure_ticks, tick_work
from dp_ros.policy.config import ControlConfig
from dp_ros.policy.modes import make_controller
from dp_ros.policy.testing import tiny_policy
from dp_ros.share import share_path

PLAIN = Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))


@pytest.mark.parametrize('kind', ['instruction', 'image'])
def test_guidance_costs_a_second_branch_and_no_guidance_none(kind):
    policy = tiny_policy(replace(PLAIN, goals=(kind,)))

    def operations(guidance):
        controller = make_controller(policy, control=ControlConfig(guidance=guidance))
        return measure_ticks({'eager': controller}, ticks=1, warmup=0)['flop']

    one, free, two = (operations(guidance) for guidance in (1.0, 0.0, 2.0))
    assert one == free
    assert one < two < 1.5 * one  # the cameras, which cost most here, are encoded once


def test_what_only_encoding_reads_is_not_read_by_every_evaluation():
    def read(**network):
        controller = make_controller(tiny_policy(replace(PLAIN, goals=('instruction',)), **network))
        return {part: work.bytes for part, work in tick_work(controller).items()}

    plain, more = read(), read(goal_film=True, fusion_token=True)
    assert more['network'] == plain['network']
    assert more['encode'] > plain['encode']
