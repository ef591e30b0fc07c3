# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The judge finds every kind of misbehaviour, and acquits what is right up to the limit."""

import dataclasses

import numpy as np
import pytest

from dp_ros.evaluation.fault_judge import (
    MotionBounds,
    Observation,
    judge,
    limit_violations,
    peaks,
    rest_since_ns,
)  # fmt: skip
from dp_ros.simulation.fault_files import Expectation, FaultSpec
from dp_ros.simulation.fault_robot import Trace

MS = 1_000_000
PERIOD = 5 * MS
A_MAX, V_MAX = 8.0, 2.0
BOUNDS = MotionBounds(
    ('shoulder', 'elbow'),
    np.full(2, -1.0),
    np.full(2, 1.0),
    np.full(2, V_MAX),
    np.full(2, A_MAX),
    np.full(2, np.inf),
)
SPEC = FaultSpec(
    name='fault', description='A fault.', target='chunks', kind='drop',
    expect=Expectation(state='^HOLD', counter='action_node/hold.chunk_stale', recovery='engage'),
)  # fmt: skip


def trace_of(velocity, times=None):
    """The trace that a velocity (N,) of the second joint makes; the first one stands."""
    velocity = np.asarray(velocity, np.float64)
    # Trapezoids: exact for piecewise linear velocities.
    steps = np.concatenate([[0.0], (velocity[1:] + velocity[:-1]) / 2 * PERIOD * 1e-9])
    position = np.cumsum(steps)
    zero = np.zeros_like(position)
    times = np.arange(len(position), dtype=np.int64) * PERIOD if times is None else times
    return Trace(times, np.stack([zero, position], axis=1), np.stack([zero, velocity], axis=1))


def stopping(speed=0.48, cruise=40, deceleration=A_MAX, after=100):
    """Speed up, cruise and brake at the limit, then stand."""
    count = round(speed / (deceleration * PERIOD * 1e-9))
    ramp = np.linspace(0, speed, count + 1)
    return trace_of(np.concatenate([np.zeros(5), ramp, np.full(cruise, speed), ramp[::-1], np.zeros(after)]))


def seen(**changes):
    good = Observation(
        states=((0, 'RUN: following chunks'), (300 * MS, 'HOLD: no chunk for 520 ms')),
        fault_ns=100 * MS, end_ns=1000 * MS, before=3, after=4,
    )  # fmt: skip
    return dataclasses.replace(good, **changes)


def verdict(observation=None, trace=None, spec=SPEC, reaction_s=0.1):
    return judge(spec, 'two', observation or seen(), trace or stopping(), BOUNDS, reaction_s)


def test_motion_at_the_limit_is_no_violation():
    assert limit_violations(stopping(), BOUNDS) == []
    assert peaks(stopping(), BOUNDS)['acceleration'] == pytest.approx(1.0)


def test_a_step_is_a_violation_of_velocity_and_acceleration_of_the_joint_that_made_it():
    trace = stopping()
    positions = trace.positions.copy()
    positions[60:, 0] += 0.02
    found = limit_violations(dataclasses.replace(trace, positions=positions), BOUNDS)
    assert {(v.quantity, v.joint) for v in found} >= {('velocity', 'shoulder'), ('acceleration', 'shoulder')}
    assert all(v.joint == 'shoulder' for v in found)
    assert all(abs(v.time_ns - 60 * PERIOD) <= 2 * PERIOD for v in found)


@pytest.mark.parametrize('too_much', [1.02, 1.5, 5.0])
def test_acceleration_over_the_limit_is_a_violation(too_much):
    trace = trace_of(too_much * A_MAX * PERIOD * 1e-9 * np.arange(6))
    assert [v.quantity for v in limit_violations(trace, BOUNDS)] == ['acceleration']


def test_velocity_position_claimed_velocity_jerk_and_nan_are_violations_too():
    fast = trace_of(np.concatenate([np.arange(0, 2.2, 0.04), np.full(5, 2.2)]))
    assert 'velocity' in {v.quantity for v in limit_violations(fast, BOUNDS)}
    far = stopping(cruise=500)
    assert 'position' in {v.quantity for v in limit_violations(far, BOUNDS)}
    slow = stopping()
    claimed = dataclasses.replace(slow, velocities=slow.velocities * 10)
    assert [v.quantity for v in limit_violations(claimed, BOUNDS)] == ['claimed velocity']
    smooth = dataclasses.replace(BOUNDS, jerk=np.full(2, 100.0))
    assert {v.quantity for v in limit_violations(slow, smooth)} == {'jerk'}
    broken = slow.positions.copy()
    broken[7, 1] = np.nan
    (violation,) = limit_violations(dataclasses.replace(slow, positions=broken), BOUNDS)
    assert violation.joint == 'elbow'


def test_rounding_is_no_violation_of_a_tight_jerk_limit():
    rng = np.random.default_rng(0)
    trace = stopping(speed=0.0)
    noisy = dataclasses.replace(
        trace, positions=trace.positions + 1e-16 * rng.standard_normal(trace.positions.shape)
    )
    assert limit_violations(noisy, dataclasses.replace(BOUNDS, jerk=np.full(2, 1.0))) == []


def test_rest_is_the_end_of_the_last_motion_and_not_a_pause_in_it():
    trace = stopping()
    rest = rest_since_ns(trace, 10**12)
    assert not np.any(trace.velocities[trace.times_ns >= rest])
    assert np.any(trace.velocities[trace.times_ns >= rest - PERIOD])
    assert rest_since_ns(trace, rest - 10 * PERIOD) is None, 'still moving by then'


def test_what_is_as_specified_is_acquitted():
    row = verdict()
    assert row.ok, row.problems
    assert row.stop_from_detection_s is not None
    assert row.stop_from_fault_s == pytest.approx(row.stop_from_detection_s + 0.2)


@pytest.mark.parametrize(
    ('observation', 'complaint'),
    [
        (seen(states=((0, 'RUN: following chunks'),)), 'does not match'),
        (seen(after=3), 'stays at 3'),
        (seen(recovered='cannot engage'), 'cannot engage'),
        (seen(rejected=2, rejection='names'), 'refused 2 windows'),
        (seen(trouble='no node'), 'no node'),
        (seen(states=((0, 'RUN'), (150 * MS, 'HOLD: early')), end_ns=330 * MS), 'still moving'),
    ],
)
def test_each_deviation_is_a_problem(observation, complaint):
    row = verdict(observation)
    assert not row.ok
    assert any(complaint in problem for problem in row.problems), row.problems


def test_a_stop_that_comes_too_late_is_a_problem():
    late = stopping(cruise=250)
    assert any('later than' in problem for problem in verdict(seen(end_ns=2000 * MS), late).problems)


def test_whoever_has_to_go_on_must_not_leave_run_even_for_a_moment():
    goes_on = dataclasses.replace(SPEC, expect=Expectation(state='^RUN', counter='', recovery='goes on'))
    moment = ((0, 'RUN'), (300 * MS, 'HOLD: a moment'), (340 * MS, 'RUN: following chunks'))
    assert any('had to go on' in p for p in verdict(seen(states=moment), spec=goes_on).problems)
    assert verdict(seen(states=((0, 'RUN: following chunks'),)), spec=goes_on).ok


def test_a_violation_fails_the_row_whatever_the_states_say():
    trace = stopping()
    positions = trace.positions.copy()
    positions[-10:] += 0.01
    row = verdict(trace=dataclasses.replace(trace, positions=positions))
    assert row.violations
    assert not row.ok


def test_a_trace_with_lost_time_is_not_judged_silently():
    trace = stopping()
    times = trace.times_ns.copy()
    times[50:] += PERIOD
    with pytest.raises(ValueError, match='one period'):
        limit_violations(dataclasses.replace(trace, times_ns=times), BOUNDS)
