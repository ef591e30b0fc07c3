# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""ALOHA insertion: success as the environment defines it, and an expert with one branch."""

import numpy as np
import pytest

pytest.importorskip('gym_aloha')

from dp_ros.simulation.demonstration import disturbed
from dp_ros.simulation.insertion_expert import InsertionExpert
from dp_ros.simulation.robot import make_demonstrator, make_task
from dp_ros.simulation.viperx import LEFT_BASE, RIGHT_BASE, tip_from_joints

pytestmark = pytest.mark.sim


@pytest.fixture(scope='module')
def robot():
    made = make_task('aloha_insertion')
    yield made
    made.close()


def run(robot, seed, noise=0.0, until=300):
    robot.reset(seed)
    plan = InsertionExpert().plan(robot.privileged(), robot.joint_positions())
    for command in disturbed(plan, robot.contract, seed, noise)[0][:until]:
        robot.step(command)
    return robot.result()


def test_the_expert_succeeds_by_the_environments_reward_and_holds(robot):
    for seed in (40_000, 40_001):
        result = run(robot, seed)
        assert (result.max_reward, result.success, result.strict_success, result.done) == (
            4,
            True,
            True,
            True,
        )
    before = run(robot, 40_000, until=170)
    assert (before.max_reward, before.success, before.strict_success) == (2, False, False), (
        'lifted, not inserted'
    )


def test_equal_seeds_give_equal_episodes(robot):
    results = []
    for seed in (40_002, 40_003, 40_002):
        results.append((run(robot, seed, 0.005, 120), robot.joint_positions(), robot.privileged()))
    first, other, again = results
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(first[2], again[2])
    assert not np.array_equal(first[2], other[2])


def test_labels_are_smooth_and_of_one_branch_wherever_things_lie():
    """On the edges of the squares on which resets put peg and socket."""
    start = np.array([0, -0.96, 1.16, 0, -0.3, 0, 0.0224] * 2)
    expert = InsertionExpert()
    for x in (0.1, 0.2):
        for y in (0.4, 0.5, 0.6):
            plan = expert.plan(np.array([x, y, 0.05, -x, 1.0 - y, 0.05]), start)
            assert plan.shape == (300, 14)
            np.testing.assert_allclose(plan[0], start, atol=1e-9)
            assert np.abs(np.diff(plan, axis=0)).max() < 0.06
            assert not plan[:, [3, 10]].any(), 'no forearm rolls'
            np.testing.assert_allclose(plan[-1, [0, 5, 7, 12]], 0.0, atol=1e-12, err_msg='they meet straight')
            tips = [
                tip_from_joints(b, q, 0.119)[0]
                for b, q in ((LEFT_BASE, plan[-1, :6]), (RIGHT_BASE, plan[-1, 7:13]))
            ]
            assert tips[1][0] - tips[0][0] == pytest.approx(0.075 + 0.02)


def test_where_the_things_lie_shows_in_the_first_grasp_only():
    start = np.array([0, -0.96, 1.16, 0, -0.3, 0, 0.0224] * 2)
    one, other = (
        InsertionExpert().plan(np.array([0.15, y, 0.05, -0.15, 0.5, 0.05]), start) for y in (0.42, 0.58)
    )
    assert np.abs(one[80] - other[80]).max() > 0.3
    np.testing.assert_allclose(one[150:], other[150:], atol=1e-12)
    np.testing.assert_array_equal(one[:, :7], other[:, :7])


@pytest.mark.slow
def test_most_demonstrations_are_kept(robot):
    maker = make_demonstrator('aloha_insertion')
    kept = [maker.kept(run(robot, seed, maker.default_noise)) for seed in range(40_000, 40_020)]
    assert sum(kept) >= 10
