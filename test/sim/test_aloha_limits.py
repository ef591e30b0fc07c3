# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The limits of the simulated site are the arm's own and cut nothing that the task needs; kinematics are MuJoCo's."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip('gym_aloha')

from dp_ros.contract.binding import Binding
from dp_ros.contract.urdf import parse_urdf
from dp_ros.share import share_path
from dp_ros.simulation.expert import TransferCubeExpert
from dp_ros.simulation.robot import SimulatedRobot, make_task
from dp_ros.simulation.viperx import LEFT_BASE, tip_from_joints

ARM = ('waist', 'shoulder', 'elbow', 'forearm_roll', 'wrist_angle', 'wrist_rotate')


@pytest.fixture(scope='module')
def robot() -> Iterator[SimulatedRobot]:
    robot = make_task('aloha_transfer_cube')
    yield robot
    robot.close()


@pytest.fixture(scope='module')
def binding() -> Binding:
    return Binding.from_yaml(share_path('config', 'bindings', 'aloha_sim.yaml'))


def test_ranges_are_those_of_the_model(robot: Any, binding: Binding) -> None:
    model = robot.physics.model
    for side in ('left', 'right'):
        for name in ARM:
            low, high = model.jnt_range[model.name2id(f'vx300s_{side}/{name}', 'joint')]
            assert binding.joints[f'{side}_arm_{name}'].position == pytest.approx((low, high), abs=1e-5)
        low, high = model.jnt_range[model.name2id(f'vx300s_{side}/left_finger', 'joint')]
        bound = binding.joints[f'{side}_arm_gripper'].position
        assert bound is not None
        assert bound[0] < low < high < bound[1]


def test_the_expert_stays_inside(robot: Any, binding: Binding) -> None:
    limits = binding.limits(robot.joint_names)
    robot.reset(0)
    start = robot.joint_positions()
    cubes = [(x, y, 0.05) for x in (0.0, 0.1, 0.2) for y in (0.4, 0.5, 0.6)]
    plans = np.array([TransferCubeExpert().plan(np.array(cube), start) for cube in cubes])
    assert np.all(plans >= limits.lower)
    assert np.all(plans <= limits.upper)
    # Measured fingers overshoot the model's own range: its joint limits are soft.
    assert np.all(start >= limits.lower)


def urdf_of(robot: Any, side: str) -> str:
    """The arm of the MuJoCo model, body by body, as a URDF."""
    model = robot.physics.model
    bodies = [i for i in range(model.nbody) if model.id2name(i, 'body').startswith(f'vx300s_{side}')]
    root = bodies[0]
    text = ''.join(f'<link name="{model.id2name(i, "body")}"/>' for i in bodies)
    for i in bodies[1:]:
        w, x, y, z = model.body_quat[i]
        rpy = (
            np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
            np.arcsin(np.clip(2 * (w * y - z * x), -1, 1)),
            np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
        )
        kind, axis, name = 'fixed', (1, 0, 0), f'fixed_{i}'
        if model.body_jntnum[i]:
            joint = model.body_jntadr[i]
            assert not model.jnt_pos[joint].any()
            kind = 'prismatic' if model.jnt_type[joint] == 2 else 'revolute'
            axis, name = model.jnt_axis[joint], model.id2name(joint, 'joint')
        numbers = [' '.join(f'{v:.17g}' for v in vector) for vector in (model.body_pos[i], rpy, axis)]
        text += (
            f'<joint name="{name}" type="{kind}"><origin xyz="{numbers[0]}" rpy="{numbers[1]}"/>'
            f'<parent link="{model.id2name(model.body_parentid[i], "body")}"/>'
            f'<child link="{model.id2name(i, "body")}"/><axis xyz="{numbers[2]}"/>'
            '<limit lower="-4" upper="4" velocity="3" effort="1"/></joint>'
        )
    return f'<robot name="{model.id2name(root, "body")}">{text}</robot>'


@pytest.mark.parametrize('side', ['left', 'right'])
def test_forward_kinematics_is_mujocos(robot: Any, side: str) -> None:
    described = parse_urdf(urdf_of(robot, side))
    moving = [joint.name for joint in described.joints.values() if joint.type != 'fixed']
    assert len(moving) == 8
    rng = np.random.default_rng(0)
    robot.reset(0)
    data = robot.physics.named.data
    for _ in range(20):
        angles = {name: rng.uniform(-3, 3) for name in moving}
        for name, angle in angles.items():
            data.qpos[name] = angle
        robot.physics.forward()
        root_turn = data.xmat[described.root].reshape(3, 3)
        for link in described.links:
            position, rotation = described.forward_kinematics(link, angles)
            np.testing.assert_allclose(
                data.xpos[described.root] + root_turn @ position, data.xpos[link], atol=1e-9
            )
            np.testing.assert_allclose(root_turn @ rotation, data.xmat[link].reshape(3, 3), atol=1e-9)


def test_forward_kinematics_is_the_closed_form_of_the_arm(robot: Any) -> None:
    described = parse_urdf(urdf_of(robot, 'left'))
    robot.reset(0)
    root = robot.physics.named.data.xpos[described.root]
    joints = np.array([0.3, -0.9, 1.1, 0.0, -0.4, 0.2])
    angles = {f'vx300s_left/{name}': joints[i] for i, name in enumerate(ARM)}
    tip, _ = tip_from_joints(LEFT_BASE, joints, 0.0)
    position, _ = described.forward_kinematics('vx300s_left/gripper_link', angles)
    np.testing.assert_allclose(root + position, tip, atol=1e-5)
