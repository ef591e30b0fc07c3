# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Goals in the contract: optional, checked, and invisible where there are none."""

from dataclasses import replace

import pytest

from dp_ros.contract import Contract
from dp_ros.errors import ContractError
from dp_ros.share import share_path

CONTRACT = Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))


def test_a_contract_without_goals_has_the_hash_that_it_always_had():
    assert CONTRACT.hash.startswith('ee6bb33d9a36dd42')
    assert 'goals' not in CONTRACT.to_dict()


def test_goals_survive_and_count():
    both = replace(CONTRACT, goals=('instruction', 'image'))
    assert Contract.from_dict(both.to_dict()) == both
    assert len({CONTRACT.hash, both.hash, replace(CONTRACT, goals=('image',)).hash}) == 3


@pytest.mark.parametrize('goals', [('gesture',), ('image', 'image')])
def test_illegal_goals_are_refused_with_the_legal_ones(goals):
    with pytest.raises(ContractError, match=r"must be of \('instruction', 'image'\)"):
        replace(CONTRACT, goals=goals)


def test_a_goal_image_needs_a_camera():
    with pytest.raises(ContractError, match='needs a camera'):
        replace(CONTRACT, cameras=(), goals=('image',))
    assert replace(CONTRACT, cameras=(), goals=('instruction',)).goals == ('instruction',)
