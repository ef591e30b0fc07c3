# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The scripted expert: kinematics, one smooth branch, success."""

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip('gym_aloha')

from dp_ros.errors import TaskError
from dp_ros.simulation.arm_path import STEPS
from dp_ros.simulation.demonstration import demonstrate
from dp_ros.simulation.expert import ExpertSettings, TransferCubeExpert
from dp_ros.simulation.robot import SimulatedRobot, make_task
from dp_ros.simulation.viperx import LEFT_BASE, RIGHT_BASE, joints_from_tip, tip_from_joints


@pytest.fixture(scope='module')
def robot() -> Iterator[SimulatedRobot]:
    robot = make_task('aloha_transfer_cube')
    yield robot
    robot.close()


def test_kinematics_are_the_models_and_invert(robot: SimulatedRobot) -> None:
    robot.reset(0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        arm = np.array([*rng.uniform([-0.4, -1.1, 0.5], [0.4, -0.3, 1.3]), 0.0, *rng.uniform(-0.5, 0.5, 2)])
        robot.physics.data.qpos[0:6] = robot.physics.data.qpos[8:14] = arm
        robot.physics.forward()
        for base, side in ((LEFT_BASE, 'left'), (RIGHT_BASE, 'right')):
            tip, pitch = tip_from_joints(base, arm, 0.0)
            np.testing.assert_allclose(
                tip, robot.physics.named.data.xpos[f'vx300s_{side}/gripper_link'], atol=1e-5
            )
            np.testing.assert_allclose(joints_from_tip(base, tip, pitch, arm[5], 0.0), arm, atol=1e-9)


def test_unreachable_poses_are_refused() -> None:
    with pytest.raises(TaskError, match='reach'):
        joints_from_tip(LEFT_BASE, np.array([1.0, 0.5, 0.3]), 0.0, 0.0, 0.1)


def test_plans_start_at_rest_stay_on_one_branch_and_end_at_rest(robot: SimulatedRobot) -> None:
    robot.reset(0)
    start, end = robot.joint_positions(), ExpertSettings().end_step
    rolls = [robot.joint_names.index(f'{arm}_arm_forearm_roll') for arm in ('left', 'right')]
    corners = [(x, y, 0.05) for x in (0.0, 0.1, 0.2) for y in (0.4, 0.5, 0.6)]
    plans = np.array([TransferCubeExpert().plan(np.array(cube), start) for cube in corners])
    assert plans.shape == (9, STEPS, 14)
    np.testing.assert_allclose(plans[:, 0], np.broadcast_to(start, (9, 14)), atol=1e-9)
    assert np.abs(np.diff(plans, axis=1)).max() < 0.1
    assert not plans[..., rolls].any()
    assert not np.diff(plans[:, end:], axis=1).any()
    # Neighbouring cubes have neighbouring plans: no branch is left anywhere between the corners.
    assert np.abs(np.diff(plans.reshape(3, 3, STEPS, 14), axis=0)).max() < 0.7
    assert np.abs(np.diff(plans.reshape(3, 3, STEPS, 14), axis=1)).max() < 0.7


def test_strict_success_without_noise(robot: SimulatedRobot) -> None:
    for seed in range(50_000, 50_005):
        robot.reset(seed)
        for command in TransferCubeExpert().plan(robot.privileged(), robot.joint_positions()):
            robot.step(command)
        result = robot.result()
        assert result.success, seed
        assert result.strict_success, seed
        assert result.max_reward == 4.0


def test_demonstrations_hold_what_was_seen_and_the_clean_label(robot: SimulatedRobot) -> None:
    episode, result = demonstrate(robot, TransferCubeExpert(), 50_000, 0.01)
    episode.check(robot.contract, 'demonstration')
    assert len(episode) == 150
    assert result.done
    assert np.diff(episode.stamps_ns).tolist() == [40_000_000] * 149
    robot.reset(50_000)
    plan = TransferCubeExpert().plan(robot.privileged(), robot.joint_positions())
    np.testing.assert_array_equal(episode.commands, plan[::2].astype(np.float32))
    # The first frame is the reset: nothing has been commanded yet.
    np.testing.assert_array_equal(episode.proprio[0, -1], robot.joint_positions().astype(np.float32))
    np.testing.assert_array_equal(episode.privileged[0], robot.privileged().astype(np.float32))
    # Noise moves the arms off the plan, but the labels know nothing of it.
    clean, _ = demonstrate(robot, TransferCubeExpert(), 50_000, 0.0)
    assert np.abs(clean.proprio - episode.proprio).max() > 1e-3
    np.testing.assert_array_equal(clean.commands, episode.commands)
