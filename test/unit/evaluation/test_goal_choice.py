# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a policy is asked in an episode of a task."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from dp_ros.contract import Contract
from dp_ros.errors import GoalError
from dp_ros.evaluation.goals import GoalChoice
from dp_ros.share import share_path

PLAIN = Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))
BOTH = replace(PLAIN, goals=('instruction', 'image'))


@dataclass
class Task:
    """The two things that a goal is made of."""

    instruction: str | None = 'push the button'
    picture: np.ndarray | None = None

    def goal_image(self, camera):
        assert camera == 'top'
        return self.picture


def test_the_contract_s_first_kind_is_asked_unless_another_is_chosen():
    picture = np.full((480, 640, 3), 9, np.uint8)
    task = Task(picture=picture)
    assert GoalChoice().of(task, PLAIN) is None
    assert GoalChoice().of(task, BOTH).instruction == 'push the button'
    assert GoalChoice().of(task, replace(PLAIN, goals=('image', 'instruction'))).kind == 'image'
    assert GoalChoice('image').of(task, BOTH).image.shape == (*BOTH.cameras[0].size, 3)
    assert GoalChoice(instruction='dance').of(task, BOTH).instruction == 'dance'
    assert GoalChoice('none').of(task, BOTH) is None


def test_what_the_task_does_not_have_is_named():
    with pytest.raises(GoalError, match='no instruction of its own'):
        GoalChoice().of(Task(instruction=None), BOTH)
    with pytest.raises(GoalError, match='no picture of its end'):
        GoalChoice('image').of(Task(), BOTH)
    with pytest.raises(GoalError, match=r"one of \('instruction', 'image', 'none'\)"):
        GoalChoice('gesture')
    with pytest.raises(GoalError, match='shall be'):
        GoalChoice('image', 'dance')
