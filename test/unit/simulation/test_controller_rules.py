# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What the distributions share, and each rule in which they differ."""

import numpy as np
import pytest

from dp_ros.errors import TrajectoryRejected
from dp_ros.simulation.controller_rules import HUMBLE, JAZZY, KILTED, MASTER, SIMULATOR
from dp_ros.simulation.controller_spline import State, between
from dp_ros.simulation.joint_trajectory_controller import JointTrajectoryController

MS = 1_000_000
STEP = 2 * MS
T0 = 5_000 * MS
NAMES = ('a', 'b')
ALL = (HUMBLE, JAZZY, KILTED, MASTER)
REPLACING = (HUMBLE, JAZZY, KILTED, MASTER.with_parameters(allow_trajectory_replacement=False))
by_name = {'ids': lambda rules: f'{rules.name}{"-blend" if rules.allow_trajectory_replacement else ""}'}


def ramp(times_ns, slope=1.0, offset=0.0):
    seconds = np.asarray(times_ns)[:, None] * 1e-9
    return offset + slope * seconds * np.array([1.0, -2.0])


def made(rules, at=(0.0, 0.0)):
    controller = JointTrajectoryController(NAMES, STEP, rules=rules)
    controller.reset(at)
    return controller


def ahead(rules):
    return STEP if rules.sample_ahead else 0


def run(controller, start_ns, stop_ns, measured=(0.0, 0.0)):
    return [controller.update(at, measured)[0] for at in range(start_ns, stop_ns, STEP)]


@pytest.mark.parametrize('rules', REPLACING, **by_name)
def test_a_window_on_one_curve_gives_that_curve_whatever_was_before(rules):
    curve = lambda ns: np.stack([np.sin(ns * 1e-9), np.cos(ns * 1e-9)], axis=-1)  # noqa: E731
    slope = lambda ns: np.stack([np.cos(ns * 1e-9), -np.sin(ns * 1e-9)], axis=-1)  # noqa: E731
    times = np.arange(11) * 20 * MS
    stamp = T0 - 40 * MS
    controller = made(rules, (9.0, 9.0))
    v = slope(stamp + times)
    v[-1] = 0.0
    controller.accept(T0, stamp, NAMES, times, curve(stamp + times), v)
    for at in range(T0, T0 + 100 * MS, STEP):
        now = at + ahead(rules)
        p, _ = controller.update(at, (5.0, 5.0))
        np.testing.assert_allclose(p, curve(np.array(now)), atol=1e-8)  # the cubic of a sine over 20 ms


@pytest.mark.parametrize('rules', ALL, **by_name)
def test_a_first_point_at_zero_is_a_raw_step(rules):
    controller = made(rules)
    controller.accept(T0, 0, NAMES, [0], [[0.5, -0.5]])
    np.testing.assert_array_equal(controller.update(T0, (0.0, 0.0))[0], [0.5, -0.5])


@pytest.mark.parametrize('rules', ALL, **by_name)
def test_a_stamp_of_zero_starts_at_the_first_update(rules):
    controller = made(rules)
    times = np.array([0, 100, 200]) * MS
    controller.accept(T0, 0, NAMES, times, ramp(times))
    start = T0 + 6 * MS
    for i in range(4):
        p, v = controller.update(start + i * STEP, (0.0, 0.0))
        np.testing.assert_allclose(p, ramp([i * STEP + ahead(rules)])[0], atol=1e-12)
        np.testing.assert_allclose(v, [1.0, -2.0])


@pytest.mark.parametrize('rules', ALL, **by_name)
def test_what_ends_in_the_past_is_refused_and_a_stamp_of_now_with_time_zero_as_well(rules):
    controller = made(rules)
    with pytest.raises(TrajectoryRejected, match='ends in the past'):
        controller.accept(T0 + 1, T0, NAMES, [0], [[0.5, 0.5]])
    controller.accept(T0, T0, NAMES, [0], [[0.5, 0.5]])


@pytest.mark.parametrize('rules', ALL, **by_name)
def test_only_humble_takes_a_last_velocity_other_than_zero(rules):
    message = (T0, T0, NAMES, [0, 100 * MS], [[0.0, 0.0], [0.1, 0.1]], [[1.0, 1.0], [1.0, 0.0]])
    if rules is HUMBLE:
        made(rules).accept(*message)
    else:
        with pytest.raises(TrajectoryRejected, match='joint a is not zero'):
            made(rules).accept(*message)
        free = rules.with_parameters(allow_nonzero_velocity_at_trajectory_end=True)
        made(free).accept(*message)


@pytest.mark.parametrize('rules', ALL, **by_name)
def test_after_the_last_point_it_holds_with_velocity_zero(rules):
    controller = made(rules)
    times = np.array([0, 100]) * MS
    controller.accept(T0, T0, NAMES, times, ramp(times))
    run(controller, T0, T0 + 100 * MS)
    p, v = controller.update(T0 + 100 * MS, (0.0, 0.0))
    np.testing.assert_allclose(p, [0.1, -0.2])
    np.testing.assert_array_equal(v, 0.0)


@pytest.mark.parametrize('rules', ALL, **by_name)
def test_not_a_number_goes_through(rules):
    controller = made(rules)
    controller.accept(T0, T0, NAMES, [0, 100 * MS], np.full((2, 2), np.nan), np.full((2, 2), np.nan))
    assert np.isnan(controller.update(T0, (0.0, 0.0))[0]).all()


@pytest.mark.parametrize('rules', REPLACING, **by_name)
def test_a_future_stamp_drops_the_old_and_starts_from_the_measured_state(rules):
    controller = made(rules)
    times = np.arange(6) * 100 * MS
    controller.accept(T0, T0, NAMES, times, ramp(times))
    run(controller, T0, T0 + 50 * MS)
    at, first = T0 + 50 * MS, T0 + 90 * MS
    controller.accept(at, first, NAMES, times, ramp(times, offset=3.0))
    share = ahead(rules) / (first - at)
    expected = np.array([7.0, 7.0]) + (3.0 - 7.0) * share
    np.testing.assert_allclose(controller.update(at, (7.0, 7.0))[0], expected, atol=1e-12)


@pytest.mark.parametrize('rules', REPLACING, **by_name)
def test_the_state_before_can_be_the_last_command_which_skews_by_one_period_after_humble(rules):
    """On a line, a replacement that goes on along that line: exact on humble; a blip of twice the velocity later."""
    controller = made(rules.with_parameters(interpolate_from_desired_state=True))
    times = np.arange(1, 6) * 100 * MS
    controller.accept(T0, T0, NAMES, times, ramp(times))
    before = run(controller, T0, T0 + 200 * MS)[-1]
    at = T0 + 200 * MS
    # Times of the future only, in positions alone: the first cycle is a piece of the line from the state before.
    controller.accept(at, T0, NAMES, times[2:], ramp(times[2:]))
    step = controller.update(at, (9.0, 9.0))[0] - before
    one_cycle = ramp([STEP])[0]
    if rules is HUMBLE:
        # The state before is what was commanded one period earlier, taken for the present one.
        np.testing.assert_allclose(step, 0.0, atol=1e-12)
    else:
        # It was commanded for the present and is taken for one period earlier: two periods of the rest are passed.
        left = ramp([300 * MS])[0] - before
        np.testing.assert_allclose(step, left * 2 * STEP / (100 * MS + STEP), atol=1e-12)
        assert np.all(np.abs(step) > 1.9 * np.abs(one_cycle))


@pytest.mark.parametrize('rules', ALL, **by_name)
def test_a_state_before_without_velocities_gets_zeros_where_the_first_point_has_some(rules):
    controller = made(rules)
    controller.accept(T0, 0, NAMES, [100 * MS], [[1.0, 1.0]], [[0.0, 0.0]])
    got = run(controller, T0, T0 + 52 * MS)[-1]
    u = (50 * MS + ahead(rules)) / (100 * MS)
    np.testing.assert_allclose(got, u * u * (3 - 2 * u), atol=1e-12)


def test_the_measured_velocity_counts_where_there_is_one():
    controller = made(HUMBLE)
    controller.accept(T0, 0, NAMES, [100 * MS], [[0.1, 0.1]], [[0.0, 0.0]])
    _, v = controller.update(T0, (0.0, 0.0), (0.7, -0.3))
    np.testing.assert_allclose(v, [0.7, -0.3])


def test_master_starts_a_past_stamp_now_and_so_steps_back_on_the_very_same_curve():
    times = np.arange(11) * 20 * MS
    late = 30 * MS
    jumps = {}
    for rules in (MASTER, MASTER.with_parameters(allow_trajectory_replacement=False)):
        controller = made(rules)
        controller.accept(T0, T0, NAMES, times, ramp(times))
        before = run(controller, T0, T0 + late)[-1]
        controller.accept(T0 + late, T0, NAMES, times, ramp(times))
        jumps[rules.allow_trajectory_replacement] = (controller.update(T0 + late, (0.0, 0.0))[0] - before)[0]
    assert jumps[False] == pytest.approx(STEP * 1e-9)
    assert jumps[True] == pytest.approx((STEP - late) * 1e-9)


def test_master_keeps_to_the_old_trajectory_up_to_a_future_stamp_and_starts_it_one_period_late():
    controller = made(MASTER.with_parameters(interpolate_from_desired_state=True))
    times = np.arange(11) * 20 * MS
    controller.accept(
        T0, T0, NAMES, times, ramp(times), np.tile([1.0, -2.0], (11, 1)) * (times < 200 * MS)[:, None]
    )
    run(controller, T0, T0 + 50 * MS)
    at, stamp = T0 + 50 * MS, T0 + 110 * MS
    new_p = ramp(times, offset=0.5)
    controller.accept(at, stamp, NAMES, times[1:], new_p[1:], np.zeros((10, 2)))
    got = dict(zip(range(at, stamp + 40 * MS, STEP), run(controller, at, stamp + 40 * MS), strict=True))
    # The cursor is that of the last update: the old trajectory is passed one period late, commanded one period ahead.
    for knot in (60, 80, 100):
        np.testing.assert_allclose(got[T0 + knot * MS], ramp([knot * MS])[0], atol=1e-12)
    # The bridge stands at the new start, on the old trajectory; the new first point comes 20 ms later.
    np.testing.assert_allclose(got[stamp - STEP], ramp([110 * MS - STEP])[0], atol=1e-12)
    np.testing.assert_allclose(got[stamp + 20 * MS - STEP], new_p[1], atol=1e-12)


def test_master_replaces_a_single_point_like_the_others():
    controller = made(MASTER)
    controller.accept(T0, 0, NAMES, [0], [[1.0, 1.0]])
    run(controller, T0, T0 + 10 * MS)
    times = np.arange(11) * 20 * MS
    controller.accept(T0 + 10 * MS, T0 - 90 * MS, NAMES, times, ramp(times))
    np.testing.assert_allclose(controller.update(T0 + 10 * MS, (0.0, 0.0))[0], ramp([102 * MS])[0])


@pytest.mark.parametrize('rules', ALL, **by_name)
def test_the_command_timeout_counts_from_the_end_and_then_holds_the_measured_position(rules):
    times = np.array([0, 100]) * MS
    for timeout, expected in ((0, 0.1), (50 * MS, 0.07)):
        controller = made(rules.with_parameters(cmd_timeout_ns=timeout))
        controller.accept(T0, T0, NAMES, times, ramp(times))
        # 152 ms is the first update later than the timeout; the hold takes effect at the next one.
        got = run(controller, T0, T0 + 160 * MS, measured=(0.07, -0.15))
        assert got[152 * MS // STEP][0] == pytest.approx(0.1)
        assert got[154 * MS // STEP][0] == pytest.approx(expected)
        controller.accept(T0 + 160 * MS, T0 + 100 * MS, NAMES, times, ramp(times, offset=2.0))
        # A new message ends the hold; master, which holds one point only, then replaces it like the others.
        if timeout:
            fresh = controller.update(T0 + 160 * MS, (0.0, 0.0))[0]
            np.testing.assert_allclose(fresh, ramp([60 * MS + ahead(rules)], offset=2.0)[0])


def test_rules_can_be_changed_by_the_old_arguments():
    controller = JointTrajectoryController(
        NAMES, STEP, sample_ahead=True, interpolate_from_desired_state=True
    )
    assert controller.rules == SIMULATOR.with_parameters(
        sample_ahead=True, interpolate_from_desired_state=True
    )
    assert JointTrajectoryController(NAMES, STEP).rules == SIMULATOR
    assert not SIMULATOR.sample_ahead


@pytest.mark.parametrize('degree', [1, 3, 5])
def test_the_spline_reproduces_polynomials_of_its_degree(degree):
    rng = np.random.default_rng(degree)
    curve = np.polynomial.Polynomial(rng.normal(size=degree + 1))
    v, a = curve.deriv(), curve.deriv(2)

    def state(t):
        carried = [curve(t), v(t), a(t)][: (degree + 1) // 2]
        return State(*(np.array([value]) for value in carried))

    for t in (0.0, 0.07, 0.31, 0.4):
        got = between(round(t * 1e9), 400 * MS, state(0.0), state(0.4))
        np.testing.assert_allclose(got.position, curve(t), atol=1e-12)
        np.testing.assert_allclose(got.velocity, v(t), atol=1e-11)
        np.testing.assert_allclose(got.acceleration, a(t) if degree > 1 else 0.0, atol=1e-9)


def test_accelerations_come_in_messages_and_need_velocities():
    controller = made(HUMBLE)
    zeros = np.zeros((2, 2))
    p = np.array([[0.0, 0.0], [1.0, 1.0]])
    controller.accept(T0, T0, NAMES, [0, 100 * MS], p, zeros, zeros)
    u = 0.3
    minimum_jerk = u**3 * (10 - 15 * u + 6 * u * u)
    np.testing.assert_allclose(run(controller, T0, T0 + 32 * MS)[-1], minimum_jerk, atol=1e-12)
    with pytest.raises(TrajectoryRejected, match='without velocities'):
        controller.accept(T0, T0, NAMES, [0, 100 * MS], p, None, zeros)
