# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Push-T as a simulated robot: it is the environment as it is, scores are the environment's, the expert pushes."""

import importlib.util
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

# Found, not imported: the robot tells SDL first that there is no display.
if importlib.util.find_spec('gym_pusht') is None:
    pytest.skip('needs the extra `pusht`', allow_module_level=True)

from dp_ros.cli.main import main
from dp_ros.contract import Contract
from dp_ros.errors import ContractError, TaskError
from dp_ros.evaluation.direct_motion import run_direct_episode
from dp_ros.policy.streaming import StreamingPolicy
from dp_ros.policy.testing import tiny_checkpoint, tiny_policy
from dp_ros.share import share_path
from dp_ros.simulation.robot import make_demonstrator, make_task

STATE = Contract.from_json(share_path('config', 'contracts', 'pusht_state.json'))


@pytest.fixture(scope='module')
def robot():
    made = make_task('pusht')
    yield made
    made.close()


@pytest.fixture(scope='module')
def planner():
    from dp_ros.simulation.pusht_planner import PushPlanner

    return PushPlanner()


def test_it_is_the_environment_as_it_is(robot):
    """Bit for bit: positions, pictures, and the reward's maximum, with commands as actions."""
    import gymnasium

    env = gymnasium.make('gym_pusht/PushT-v0', obs_type='pixels_agent_pos', disable_env_checker=True)
    seen, _ = env.reset(seed=3)
    robot.reset(3)
    rng = np.random.default_rng(0)
    rewards, coverages = [], []
    for _ in range(25):
        np.testing.assert_array_equal(robot.joint_positions(), seen['agent_pos'])
        np.testing.assert_array_equal(robot.render('top'), seen['pixels'])
        action = np.clip(env.unwrapped.block.position + rng.normal(0, 60, 2), 0, 512)
        seen, reward, *_, info = env.step(action)
        robot.step(action)
        rewards.append(reward)
        coverages.append(info['coverage'])
    result = robot.result()
    assert result.max_reward == max(rewards) > 0
    assert result.measures == {'max_coverage': max(coverages)}
    assert (result.steps, result.done, result.success) == (25, False, False)
    env.close()


def test_success_is_the_environments_and_ends_the_episode(robot):
    """More than 95 % of the outline covered; what happens afterwards does not count."""
    robot.reset(1)
    env = robot.env
    env.agent.position = (60.0, 60.0)
    env.block.angle, env.block.position = env.goal_pose[2] + 0.3, tuple(env.goal_pose[:2])
    robot.step(np.array([60.0, 60.0]))
    before = robot.result()
    assert (before.success, before.done) == (False, False)
    assert before.max_reward == pytest.approx(before.measures['max_coverage'] / 0.95)
    env.block.angle, env.block.position = env.goal_pose[2], tuple(env.goal_pose[:2])
    robot.step(np.array([60.0, 60.0]))
    result = robot.result()
    assert (result.success, result.done, result.max_reward) == (True, True, 1.0)
    robot.step(np.array([60.0, 60.0]))
    assert robot.result() == replace(result, steps=3)


def test_what_is_no_command_or_no_camera_is_refused(robot):
    robot.reset(0)
    with pytest.raises(ContractError, match='2 finite'):
        robot.step(np.array([1.0, np.nan]))
    with pytest.raises(TaskError, match=r"no camera 'front'; legal: \['top'\]"):
        robot.render('front')


def test_the_state_has_the_blocks_corners_and_moves_with_it(planner):
    robot = make_task('pusht-state')
    robot.reset(5)
    state = robot.vectors()['state']
    assert state.shape == (STATE.vectors[0].dim,)
    x, y, angle = robot.block_pose()
    np.testing.assert_allclose(state[:2], [np.cos(angle), np.sin(angle)])
    corners = state[2:].reshape(8, 2)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(corners[0], [x, y] + turned @ [-60.0, 0.0])
    # The planner's closed form is the distance of these corners from where they belong.
    goal = robot.env.get_goal_pose_body(robot.env.goal_pose)
    wanted = [goal.local_to_world(v) for shape in robot.env._block_shapes for v in shape.get_vertices()]
    rms = np.sqrt(((corners - np.array(wanted)) ** 2).sum(axis=1).mean())
    assert planner.error(robot.block_pose()) == pytest.approx(rms)


def test_the_planner_foresees_what_the_environment_does(robot, planner):
    """The second space predicts the first one, lag and way there included."""
    robot.reset(50_001)
    for _ in range(3):
        before = planner.error(robot.block_pose())
        push = planner.plan(robot.joint_positions(), robot.block_pose())
        again = planner.plan(robot.joint_positions(), robot.block_pose())
        np.testing.assert_array_equal(push.commands, again.commands)
        for command in push.commands:
            robot.step(command)
        after = planner.error(robot.block_pose())
        assert after < before
        assert abs(after - push.error) < 0.2 * (before - push.error) + 2.0


def test_ways_round_the_block_do_not_touch_it(robot, planner):
    robot.reset(50_002)
    pose = robot.block_pose()
    for way in planner._routes.from_here(robot.joint_positions(), pose):
        if way is None:
            continue
        robot.reset(50_002)
        for a, b in pairwise(way):
            for share in np.linspace(0.0, 1.0, 5):
                robot.env.agent.position = tuple(a + share * (b - a))
                robot.env.agent.velocity = (0.0, 0.0)
                robot.env.space.step(1e-9)
        np.testing.assert_allclose(robot.block_pose(), pose, atol=1e-9)


def test_equal_seeds_give_equal_demonstrations_and_labels_are_smooth(robot):
    maker = make_demonstrator('pusht')
    episode, result = maker.demonstrate(robot, 100_003, 5.0)
    again, _ = maker.demonstrate(robot, 100_003, 5.0)
    for name, values in episode.tensors().items():
        np.testing.assert_array_equal(values, again.tensors()[name])
    episode.check(robot.contract, 'made')
    assert result.success
    assert maker.kept(result)
    settings = maker.settings(5.0)['planner']
    steps = np.linalg.norm(np.diff(episode.commands, axis=0), axis=1)
    assert steps.max() <= settings['travel_speed'] + 1e-3
    assert np.abs(np.diff(steps)).max() <= 2 * settings['acceleration'] + 1e-3
    # What was executed is off the labels, so the agent is too.
    assert np.abs(episode.proprio[2:, -1] - episode.commands[1:-1]).max() > 1.0


def test_the_expert_succeeds(planner):
    from dp_ros.simulation.pusht_expert import run_expert

    robot = make_task('pusht-state')
    for seed in (50_000, 50_001, 50_002):
        result = run_expert(robot, planner, seed)
        assert result.success
        assert result.steps < 300


def test_a_rollout_reports_coverage(tmp_path, capsys):
    contract = replace(STATE, timing=replace(STATE.timing, obs_horizon=1, action_horizon=16))
    checkpoint = tiny_checkpoint(tmp_path / 'tiny', contract)
    argv = ['rollout', '--checkpoint', str(checkpoint), '--task', 'pusht-state', '--episodes', '2']
    assert main([*argv, '--processes', '1', '--json', str(tmp_path / 'figures.json')]) == 0
    figures = json.loads((tmp_path / 'figures.json').read_text())
    each = [seed['max_coverage'] for seed in figures['seeds']]
    assert figures['mean_max_coverage'] == pytest.approx(np.mean(each))
    assert [s['max_reward'] for s in figures['seeds']] == pytest.approx([c / 0.95 for c in each])
    assert f'mean max coverage {np.mean(each):.3f}' in capsys.readouterr().out


def test_a_policy_sees_two_moments(robot):
    """To = 2: the history's moments are those at which the robot was observed."""
    controller = StreamingPolicy(tiny_policy(robot.contract), seed=0)
    robot.episode_steps = 12
    try:
        record = run_direct_episode(robot, controller, 3)
    finally:
        robot.episode_steps = 300
    assert len(record.chunks) == 6
    assert record.measures['max_coverage'] >= 0.0
