# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A policy on benchmarks without a motion plan: rows by time, suites, seeds of splits."""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest

if importlib.util.find_spec('metaworld') is None:
    pytest.skip('needs the extra `metaworld`', allow_module_level=True)

from dp_ros.cli.main import main
from dp_ros.contract import Contract
from dp_ros.errors import ConfigError, GoalError
from dp_ros.evaluation.direct_motion import run_direct_episode
from dp_ros.evaluation.goals import GoalChoice
from dp_ros.evaluation.rollout import RolloutSettings, Runner
from dp_ros.policy.streaming import StreamingPolicy
from dp_ros.policy.testing import tiny_checkpoint, tiny_policy
from dp_ros.share import share_path
from dp_ros.simulation.robot import SUITES, make_task

pytestmark = pytest.mark.sim
CONTRACT = Contract.from_json(share_path('config', 'contracts', 'metaworld_state.json'))
PICTURES = Contract.from_json(share_path('config', 'contracts', 'metaworld.json'))


@pytest.fixture(scope='module')
def robot():
    made = make_task('metaworld/reach-v3-state')
    made.episode_steps = 24
    yield made
    made.close()


@pytest.fixture
def suite(monkeypatch):
    monkeypatch.setitem(SUITES, 'pair', ('metaworld/reach-v3-state', 'metaworld/push-v3-state'))


def test_rows_are_in_force_by_time(robot):
    """The newest chunk's row at each moment is what the robot is told, and the stamps say which row that is."""
    controller = StreamingPolicy(tiny_policy(CONTRACT), seed=0)
    record = run_direct_episode(robot, controller, 3)
    assert record.steps == len(record.times_ns) == 24
    assert len(record.chunks) == 24 // CONTRACT.timing.action_horizon
    for chunk, number in zip(record.chunks, range(0, 24, 4), strict=True):
        assert chunk.stamp_ns == record.times_ns[number]
        np.testing.assert_array_equal(record.commanded[number : number + 4], chunk.positions[:4])
    assert set(np.diff(record.times_ns)) == {12_500_000}


def test_equal_seeds_give_equal_episodes(robot):
    controller = StreamingPolicy(tiny_policy(CONTRACT), seed=0)
    first = run_direct_episode(robot, controller, 3)
    other = run_direct_episode(robot, controller, 4)
    again = run_direct_episode(robot, controller, 3)
    np.testing.assert_array_equal(first.measured, again.measured)
    assert not np.array_equal(first.commanded, other.commanded)


def test_an_expert_as_the_policy_ends_the_episode_at_success(robot):
    """Not the episode's length: the benchmark ends there."""
    from dp_ros.simulation.metaworld_expert import HOLD_STEPS, run_expert

    whole = make_task('metaworld/reach-v3-state')
    steps = run_expert(whole, 3).steps - HOLD_STEPS
    whole.close()

    class Expert(StreamingPolicy):
        def tick(self, observation):
            from dp_ros.simulation.metaworld_expert import expert_target

            target = expert_target(robot, robot.make_expert())
            return replace(super().tick(observation), positions=np.tile(target, (16, 1)))

    robot.episode_steps = 500
    try:
        policy = tiny_policy(replace(CONTRACT, timing=replace(CONTRACT.timing, action_horizon=1)))
        record = run_direct_episode(robot, Expert(policy), 3)
    finally:
        robot.episode_steps = 24
    assert record.success
    assert record.steps == steps


def test_what_does_not_fit_is_refused(robot):
    slow = replace(CONTRACT, timing=replace(CONTRACT.timing, period_ns=20_000_000))
    with pytest.raises(ConfigError, match='12500000 ns'):
        run_direct_episode(robot, StreamingPolicy(tiny_policy(slow)), 3)
    asked = StreamingPolicy(tiny_policy(replace(CONTRACT, goals=('instruction',))))
    robot.reset(3)
    assert GoalChoice().of(robot, asked.policy.contract).instruction == robot.instruction
    with pytest.raises(GoalError, match=r"takes no goal 'image'; legal: \['instruction'\]"):
        run_direct_episode(robot, asked, 3, GoalChoice('image'))


def test_a_goals_picture_has_the_networks_size():
    pictured = StreamingPolicy(tiny_policy(replace(PICTURES, goals=('image',))))
    robot = make_task('metaworld/drawer-close-v3')
    robot.reset(3)
    assert GoalChoice().of(robot, pictured.policy.contract).image.shape == (84, 84, 3)
    robot.close()


def test_a_suite_runs_task_after_task(suite, tmp_path, capsys):
    checkpoint = tiny_checkpoint(tmp_path / 'tiny', CONTRACT)
    argv = [
        'rollout',
        '--checkpoint',
        str(checkpoint),
        '--task',
        'pair',
        '--episodes',
        '1',
        '--processes',
        '1',
    ]
    assert main([*argv, '--json', str(tmp_path / 'figures.json')]) == 0
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert list(figures['tasks']) == list(SUITES['pair'])
    assert figures['episodes'] == 2
    assert all(r['episodes'] == 1 and len(r['success_interval']) == 2 for r in figures['tasks'].values())
    assert [s['task'] for s in figures['seeds']] == list(SUITES['pair'])
    assert 'average over 2 tasks' in capsys.readouterr().out
    # In a suite an episode is what it is alone.
    runner = Runner(RolloutSettings(checkpoint=checkpoint, task='pair'))
    runner.episode(0)
    after = runner.episode(0, 'metaworld/push-v3-state')
    alone = Runner(RolloutSettings(checkpoint=checkpoint, task='metaworld/push-v3-state'))
    np.testing.assert_array_equal(after.measured, alone.episode(0).measured)
    runner.close()
    alone.close()


@pytest.mark.parametrize('seed', ['100000', '995', '5000'])
def test_only_seeds_of_tests_and_validation_are_rolled_out(seed, tmp_path, capsys):
    argv = ['rollout', '--checkpoint', str(tmp_path), '--seed', seed, '--episodes', '10']
    assert main(argv) == 2
    assert 'legal: 0 to 999 (test)' in capsys.readouterr().err
