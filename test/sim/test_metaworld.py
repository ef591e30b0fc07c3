# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Meta-World as a simulated robot: absolute commands equal the environment's own, seeds, splits, demonstrations."""

import importlib.util
import json

import numpy as np
import pytest

# Found, not imported: the robot chooses OpenGL first.
if importlib.util.find_spec('metaworld') is None:
    pytest.skip('needs the extra `metaworld`', allow_module_level=True)

from dp_ros.errors import ContractError, TaskError
from dp_ros.simulation import metaworld_expert
from dp_ros.simulation.metaworld_tasks import (
    HELD_OUT,
    MT10,
    held_out_instructions,
    known_instructions,
    paraphrases,
)
from dp_ros.simulation.robot import make_demonstrator, make_task, suite_tasks

pytestmark = pytest.mark.sim


@pytest.fixture(scope='module')
def robots():
    made = {}

    def get(name):
        if name not in made:
            made[name] = make_task(f'metaworld/{name}')
        return made[name]

    yield get
    for robot in made.values():
        robot.close()


def state_of(env):
    return np.concatenate([env.data.qpos, env.data.qvel, env.data.mocap_pos[0]])


@pytest.mark.parametrize('name', ['pick-place-v3', 'door-open-v3', 'button-press-wall-v3'])
def test_absolute_targets_do_what_the_environments_own_actions_do(robots, name):
    """Bit for bit, from an expert that runs into the limits of speed and space."""
    robot, twin = robots(f'{name}-state'), robots(name)
    for one in (robot, twin):
        one.reset(7)
    np.testing.assert_array_equal(robot.observed, twin.observed)
    expert = robot.make_expert()
    rng = np.random.default_rng(0)
    for _ in range(60):
        action = expert.get_action(robot.observed) + rng.normal(0, 0.3, 4).astype(np.float32)
        action[3] = np.clip(action[3], -1, 1)
        command = twin.target(action)
        robot.observed, *_ = robot.env.step(action)
        twin.step(command)
        np.testing.assert_array_equal(state_of(robot.env), state_of(twin.env))
        np.testing.assert_array_equal(twin.env.data.mocap_pos[0], command[:3])


def test_a_far_target_is_approached_at_the_environments_speed(robots):
    robot = robots('reach-v3-state')
    robot.reset(1)
    start = robot.env.data.mocap_pos[0].copy()
    far = np.append(start, 0.0) + np.array([0.035, 0.0, 0.0, 0.0])
    for step in range(1, 5):
        robot.step(far)
        np.testing.assert_allclose(
            robot.env.data.mocap_pos[0, 0] - start[0], min(0.01 * step, 0.035), atol=1e-12
        )
    with pytest.raises(ContractError, match='4 finite'):
        robot.step(far * np.nan)


def test_equal_seeds_give_equal_episodes_and_others_other_ones(robots):
    robot = robots('pick-place-v3-state')
    runs = {}
    for turn, seed in enumerate((3, 4, 3)):
        metaworld_expert.run_expert(robot, seed)
        runs[turn] = (robot.observed.copy(), robot.instruction, robot.result())
    np.testing.assert_array_equal(runs[0][0], runs[2][0])
    assert runs[0][1:] == runs[2][1:]
    assert not np.array_equal(runs[0][0][-3:], runs[1][0][-3:])
    fresh = make_task('metaworld/pick-place-v3-state')
    metaworld_expert.run_expert(fresh, 3)
    np.testing.assert_array_equal(fresh.observed, runs[0][0])
    fresh.close()


def test_the_goal_is_seen_by_the_state_and_in_the_picture(robots):
    robot = robots('reach-v3')
    pictures, goals = [], []
    for seed in (5, 6):
        robot.reset(seed)
        before = state_of(robot.env), robot.env.data.site('goal').xpos.copy()
        pictures.append(robot.render('corner'))
        np.testing.assert_array_equal(state_of(robot.env), before[0])
        np.testing.assert_array_equal(robot.env.data.site('goal').xpos, before[1])
        goals.append(robot.observed[-3:])
    assert pictures[0].shape == (128, 128, 3)
    assert (pictures[0] != pictures[1]).any()
    assert np.abs(goals[0] - goals[1]).max() > 0.01
    with pytest.raises(TaskError, match="no camera 'top'; legal: \\['corner', 'hand'\\]"):
        robot.render('top')


def test_the_camera_at_the_hand_moves_with_it(robots):
    robot = robots('pick-place-v3')
    robot.reset(5)
    before = robot.render('hand')
    assert before.shape == (64, 64, 3)
    np.testing.assert_array_equal(robot.render('hand'), before)
    for _ in range(10):
        robot.step(robot.target(np.array([1.0, 1.0, 0.0, 0.0])))
    assert (robot.render('hand') != before).mean() > 0.2


def test_the_goals_picture_is_the_end_of_the_experts_run_and_leaves_the_episode_alone(robots):
    robot = robots('drawer-close-v3')
    robot.reset(11)
    before = state_of(robot.env)
    picture = robot.goal_image('corner')
    np.testing.assert_array_equal(state_of(robot.env), before)
    np.testing.assert_array_equal(robot.goal_image('corner'), picture)
    assert metaworld_expert.run_expert(robot, 11).success
    np.testing.assert_array_equal(robot.render('corner'), picture)
    assert robots('reach-v3-state').goal_image('corner') is None


@pytest.mark.parametrize('name', ['reach-v3', 'drawer-open-v3', 'window-close-v3'])
def test_experts_succeed_and_end_the_episode(robots, name):
    robot = robots(f'{name}-state')
    result = metaworld_expert.run_expert(robot, 100_000)
    assert result.success
    assert result.done
    assert result.steps < 200


def test_labels_reach_into_no_push(robots):
    """What is observed is what the undisturbed expert does next, and pushes change only what is executed."""
    robot, maker = robots('pick-place-v3-state'), make_demonstrator('metaworld/pick-place-v3-state')
    seed = next(s for s in range(100_000, 100_100) if metaworld_expert.pushes(s, 60, 0.8)[1].any())
    episode, result = maker.demonstrate(robot, seed, 0.8)
    episode.check(robot.contract, 'made')
    assert result.success
    _, pushed = metaworld_expert.pushes(seed, 500, 0.8)
    pushed[len(episode.commands) - metaworld_expert.HOLD_STEPS - 1 :] = False
    assert episode.stamps_ns[-1] == episode.command_stamps_ns[-1], 'the end is always seen'
    steps = ((episode.stamps_ns - episode.command_stamps_ns[0]) // 12_500_000).astype(int)
    assert len(steps) < len(episode.commands)
    for step in steps:
        assert not pushed[step : min(step + 16, len(episode.commands))].any()
    assert json.loads(episode.metadata['instruction']) == list(known_instructions('pick-place-v3'))
    # Replayed without pushes from an observed state, the expert's commands are the labels.
    clean, _ = maker.demonstrate(robot, seed, 0.0)
    first = int(np.flatnonzero(pushed)[0])
    np.testing.assert_array_equal(clean.commands[: first + 1], episode.commands[: first + 1])
    assert len(clean) == len(clean.commands)


def test_few_pictures_of_an_episode_and_each_is_of_its_moment(robots):
    """The same seed by state is the same episode, observed at every step."""
    name, seed, every = 'push-v3', 100_003, metaworld_expert.LOOK_EVERY
    robot = robots(name)
    episode, _ = make_demonstrator(f'metaworld/{name}').demonstrate(robot, seed, 0.8)
    whole, _ = make_demonstrator(f'metaworld/{name}-state').demonstrate(robots(f'{name}-state'), seed, 0.8)
    np.testing.assert_array_equal(episode.commands, whole.commands)
    steps = (episode.stamps_ns // 12_500_000).astype(int)
    assert set(np.delete(steps, -1) % every) == {0}
    assert steps[-1] == len(whole.commands) - 1, 'the end is always seen'
    where = np.searchsorted(whole.stamps_ns, episode.stamps_ns)
    np.testing.assert_array_equal(whole.stamps_ns[where], episode.stamps_ns)
    np.testing.assert_array_equal(whole.proprio[where], episode.proprio)
    np.testing.assert_array_equal(whole.privileged[where], episode.privileged)
    # Walked again, the robot looks as its picture says; the moments in between have none.
    _, pushed = metaworld_expert.pushes(seed, 500, 0.8)
    robot.reset(seed)
    first_push = int(np.flatnonzero(pushed)[0])
    for step in range(min(first_push, 2 * every) + 1):
        if step in steps:
            frame = episode.image_index['hand'][list(steps).index(step), 0]
            np.testing.assert_array_equal(episode.images['hand'][frame], robot.render('hand'))
        robot.step(whole.commands[step].astype(np.float64))
    assert len(episode.images['corner']) <= len(steps) + 1


def test_noise_of_nothing_disturbs_nothing():
    added, pushed = metaworld_expert.pushes(100_000, 500, 0.0)
    assert not added.any()
    assert not pushed.any()


def test_paraphrases_cover_the_packages_tasks_and_are_split():
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS, MT10_V3

    assert set(paraphrases()) == set(ALL_V3_ENVIRONMENTS)
    assert list(MT10_V3) == list(MT10)
    everything = [text for texts in paraphrases().values() for text in texts]
    assert len(set(everything)) == len(everything)
    for task in paraphrases():
        assert len(known_instructions(task)) >= 4
        assert len(held_out_instructions(task)) == HELD_OUT
        assert not set(known_instructions(task)) & set(held_out_instructions(task))


def test_held_out_words_come_when_they_are_asked_for(robots):
    robot = robots('reach-v3-state')
    try:
        robot.phrasing = 'held_out'
        robot.reset(0)
        assert robot.instruction in held_out_instructions('reach-v3')
    finally:
        robot.phrasing = 'known'
    robot.reset(0)
    assert robot.instruction in known_instructions('reach-v3')


def test_suites():
    assert suite_tasks('metaworld/mt10') == tuple(f'metaworld/{name}' for name in MT10)
    assert len(suite_tasks('metaworld/mt50-state')) == 50
    assert suite_tasks('metaworld/reach-v3-state') == ('metaworld/reach-v3-state',)
    with pytest.raises(TaskError, match='metaworld/mt10'):
        suite_tasks('metaworld/mt5')
