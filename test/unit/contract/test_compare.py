# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Can this checkpoint drive this robot? All differences at once."""

import pytest

from dp_ros.contract import Arm, Camera, Contract, Embodiment, Joint, Timing
from dp_ros.contract.compare import RobotDescription, compare, require_match
from dp_ros.errors import MismatchError

CONTRACT = Contract(
    name='pick',
    embodiment=Embodiment(
        arms=(
            Arm(name='left', joints=(Joint(name='l1'), Joint(name='l2')), gripper=Joint(name='lg', unit='m')),
            Arm(name='right', joints=(Joint(name='r1'),)),
        )
    ),
    cameras=(
        Camera(name='top', source_size=(480, 640), crop=(0, 0, 480, 640), size=(96, 128)),
        Camera(name='wrist', source_size=(240, 320), crop=(0, 0, 240, 320), size=(96, 128)),
    ),
    timing=Timing(obs_horizon=1, pred_horizon=4, action_horizon=2, period_ns=1),
)
JOINTS = {'l1': 'rad', 'l2': 'rad', 'lg': 'm', 'r1': 'rad'}
CAMERAS = {'top': (480, 640), 'wrist': (240, 320)}
ARMS = {'left': ('l1', 'l2', 'lg'), 'right': ('r1',)}


def robot(**changes):
    return RobotDescription(**{'joints': JOINTS, 'cameras': CAMERAS, 'arms': ARMS, **changes})


def test_a_robot_that_fits_has_no_difference():
    assert compare(CONTRACT, robot()) == []
    require_match(CONTRACT, robot())
    assert RobotDescription.of_contract(CONTRACT) == robot()


def test_order_unused_parts_and_unknown_facts_are_no_difference():
    fits = robot(
        joints={'wheel': 'rad', 'r1': None, 'lg': None, 'l2': None, 'l1': None},
        cameras={'side': (1, 1), 'wrist': None, 'top': (480, 640)},
        arms={'right': ('r1',), 'left': ('lg', 'l2', 'l1')},
    )
    assert compare(CONTRACT, fits) == []


@pytest.mark.parametrize(
    ('changes', 'difference'),
    [
        (
            {'joints': {k: v for k, v in JOINTS.items() if k != 'l2'}},
            "joint 'l2': needed by the checkpoint, not on the robot",
        ),
        ({'joints': {**JOINTS, 'lg': 'rad'}}, "joint 'lg': unit 'm' in the checkpoint, 'rad' on the robot"),
        ({'arms': {'left': ARMS['left']}}, "arm 'right': needed by the checkpoint, not on the robot"),
        ({'arms': {**ARMS, 'third': ('t1',)}}, "arm 'third': on the robot, not moved by the checkpoint"),
        ({'arms': {**ARMS, 'left': ('l1', 'l2')}}, "arm 'left': its controller does not have joint 'lg'"),
        (
            {'arms': {**ARMS, 'right': ('r1', 'r2')}},
            "arm 'right': its controller expects joint 'r2', which the checkpoint does not command",
        ),
        ({'cameras': {'top': (480, 640)}}, "camera 'wrist': needed by the checkpoint, not on the robot"),
        (
            {'cameras': {**CAMERAS, 'top': (720, 1280)}},
            "camera 'top': images of 640x480 in the checkpoint, 1280x720 on the robot",
        ),
    ],
)
def test_each_difference_is_named(changes, difference):
    assert compare(CONTRACT, robot(**changes)) == [difference]


def test_all_differences_come_at_once():
    wrong = robot(
        joints={'l1': 'm', 'lg': 'm'}, cameras={'top': (480, 641)}, arms={'left': ('l1', 'l2', 'x')}
    )
    with pytest.raises(MismatchError) as caught:
        require_match(CONTRACT, wrong, "binding 'lab'")
    text = str(caught.value)
    assert text.startswith("checkpoint 'pick' does not fit binding 'lab', 8 difference(s):\n")
    assert len(text.splitlines()) == 9
    for name in ("'l1'", "'l2'", "'lg'", "'r1'", "'x'", "'right'", "'top'", "'wrist'"):
        assert name in text


POSE = tuple(f'p{i}' for i in range(9))
POSES = Contract(
    name='poses',
    embodiment=Embodiment(
        arms=(Arm(name='left', joints=tuple(Joint(name=n, unit='m' if n < 'p3' else '1') for n in POSE)),)
    ),
    cameras=(),
    timing=CONTRACT.timing,
)


def test_poses_and_joints_are_not_confused():
    units = {joint.name: joint.unit for joint in POSES.embodiment.joints}
    site = RobotDescription(joints=units, arms={'left': POSE}, poses={'left': POSE})
    assert compare(POSES, site) == []
    assert RobotDescription.of_contract(POSES) == site
    assert compare(POSES, RobotDescription(joints=units, arms={'left': POSE})) == [
        "arm 'left': the checkpoint commands poses, its controllers take joint positions"
    ]
    (difference,) = compare(CONTRACT, robot(poses={'right': ('r1',)}))
    assert difference == "arm 'right': the checkpoint commands joint positions, its controller takes poses"


def test_the_order_of_a_poses_columns_is_a_difference():
    units = {joint.name: joint.unit for joint in POSES.embodiment.joints}
    turned = (*POSE[3:], *POSE[:3])
    (difference,) = compare(
        POSES, RobotDescription(joints=units, arms={'left': turned}, poses={'left': turned})
    )
    assert difference.startswith("arm 'left': columns of the pose ('p0', 'p1'")
    assert difference.endswith("'p2') on the robot")


def test_an_arm_acts_in_poses_where_its_units_say_so_whatever_its_gripper():
    gripper = Arm(name='a', joints=POSES.embodiment.arms[0].joints, gripper=Joint(name='g', unit='m'))
    assert gripper.acts_in_poses
    assert not CONTRACT.embodiment.arms[0].acts_in_poses
