# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Rotations and poses: representations agree with each other, angles and speeds with what they mean, gates refuse."""

import numpy as np
import pytest

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.pose import (
    PoseColumns,
    gate_poses,
    orthonormal,
    pose_from_quaternion,
    pose_speeds,
    pose_to_quaternion,
)
from dp_ros.action.rotation import (
    MIN_LENGTH,
    angle_between,
    quaternion_from_rotation,
    rotation_from_6d,
    rotation_from_quaternion,
    rotation_to_6d,
)
from dp_ros.contract.robot_model import axis_rotation
from dp_ros.errors import ChunkError, MessageError

MS = 1_000_000
NAMES = ('g', 'x', 'y', 'z', 'a1', 'a2', 'a3', 'b1', 'b2', 'b3')
POSE = PoseColumns('arm', tuple(range(1, 10)), linear=0.5, angular=1.0)


def random_rotations(rng, count):
    """Uniform rotations (count, 3, 3)."""
    matrices, _ = np.linalg.qr(rng.normal(size=(count, 3, 3)))
    matrices[np.linalg.det(matrices) < 0, :, 2] *= -1
    return matrices


def chunk(rows, period_ns=100 * MS):
    return ActionChunk(0, period_ns, NAMES, np.concatenate([np.zeros((len(rows), 1)), rows], axis=1))


def turning(speed, steps=5, period_s=0.1, axis=(0.0, 0.6, 0.8)):
    """Poses that stand at one place and turn."""
    rotations = axis_rotation(np.array(axis), speed * period_s * np.arange(steps))
    return np.concatenate([np.full((steps, 3), 0.3), rotation_to_6d(rotations)], axis=1)


@pytest.mark.parametrize('seed', range(5))
def test_all_representations_are_one_rotation(seed):
    rotations = random_rotations(np.random.default_rng(seed), 50)
    np.testing.assert_allclose(rotation_from_6d(rotation_to_6d(rotations)), rotations, atol=1e-12)
    for rotation in rotations:
        quaternion = quaternion_from_rotation(rotation)
        assert np.linalg.norm(quaternion) == pytest.approx(1.0)
        assert quaternion[3] >= 0
        np.testing.assert_allclose(rotation_from_quaternion(quaternion), rotation, atol=1e-9)
        np.testing.assert_allclose(rotation_from_quaternion(-quaternion), rotation, atol=1e-9)


def test_quaternions_are_in_the_order_of_ros():
    quarter = rotation_from_quaternion([0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])
    np.testing.assert_allclose(quarter, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)


@pytest.mark.parametrize('seed', range(5))
def test_six_numbers_need_not_be_exact(seed):
    """Lengths do not matter, b may lean towards a, small noise turns little, and what results is a rotation."""
    rng = np.random.default_rng(seed)
    rotations = random_rotations(rng, 50)
    six = rotation_to_6d(rotations)
    a, b = six[:, :3], six[:, 3:]
    loose = np.concatenate(
        [a * rng.uniform(0.2, 5, (50, 1)), b * rng.uniform(0.2, 5, (50, 1)) + a * rng.normal(size=(50, 1))],
        axis=1,
    )
    np.testing.assert_allclose(rotation_from_6d(loose), rotations, atol=1e-10)
    noisy = rotation_from_6d(six + rng.normal(size=six.shape) * 1e-3)
    np.testing.assert_allclose(
        noisy @ noisy.swapaxes(1, 2), np.broadcast_to(np.eye(3), (50, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(noisy), 1.0)
    assert np.all(angle_between(rotations, noisy) < 0.02)
    poses = np.concatenate([rng.normal(size=(50, 3)), six + rng.normal(size=six.shape) * 0.05], axis=1)
    np.testing.assert_allclose(orthonormal(orthonormal(poses)), orthonormal(poses), atol=1e-12)


@pytest.mark.parametrize('angle', [0.0, 1e-9, 1e-4, 0.3, 1.5, 3.0, np.pi - 1e-6, np.pi])
def test_the_angle_between_two_rotations_is_the_angle_of_the_turn(angle):
    rng = np.random.default_rng(0)
    first = random_rotations(rng, 20)
    for axis in rng.normal(size=(5, 3)):
        second = first @ axis_rotation(axis / np.linalg.norm(axis), angle)
        np.testing.assert_allclose(angle_between(first, second), angle, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(angle_between(second, first), angle, rtol=1e-6, atol=1e-12)


def test_speeds_are_those_of_the_motion():
    rows = turning(0.8)
    rows[:, :3] += 0.05 * np.arange(5)[:, None] * np.array([0.0, 0.6, 0.8])
    linear, angular = pose_speeds(rows, 0.1)
    np.testing.assert_allclose(linear, 0.5)
    np.testing.assert_allclose(angular, 0.8)


def test_a_pose_goes_through_a_message_and_back():
    rng = np.random.default_rng(1)
    for rotation in random_rotations(rng, 20):
        row = np.concatenate([rng.normal(size=3), rotation_to_6d(rotation)])
        np.testing.assert_allclose(pose_from_quaternion(*pose_to_quaternion(row)), row, atol=1e-9)


def test_the_gate_makes_rotations_of_six_numbers_and_leaves_the_rest():
    rows = turning(0.9)
    loose = rows * np.r_[np.ones(3), np.full(3, 1.7), np.full(3, 0.6)]
    passed = gate_poses(chunk(loose), [POSE])
    np.testing.assert_allclose(passed.positions[:, 1:], rows, atol=1e-12)
    assert passed.id == chunk(loose).id
    plain = chunk(loose)
    assert gate_poses(plain, []) is plain


@pytest.mark.parametrize(('linear', 'angular', 'word'), [(0.51, 0.1, 'linear'), (0.1, 1.01, 'angular')])
def test_a_chunk_that_is_too_fast_is_refused_unless_it_can_be_slowed_down(linear, angular, word):
    rows = turning(angular)
    rows[:, 0] += linear * 0.1 * np.arange(5)
    with pytest.raises(ChunkError, match=f"limits: arm 'arm': {word} speed of") as refused:
        gate_poses(chunk(rows), [POSE])
    assert refused.value.gate == 'limits'
    gate_poses(chunk(rows), [POSE], max_speed_ratio=1.05)


def test_fast_numbers_that_are_one_rotation_pass():
    """Lengths that change from row to row are no motion."""
    rows = turning(0.0)
    rows[:, 3:] *= np.array([1.0, 3.0, 0.5, 2.0, 1.0])[:, None]
    gate_poses(chunk(rows), [POSE])


@pytest.mark.parametrize(
    ('a', 'b', 'word'),
    [
        ((0, 0, 0), (0, 1, 0), 'column a'),
        ((1, 0, 0), (0, 0, 0), 'column b'),
        ((1, 0, 0), (-3, 0, 0), 'column b'),
        ((0, MIN_LENGTH * 0.9, 0), (0, 0, 1), 'column a'),
        ((np.nan, 0, 0), (0, 0, 1), 'column a'),
        ((1, 0, 0), (0, np.inf, 1), 'column b'),
    ],
)
def test_numbers_that_are_no_rotation_are_refused(a, b, word):
    rows = turning(0.1)
    rows[2, 3:] = (*a, *b)
    with pytest.raises(ChunkError, match=f"finite: arm 'arm': 6D rotation: {word}.* in 1 row") as refused:
        gate_poses(chunk(rows), [POSE])
    assert refused.value.gate == 'finite'


@pytest.mark.parametrize('quaternion', [(0, 0, 0, 0), (0, 0, 0, 2), (np.nan, 0, 0, 1)])
def test_a_quaternion_that_is_no_rotation_is_refused(quaternion):
    with pytest.raises(MessageError, match='must have length 1'):
        rotation_from_quaternion(quaternion)
