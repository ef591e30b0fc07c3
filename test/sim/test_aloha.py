# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The ALOHA environment as a robot: units, determinism, results, and that the physics is the package's."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip('gym_aloha')

from dp_ros.errors import ContractError, TaskError
from dp_ros.simulation.aloha import GRIPPER_CLOSED_M, GRIPPER_COLUMNS, GRIPPER_OPEN_M
from dp_ros.simulation.robot import SimulatedRobot, make_task


@pytest.fixture(scope='module')
def robot() -> Iterator[SimulatedRobot]:
    robot = make_task('aloha_transfer_cube')
    yield robot
    robot.close()


def wander(robot: SimulatedRobot, seed: int, steps: int) -> np.ndarray:
    """Joint positions under a smooth, arbitrary motion that reaches the table."""
    robot.reset(seed)
    start = robot.joint_positions()
    goal = start + np.random.default_rng(seed).uniform(-0.4, 0.4, start.shape)
    goal[list(GRIPPER_COLUMNS)] = 0.05
    out = []
    for k in range(steps):
        robot.step(start + (goal - start) * min(1.0, k / steps))
        out.append(robot.joint_positions())
    return np.array(out)


def test_grippers_are_metres(robot: SimulatedRobot) -> None:
    robot.reset(0)
    columns = list(GRIPPER_COLUMNS)
    np.testing.assert_allclose(robot.joint_positions()[columns], 0.02239)
    for target in (GRIPPER_OPEN_M, 0.04, GRIPPER_CLOSED_M + 0.003):
        command = robot.joint_positions()
        command[columns] = target
        for _ in range(80):
            robot.step(command)
        np.testing.assert_allclose(robot.joint_positions()[columns], target, atol=5e-4)


def test_units_agree_with_the_package(robot: SimulatedRobot) -> None:
    """The normalised state of gym_aloha is this one with its own conversion."""
    from gym_aloha.constants import normalize_puppet_gripper_position, normalize_puppet_gripper_velocity
    from gym_aloha.tasks.sim import BimanualViperXTask

    wander(robot, 3, 30)
    position, velocity = robot.joint_positions(), robot.joint_velocities()
    for column in GRIPPER_COLUMNS:
        position[column] = normalize_puppet_gripper_position(position[column])
        velocity[column] = normalize_puppet_gripper_velocity(velocity[column])
    np.testing.assert_allclose(position, BimanualViperXTask.get_qpos(robot.physics), atol=1e-12)
    np.testing.assert_allclose(velocity, BimanualViperXTask.get_qvel(robot.physics), atol=1e-12)


def test_equal_seeds_give_equal_episodes_and_pictures(robot: SimulatedRobot) -> None:
    first, picture = wander(robot, 11, 60), robot.render('top')
    wander(robot, 12, 20)
    second = wander(robot, 11, 60)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(picture, robot.render('top'))
    assert picture.shape == (480, 640, 3)
    assert picture.dtype == np.uint8


def test_seed_places_the_cube_and_the_camera_sees_it(robot: SimulatedRobot) -> None:
    centres = {}
    for seed in range(6):
        robot.reset(seed)
        picture = robot.render('top').astype(int)
        rows, columns = np.nonzero(picture[..., 0] > picture[..., 1] + 60)
        x, y = robot.privileged()[:2]
        assert 0.0 <= x <= 0.2
        assert 0.4 <= y <= 0.6
        centres[x, y] = (columns.mean(), rows.mean())
    world, pixels = np.array(list(centres)), np.array(list(centres.values()))
    # Seen from above: columns grow with x, rows with -y, by about 400 pixels a metre.
    assert np.corrcoef(world[:, 0], pixels[:, 0])[0, 1] > 0.999
    assert np.corrcoef(world[:, 1], pixels[:, 1])[0, 1] < -0.999


def test_crop_covers_every_place_of_the_cube(robot: SimulatedRobot) -> None:
    top, left, height, width = robot.contract.cameras[0].crop
    robot.reset(0)
    for x in (0.0, 0.2):
        for y in (0.4, 0.6):
            robot.physics.named.data.qpos[-7:-4] = [x, y, 0.05]
            robot.physics.forward()
            picture = robot.render('top').astype(int)
            rows, columns = np.nonzero(picture[..., 0] > picture[..., 1] + 60)
            assert top < rows.min()
            assert rows.max() < top + height - 1
            assert left < columns.min()
            assert columns.max() < left + width - 1


def test_physics_is_the_packages_own(robot: SimulatedRobot) -> None:
    """Step for step the same state as an environment whose observation is not replaced."""
    import gym_aloha  # noqa: F401
    import gymnasium

    plain = gymnasium.make('gym_aloha/AlohaTransferCube-v0', obs_type='pixels_agent_pos')
    observation, _ = plain.reset(seed=5)
    robot.reset(5)
    commands = robot.joint_positions() + np.linspace(0, 0.2, 5)[:, None]
    for command in commands:
        action = command.copy()
        for column in GRIPPER_COLUMNS:
            action[column] = (action[column] - 0.01844) / (0.05800 - 0.01844)
        observation, *_ = plain.step(action)
        robot.step(command)
        mine = robot.joint_positions()
        for column in GRIPPER_COLUMNS:
            mine[column] = (mine[column] - 0.01844) / (0.05800 - 0.01844)
        np.testing.assert_allclose(mine, observation['agent_pos'], atol=1e-12)


def test_an_idle_episode_fails_and_is_counted(robot: SimulatedRobot) -> None:
    robot.reset(4)
    hold = robot.joint_positions()
    for _ in range(robot.episode_steps - 1):
        robot.step(hold)
    assert not robot.result().done
    robot.step(hold)
    result = robot.result()
    assert (result.seed, result.steps, result.done) == (4, 300, True)
    assert (result.max_reward, result.success, result.strict_success) == (0.0, False, False)
    robot.reset(5)
    assert robot.result().steps == 0


def test_bad_commands_and_cameras_are_refused(robot: SimulatedRobot) -> None:
    robot.reset(0)
    before = robot.joint_positions()
    command = robot.joint_positions()
    command[3] = np.nan
    with pytest.raises(ContractError, match='finite'):
        robot.step(command)
    with pytest.raises(ContractError, match='14'):
        robot.step(np.zeros(7))
    with pytest.raises(TaskError, match=r"legal: \['top'\]"):
        robot.render('wrist')
    np.testing.assert_array_equal(robot.joint_positions(), before)


def test_inputs_are_not_mutated_and_outputs_are_copies(robot: SimulatedRobot) -> None:
    robot.reset(0)
    command = robot.joint_positions()
    command.flags.writeable = False
    robot.step(command)
    robot.joint_positions()[:] = 9.0
    robot.joint_velocities()[:] = 9.0
    robot.render('top')[:] = 0
    assert abs(robot.joint_positions()).max() < 2.0
    assert robot.render('top').any()


@pytest.mark.parametrize('egl', [True, False])
def test_no_opengl_is_a_clear_error_or_falls_back(egl: bool) -> None:
    """In a process of its own, because the backend is chosen once."""
    script = (
        'import os; os.environ.pop("MUJOCO_GL", None)\n'
        'from dp_ros.errors import TaskError\n'
        'from dp_ros.simulation import rendering\n'
        'rendering._egl_works = lambda: False\n'
        f'if not {egl}: rendering._loads = lambda library: False\n'
        'try: print(rendering.choose_backend())\n'
        'except TaskError as error: print(error)\n'
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, check=True)
    if egl:
        assert done.stdout.startswith(('osmesa', 'no headless OpenGL'))
    else:
        assert 'apt-get install libegl1' in done.stdout
