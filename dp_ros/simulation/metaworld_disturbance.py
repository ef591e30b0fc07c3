# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What of Meta-World may be moved during an episode, and where to: where a reset might have put it."""

from typing import Any

import numpy as np

from dp_ros.simulation.disturbance import another_place

OBJECT_TASKS = ('push-v3', 'pick-place-v3')
GOAL_TASKS = ('reach-v3',)
# Experts are at the object after 0.2 to 0.41 s (push-v3 and pick-place-v3, ten seeds each).
DISTURB_S = (0.05, 0.2)
_LEAST_M, _MOST_M, _GOAL_MOST_M = 0.05, 0.10, 0.20
# As near as this the hand may hold the object; and so far from the goal resets put it.
_HAND_M, _APART_M = 0.06, 0.15


def disturb_s(task: str) -> tuple[float, float]:
    """When; (0, 0) for a task in which nothing may be moved."""
    return DISTURB_S if task in (*OBJECT_TASKS, *GOAL_TASKS) else (0.0, 0.0)


def move(env: Any, task: str, rng: np.random.Generator) -> bool:
    """Move the task's object or goal; False where the hand is at the object already."""
    space = env._random_reset_space
    if task in GOAL_TASKS:
        goal = another_place(rng, env._target_pos, space.low[3:], space.high[3:], _LEAST_M, _GOAL_MOST_M)
        env._target_pos = goal
        env.model.site('goal').pos = goal
        return True
    now = env._get_pos_objects()
    if np.linalg.norm(now - env.get_endeff_pos()) < _HAND_M or env.touching_main_object:
        return False
    place = now[:2]
    while True:
        place = another_place(rng, now[:2], space.low[:2], space.high[:2], _LEAST_M, _MOST_M)
        if np.linalg.norm(place - env._target_pos[:2]) >= _APART_M:
            break
    env._set_obj_xyz(np.append(place, now[2]))
    return True
