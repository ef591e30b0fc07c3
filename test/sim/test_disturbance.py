# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Objects that are moved during an episode: nothing changes before, the place is a legal one, and seeds decide."""

import importlib.util

import numpy as np
import pytest

from dp_ros.errors import TaskError
from dp_ros.evaluation.direct_motion import run_direct_episode
from dp_ros.evaluation.disturbance import Disturbance
from dp_ros.policy.streaming import StreamingPolicy
from dp_ros.policy.testing import tiny_policy
from dp_ros.simulation.disturbance import another_place, disturbable
from dp_ros.simulation.robot import make_task

pytestmark = pytest.mark.sim


def needs(package):
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f'needs {package}')


@pytest.fixture(scope='module')
def aloha():
    robot = make_task('aloha_transfer_cube')
    yield robot
    robot.close()


@pytest.fixture(scope='module')
def metaworld():
    made = {}

    def get(name):
        if name not in made:
            made[name] = make_task(f'metaworld/{name}-state')
        return made[name]

    yield get
    for robot in made.values():
        robot.close()


@needs('gym_aloha')
def test_the_cube_moves_to_another_place_of_its_square_and_nothing_else_does(aloha):
    places = []
    for seed in (0, 0, 1):
        aloha.reset(3)
        before, state = aloha.privileged(), aloha.physics.get_state().copy()
        assert aloha.disturb(np.random.default_rng(seed))
        place = aloha.privileged()
        assert 0.03 <= np.linalg.norm(place - before) <= 0.08
        assert place[2] == before[2] and (place[:2] >= [0.0, 0.4]).all() and (place[:2] <= [0.2, 0.6]).all()
        changed = np.flatnonzero(aloha.physics.get_state() != state)
        assert set(changed) <= {16, 17}
        places.append(place)
    assert np.array_equal(places[0], places[1]) and not np.array_equal(places[0], places[2])


@needs('gym_aloha')
def test_a_cube_in_the_hand_is_left_there(aloha):
    aloha.reset(3)
    hand = aloha.physics.named.data.geom_xpos['vx300s_right/10_right_gripper_finger']
    aloha.physics.data.qpos[16:19] = hand
    aloha.physics.forward()
    assert not aloha.disturb(np.random.default_rng(0))
    assert np.array_equal(aloha.privileged(), hand)


@needs('metaworld')
@pytest.mark.parametrize('name', ['reach-v3', 'push-v3'])
def test_before_the_disturbance_an_episode_is_the_undisturbed_one_bit_for_bit(metaworld, name):
    robot = metaworld(name)
    robot.episode_steps = 28
    policy = tiny_policy(robot.contract)
    whole = run_direct_episode(robot, StreamingPolicy(policy), 5)
    undisturbed = robot.observed.copy()
    moved = run_direct_episode(robot, StreamingPolicy(policy), 5, disturbance=Disturbance())
    step = Disturbance().of(robot, 5).step
    assert moved.disturbed_s == pytest.approx(step * robot.control_period_ns * 1e-9) and 4 <= step <= 16
    assert whole.disturbed_s is None
    assert moved.measured[:step].tobytes() == whole.measured[:step].tobytes()
    assert moved.commanded[:step].tobytes() == whole.commanded[:step].tobytes()
    assert not np.array_equal(robot.observed, undisturbed)
    again = run_direct_episode(robot, StreamingPolicy(policy), 5, disturbance=Disturbance())
    assert again.commanded.tobytes() == moved.commanded.tobytes()


@needs('metaworld')
@pytest.mark.parametrize('name', ['reach-v3', 'push-v3', 'pick-place-v3'])
def test_what_is_moved_is_seen_at_once_and_the_task_can_still_be_done(metaworld, name):
    from dp_ros.simulation.metaworld_expert import expert_target

    robot, expert = metaworld(name), metaworld(name).make_expert()
    robot.episode_steps = 500
    robot.reset(100_001)
    for step in range(500):
        if step == 10:
            before = robot.observed.copy()
            assert robot.disturb(np.random.default_rng(0))
            columns = slice(36, 39) if name == 'reach-v3' else slice(4, 7)
            assert 0.05 <= np.linalg.norm(robot.observed[columns] - before[columns]) <= 0.2001
            same = np.delete(np.arange(39), np.r_[columns])
            np.testing.assert_allclose(robot.observed[same], before[same], atol=1e-3)
        robot.step(expert_target(robot, expert))
        if robot.result().done:
            break
    assert robot.result().success


@needs('metaworld')
def test_tasks_in_which_nothing_may_be_moved_say_so(metaworld):
    with pytest.raises(TaskError, match=r"'metaworld/door-open-v3' cannot be disturbed.*legal: 'aloha"):
        disturbable(metaworld('door-open-v3'), 'metaworld/door-open-v3')
    robot = metaworld('reach-v3')
    robot.episode_steps = 500
    with pytest.raises(TaskError, match=r'at 7 s, the episode ends at 6\.25 s'):
        Disturbance(at_s=7.0).of(robot, 0)
    with pytest.raises(TaskError, match='at least 0 s'):
        Disturbance(at_s=-1.0)


def test_another_place_lies_in_the_box_and_at_the_distance_asked_for():
    rng, low, high = np.random.default_rng(0), np.zeros(2), np.array([0.3, 0.1])
    for _ in range(50):
        now = rng.uniform(low, high)
        place = another_place(rng, now, low, high, 0.05, 0.1)
        assert (low <= place).all() and (place <= high).all()
        assert 0.05 <= np.linalg.norm(place - now) <= 0.1
    with pytest.raises(TaskError, match='no place between'):
        another_place(rng, now, low, high, 1.0, 2.0)
