# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The brake: within the bounds, exact, together, and not a step longer than it must be."""

import numpy as np
import pytest

from dp_ros.action.brake import brake


def differences(known, controls, order):
    rows = np.concatenate([known, controls, np.repeat(controls[-1:], 3, axis=0)])
    return np.diff(rows, n=order, axis=0)


def moving(rng, joints, second, third):
    """Three controls of a motion that keeps the bounds."""
    first = rng.normal(scale=10.0, size=joints) * second
    bend = rng.uniform(-1, 1, size=joints) * np.minimum(second, third)
    end = rng.normal(size=joints)
    return np.stack([end - 2 * first + bend, end - first, end])


def test_it_keeps_the_bounds_and_ends_exactly_at_rest():
    rng = np.random.default_rng(0)
    for _ in range(200):
        second = rng.uniform(0.001, 0.01, size=5)
        third = second * rng.choice([0.2, 0.5, 1.0, 2.0])
        known = moving(rng, 5, second, third)
        controls = brake(known, second, third)
        np.testing.assert_array_equal(controls[-1], controls[-2])
        assert np.all(np.abs(differences(known, controls, 2)) <= second * (1 + 1e-6))
        assert np.all(np.abs(differences(known, controls, 3)) <= third * (1 + 1e-6))


@pytest.mark.parametrize(
    ('speed', 'steps'), [(0.5, 1), (1.0, 1), (1.5, 2), (2.0, 2), (2.0001, 3), (10.0, 10)]
)
def test_from_constant_speed_it_takes_speed_over_deceleration(speed, steps):
    """Where the jerk does not count: d steps of a at most, one row more for the rest."""
    known = np.array([[-2 * speed], [-speed], [0.0]])
    controls = brake(known, np.ones(1), np.full(1, 2.0))
    assert len(controls) == steps
    np.testing.assert_allclose(np.diff(controls, n=2, axis=0)[:-1], -speed / steps, atol=1e-9)


def test_all_joints_rest_at_the_same_time_and_keep_their_path():
    first = np.array([3.0, 1.5, -0.3, 0.0])
    known = np.stack([-2 * first, -first, 0 * first])
    controls = brake(known, np.ones(4), np.full(4, 2.0))
    for column in (1, 2):
        np.testing.assert_allclose(controls[:, column], controls[:, 0] * first[column] / first[0], atol=1e-9)
    np.testing.assert_array_equal(controls[:, 3], 0.0)


def test_one_step_less_would_not_do():
    rng = np.random.default_rng(1)
    for _ in range(50):
        second = np.full(1, 0.01)
        known = moving(rng, 1, second, 2 * second)
        first = known[2] - known[1]
        count = len(brake(known, second, 2 * second))
        # Even at full deceleration from the first step on, fewer steps leave some of the velocity.
        assert (count - 1) * second[0] < abs(first[0]) or count <= 3


def test_with_a_jerk_limit_the_deceleration_comes_and_goes_gradually():
    known = np.array([[-20.0], [-10.0], [0.0]])
    bends = differences(known, brake(known, np.ones(1), np.full(1, 0.25)), 2)[:, 0]
    np.testing.assert_allclose(bends[1:5], [-0.25, -0.5, -0.75, -1.0], atol=1e-6)
    assert np.abs(np.diff(bends)).max() <= 0.25 + 1e-9


def test_at_rest_it_goes_nowhere():
    np.testing.assert_array_equal(brake(np.ones((3, 2)), np.ones(2), np.ones(2)), 1.0)
