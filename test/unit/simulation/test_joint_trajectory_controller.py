# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The controller's documented rules, one by one."""

import numpy as np
import pytest

from dp_ros.errors import TrajectoryRejected
from dp_ros.simulation.joint_trajectory_controller import JointTrajectoryController

MS = 1_000_000
T0 = 5_000 * MS
NAMES = ('a', 'b')
HERE = np.array([0.1, -0.2])


@pytest.fixture
def controller():
    made = JointTrajectoryController(NAMES, 20 * MS)
    made.reset(HERE)
    return made


def line(slope=1.0, points=3, step=100 * MS):
    times = np.arange(points) * step
    return times, np.stack([times * 1e-9 * slope, -times * 1e-9 * slope], axis=1)


def test_without_a_trajectory_it_holds_where_it_was_reset(controller):
    p, v = controller.update(T0, HERE + 1.0)
    np.testing.assert_array_equal(p, HERE)
    np.testing.assert_array_equal(v, 0.0)
    fresh = JointTrajectoryController(NAMES, 20 * MS)
    np.testing.assert_array_equal(fresh.update(T0, HERE)[0], HERE)
    np.testing.assert_array_equal(fresh.update(T0 + 1, HERE + 1.0)[0], HERE)


def test_without_velocities_it_moves_on_lines(controller):
    times, p = line()
    controller.accept(T0, T0, NAMES, times, p)
    got_p, got_v = controller.update(T0 + 50 * MS, HERE)
    np.testing.assert_allclose(got_p, [0.05, -0.05])
    np.testing.assert_allclose(got_v, [1.0, -1.0])


def test_with_velocities_it_moves_on_the_cubic(controller):
    t = np.array([0.0, 0.3])
    cubic = np.polynomial.Polynomial([0.2, 1.0, -4.0, 3.0])
    p, v = cubic(t), cubic.deriv()(t)
    both = lambda x: np.stack([x, 2 * x], axis=1)  # noqa: E731
    controller = JointTrajectoryController(NAMES, 20 * MS, allow_nonzero_velocity_at_trajectory_end=True)
    controller.accept(T0, T0, NAMES, (t * 1e9).astype(int), both(p), both(v))
    for s in (0.0, 0.1, 0.25):
        got_p, got_v = controller.update(T0 + round(s * 1e9), HERE)
        np.testing.assert_allclose(got_p, [cubic(s), 2 * cubic(s)], atol=1e-12)
        np.testing.assert_allclose(got_v, [cubic.deriv()(s), 2 * cubic.deriv()(s)], atol=1e-12)


def test_a_past_stamp_is_sampled_at_now(controller):
    times, p = line()
    controller.accept(T0, T0 - 150 * MS, NAMES, times, p)
    np.testing.assert_allclose(controller.update(T0, HERE)[0], [0.15, -0.15])


def test_a_stamp_of_zero_starts_at_the_next_update(controller):
    times, p = line()
    controller.accept(T0, 0, NAMES, times, p)
    np.testing.assert_allclose(controller.update(T0 + 20 * MS, HERE)[0], [0.0, 0.0])
    np.testing.assert_allclose(controller.update(T0 + 50 * MS, HERE)[0], [0.03, -0.03])


@pytest.mark.parametrize(('desired', 'start'), [(False, HERE + 1.0), (True, HERE)])
def test_a_future_stamp_drops_the_old_and_moves_from_the_state_before(desired, start):
    controller = JointTrajectoryController(NAMES, 20 * MS, interpolate_from_desired_state=desired)
    controller.reset(HERE)
    controller.update(T0, HERE)
    times, p = line(points=2)
    controller.accept(T0 + 5, T0 + 120 * MS, NAMES, times, p + 2.0)
    controller.update(T0 + 20 * MS, HERE + 1.0)
    got, _ = controller.update(T0 + 70 * MS, HERE + 1.0)
    since, duration = (70, 120) if desired else (50, 100)
    np.testing.assert_allclose(got, start + (2.0 - start) * since / duration)


def test_a_new_message_replaces_the_whole_trajectory(controller):
    times, p = line(points=11)
    controller.accept(T0, T0, NAMES, times, p)
    controller.update(T0 + 20 * MS, HERE)
    controller.accept(T0 + 30 * MS, T0, NAMES, times[:2], p[:2] + 5.0)
    np.testing.assert_allclose(controller.update(T0 + 40 * MS, HERE)[0], [5.04, 4.96])
    np.testing.assert_allclose(controller.update(T0 + 400 * MS, HERE)[0], [5.1, 4.9])


def test_after_the_last_point_it_holds_with_velocity_zero(controller):
    times, p = line()
    controller.accept(T0, T0, NAMES, times, p)
    for at in (200, 201, 10_000):
        got_p, got_v = controller.update(T0 + at * MS, HERE)
        np.testing.assert_allclose(got_p, [0.2, -0.2])
        np.testing.assert_array_equal(got_v, 0.0)


def test_names_may_come_in_another_order(controller):
    times, p = line()
    controller.accept(T0, T0, NAMES[::-1], times, p[:, ::-1], np.zeros_like(p))
    np.testing.assert_allclose(controller.update(T0 + 100 * MS, HERE)[0], [0.1, -0.1])


def test_jazzy_commands_one_period_ahead():
    controller = JointTrajectoryController(NAMES, 20 * MS, sample_ahead=True)
    times, p = line()
    controller.accept(T0, T0, NAMES, times, p)
    np.testing.assert_allclose(controller.update(T0, HERE)[0], [0.02, -0.02])


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'joint_names': ('a',)}, r"don't match the controller joints: missing \['b'\]"),
        ({'joint_names': ('a', 'c')}, "Incoming joint c doesn't match"),
        ({'joint_names': ('a', 'a')}, 'stand twice'),
        ({'times_ns': []}, 'Empty trajectory'),
        ({'times_ns': [0, 100, 100]}, 'Time between points 1 and 2 is not strictly increasing'),
        ({'stamp_ns': T0 - 300 * MS}, 'non-zero start time .* ends in the past'),
        ({'positions': np.zeros((3, 1))}, 'Mismatch between joint_names size .* positions'),
        ({'velocities': np.zeros((2, 2))}, 'Mismatch between joint_names size .* velocities'),
        ({'velocities': np.ones((3, 2))}, 'Velocity of last trajectory point of joint a is not zero'),
    ],
)
def test_rejections_have_reasons_and_leave_the_present_trajectory(controller, changes, reason):
    times, p = line()
    controller.accept(T0, T0, NAMES, times, p)
    message = {'stamp_ns': T0, 'joint_names': NAMES, 'times_ns': times, 'positions': p + 9.0, **changes}
    with pytest.raises(TrajectoryRejected, match=reason):
        controller.accept(T0 + 1, **message)
    np.testing.assert_allclose(controller.update(T0 + 100 * MS, HERE)[0], [0.1, -0.1])


def test_inputs_and_outputs_are_not_shared(controller):
    times, p = line()
    keep = p.copy()
    controller.accept(T0, T0, NAMES, times, p)
    p[:] = 99.0
    got, _ = controller.update(T0 + 200 * MS, HERE)
    np.testing.assert_allclose(got, keep[-1])
    got[:] = 77.0
    np.testing.assert_allclose(controller.update(T0 + 201 * MS, HERE)[0], keep[-1])
