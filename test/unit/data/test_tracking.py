# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A lag that was put in comes out; what stands still is still."""

import numpy as np
import pytest

from dp_ros.data.tracking import stillness, tracking

START_NS = 1_700_000_000_000_000_000
UNITS = ('rad', 'rad', 'm')


def curve(seconds):
    """(n, 3): two joints and a gripper; the second one is not commanded to move."""
    t = np.asarray(seconds)
    return np.stack([0.5 * np.sin(2 * t) + 0.1 * np.sin(7 * t), 0 * t, 0.02 * np.sin(3 * t)], axis=1)


def stamps(seconds):
    return START_NS + np.rint(np.asarray(seconds) * 1e9).astype(np.int64)


@pytest.mark.parametrize('lag', [-0.15, 0.0, 0.033, 0.08, 0.31])
def test_the_lag_of_the_motion_is_found(lag):
    rng = np.random.default_rng(0)
    command_s = np.arange(0, 8, 0.005)
    times = np.sort(rng.uniform(0, 8, 240))
    found = tracking(stamps(times), curve(times - lag), stamps(command_s), curve(command_s), UNITS)
    assert found.lag_s[[0, 2]] == pytest.approx([lag, lag], abs=0.002)
    assert np.isnan(found.lag_s[1]) and np.isnan(found.rms_at_lag[1])
    assert (found.rms_at_lag[[0, 2]] < 0.02 * np.array([0.5, 0.02])).all()
    assert (found.rms_at_lag[[0, 2]] <= found.rms[[0, 2]] + 1e-9).all()
    assert found.rms[1] == 0.0


def test_a_constant_error_is_told_and_a_short_episode_has_no_lag():
    times = np.arange(0, 0.5, 0.04)
    found = tracking(stamps(times), curve(times) + 0.1, stamps(times), curve(times), UNITS)
    assert found.rms == pytest.approx(0.1)
    assert np.isnan(found.lag_s).all()
    one = tracking(stamps([0]), curve([0]) + 0.1, stamps([0]), curve([0]), UNITS)
    assert one.rms == pytest.approx(0.1)


def test_stillness_at_the_beginning_in_the_middle_and_at_the_end():
    """Still for 2 s, moving for 1 s, still for 3 s, moving for 1 s, still for 1.5 s, at irregular times."""
    rng = np.random.default_rng(0)
    times = np.linspace(0, 8.5, 402)
    times[1:-1] += rng.uniform(-0.008, 0.008, 400)
    way = np.clip(times - 2, 0, 1) + np.clip(times - 6, 0, 1)
    noise = rng.uniform(-0.0004, 0.0004, (402, 3)) * np.array([1, 1, 0.1])
    measured = np.stack([0.3 * way, 0 * way, 0 * way], axis=1) + noise
    found = stillness(stamps(times), measured, UNITS)
    assert found.leading_s == pytest.approx(2.0, abs=0.1)
    assert found.trailing_s == pytest.approx(1.5, abs=0.1)
    # A window that sees a motion begin counts as moving.
    assert found.longest_s == pytest.approx(3.0, abs=0.3)
    assert found.share == pytest.approx(6.5 / 8.5, abs=0.08)


@pytest.mark.parametrize(
    ('column', 'speed', 'still'), [(0, 0.01, 1.0), (0, 0.05, 0.0), (2, 0.0005, 1.0), (2, 0.005, 0.0)]
)
def test_a_slow_drift_is_still_by_the_unit_of_the_joint(column, speed, still):
    times = np.arange(0, 3, 0.03)
    measured = np.zeros((100, 3))
    measured[:, column] = speed * times
    assert stillness(stamps(times), measured, UNITS).share == pytest.approx(still, abs=1e-9)


def test_one_observation_has_no_time_to_be_still():
    assert stillness(stamps([0.0]), np.zeros((1, 3)), UNITS).share == 0.0
