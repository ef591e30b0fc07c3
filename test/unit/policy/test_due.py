# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a player reads of a checkpoint without loading it is what the loaded policy does."""

import json
from dataclasses import asdict, replace

import pytest

from dp_ros.contract import Contract
from dp_ros.errors import CheckpointError
from dp_ros.policy.config import ControlConfig
from dp_ros.policy.due import checkpoint_needs_goal, checkpoint_tick_ns
from dp_ros.policy.modes import make_controller
from dp_ros.policy.testing import tiny_checkpoint, tiny_policy
from dp_ros.share import share_path

CONTRACT = Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))


@pytest.mark.parametrize(
    ('goals', 'control'),
    [
        ((), {}),
        ((), {'mode': 'chunk', 'execute': 8}),
        (('instruction',), {}),
        (('instruction',), {'goal_free': True}),
        (('instruction',), {'guidance': 0.0}),
    ],
)
def test_tick_and_goal_are_those_of_the_controller(tmp_path, goals, control):
    policy = tiny_policy(replace(CONTRACT, goals=goals))
    directory = tiny_checkpoint(tmp_path / 'tiny', policy.contract)
    asked = ControlConfig(**control)
    config = json.loads((directory / 'config.json').read_text())
    (directory / 'config.json').write_text(json.dumps(config | {'control': asdict(asked)}))
    controller = make_controller(policy, control=asked)
    assert checkpoint_needs_goal(directory) == controller.needs_goal
    assert checkpoint_tick_ns(directory) == controller.tick_ns


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r'contract.json is missing'):
        checkpoint_needs_goal(tmp_path)
    directory = tiny_checkpoint(tmp_path / 'tiny', CONTRACT)
    (directory / 'config.json').write_text('{}')
    with pytest.raises(CheckpointError, match=r'config.json: cannot be read'):
        checkpoint_tick_ns(directory)
