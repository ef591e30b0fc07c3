# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Limits: what is legal, and what they mean for controls."""

import numpy as np
import pytest

from dp_ros.action.limits import MotionLimits
from dp_ros.errors import ConfigError

MS = 1_000_000


def test_one_number_serves_all_joints_and_several_one_each():
    limits = MotionLimits.of(3, acceleration=2.0, velocity=[1.0, 2.0, 3.0])
    np.testing.assert_array_equal(limits.acceleration, [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(limits.velocity, [1.0, 2.0, 3.0])
    assert np.all(np.isinf(limits.jerk))
    assert limits.width == 3
    assert not limits.lower.flags.writeable


@pytest.mark.parametrize(
    ('wrong', 'match'),
    [
        ({'acceleration': 0.0}, r'acceleration\[0\] = 0'),
        ({'acceleration': np.inf}, r'acceleration\[0\] = inf'),
        ({'acceleration': [1.0, np.nan]}, r'acceleration\[1\] = nan'),
        ({'acceleration': 1.0, 'velocity': -1.0}, r'velocity\[0\] = -1'),
        ({'acceleration': 1.0, 'lower': 1.0, 'upper': 0.0}, r'lower\[0\] = 1.0, upper\[0\] = 0.0'),
        (
            {'acceleration': [1.0, 2.0, 3.0]},
            'acceleration must be one number, or one for each of the 2 joints',
        ),
    ],
)
def test_what_is_illegal_is_named(wrong, match):
    with pytest.raises(ConfigError, match=match):
        MotionLimits.of(2, **wrong)


def test_differences_of_a_bounded_motion_keep_the_steps():
    """A sine at the limits: its samples' differences are within the bounds, and close to them."""
    w = 3.0
    limits = MotionLimits.of(1, velocity=w, acceleration=w**2, jerk=w**3)
    t = np.arange(0, 4, 0.02)[:, None]
    for order, bound in enumerate(limits.steps(20 * MS), 1):
        largest = np.abs(np.diff(np.sin(w * t), n=order, axis=0)).max()
        assert 0.99 * bound < largest <= bound


def test_without_a_jerk_limit_the_acceleration_turns_round_within_one_point():
    _, second, third = MotionLimits.of(1, acceleration=5.0).steps(20 * MS)
    np.testing.assert_allclose(third, 2.0 * second)


def test_slower_motion_keeps_the_scaled_limits():
    limits = MotionLimits.of(1, velocity=1.0, acceleration=2.0, jerk=4.0).scaled(0.5)
    assert (limits.velocity[0], limits.acceleration[0], limits.jerk[0]) == (0.5, 0.5, 0.5)
