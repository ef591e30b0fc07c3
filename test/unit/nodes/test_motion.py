# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What action_node decides, without ROS: every stop brakes, nothing moves uninvited."""

from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from motion_cases import (
    CONTRACT,
    JOINTS,
    LIMITS,
    MS,
    SETTINGS,
    STEP,
    T0,
    chunk,
    drive,
    follow,
    measure,
    measured_motion,
)

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.gates import ChunkLimits
from dp_ros.action.supervisor import Mode
from dp_ros.errors import ChunkError, MessageError, StaleObservationError
from dp_ros.nodes.measured import MeasuredJoints
from dp_ros.nodes.motion import Motion


@pytest.fixture
def motion():
    return measured_motion()


def test_nothing_is_published_before_a_chunk_of_an_engagement(motion):
    assert motion.tick(T0) is None
    assert motion.chunk(chunk(T0, 0), T0) is None
    assert motion.counters['chunks_while_disengaged'] == 1
    assert motion.engage(T0).success
    assert motion.tick(T0 + STEP) is None
    assert motion.state.mode is Mode.SYNC


def test_engaging_needs_measured_joints():
    motion = Motion(CONTRACT, SETTINGS, ChunkLimits(), LIMITS)
    answer = motion.engage(T0)
    assert not answer.success
    assert 'no measured position yet' in answer.message
    measure(motion, T0)
    assert not motion.engage(T0 + 300 * MS).success
    assert motion.engage(T0 + 200 * MS).success


def test_an_engagement_starts_where_the_arms_are_measured(motion):
    motion.engage(T0)
    measure(motion, T0, 0.05)
    window = motion.chunk(chunk(T0, 0), T0)
    np.testing.assert_array_equal(window.positions[:3], 0.05)
    np.testing.assert_array_equal(window.velocities[0], 0.0)


def test_the_commit_time_is_the_later_of_clock_and_chunk(motion):
    motion.engage(T0)
    early = motion.chunk(chunk(T0 + STEP, 0), T0)
    other = Motion(CONTRACT, SETTINGS, ChunkLimits(start_jump=0.1), LIMITS)
    measure(other, T0 + STEP)
    other.engage(T0 + STEP)
    late = other.chunk(chunk(T0 + STEP, 0), T0 + STEP)
    # One plan; each window begins before its own now.
    assert early.stamp_ns == late.stamp_ns - STEP
    for stamp in range(T0, T0 + 1000 * MS, 7 * MS):
        for one, same in zip(motion.track.plan.sample(stamp), other.track.plan.sample(stamp), strict=True):
            np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize('stop', ['hold', 'disengage', 'fault', 'stale chunks', 'stale joints', 'last words'])
def test_every_stop_brakes_within_the_limit_and_ends_at_rest(motion, stop):
    now = drive(motion)
    _, speed = motion.track.plan.sample(now)
    assert speed.min() == pytest.approx(0.2)
    windows = []
    if stop == 'stale joints':
        windows = [motion.tick(now + k * STEP) for k in range(1, 60)]
    elif stop == 'stale chunks':
        windows = follow(motion, now, 60)
    elif stop == 'last words':
        windows = [motion.last_words(now)]
    else:
        {
            'hold': motion.hold,
            'disengage': motion.disengage,
            'fault': lambda t: motion.fault(t, 'test', 'test'),
        }[stop](now)
        windows = follow(motion, now, 60)
    assert not motion.state.engaged
    published = [w for w in windows if w is not None]
    last = published[-1]
    np.testing.assert_array_equal(last.velocities[-1], 0.0)
    speeds = {
        int(w.stamp_ns + t): v[0] for w in published for t, v in zip(w.times_ns, w.velocities, strict=True)
    }
    times = sorted(speeds)
    slowing = [(speeds[a] - speeds[b]) / ((b - a) * 1e-9) for a, b in pairwise(times)]
    assert max(slowing) <= 8.0 * 1.0001
    if stop != 'last words':
        assert windows[-1] is None, 'windows go on for ever'


def test_hold_goes_on_from_what_was_commanded_disengaging_from_what_is_measured(motion):
    now = drive(motion)
    motion.hold(now)
    rest = follow(motion, now, 60)
    held = next(w for w in reversed(rest) if w is not None).positions[-1]
    now += 60 * STEP
    measure(motion, now, held[0] - 0.03)
    assert motion.engage(now).success
    again = motion.chunk(chunk(now, 0, held[0], epoch=2), now)
    np.testing.assert_allclose(again.positions[0], held)
    motion.disengage(now)
    follow(motion, now, 60)
    now += 60 * STEP
    measure(motion, now, 0.3)
    assert motion.engage(now).success
    anew = motion.chunk(chunk(now, 0, 0.3, epoch=3), now)
    np.testing.assert_array_equal(anew.positions[0], 0.3)


def test_engaging_is_refused_where_the_preview_starts_elsewhere(motion):
    measure(motion, T0)
    motion.previewed = chunk(T0, 0, start=0.5)
    answer = motion.engage(T0)
    assert not answer.success
    assert 'left_arm_waist: action 0.5000, measured 0.0000' in answer.message
    assert motion.state.mode is Mode.IDLE
    # A preview of long ago says nothing.
    late = T0 + 1000 * MS
    measure(motion, late)
    assert motion.engage(late).success


@pytest.mark.parametrize(('sag', 'begins_at'), [(0.01, 'commanded'), (0.05, 'measured')])
def test_a_servo_that_sags_is_no_step(sag, begins_at):
    """The controllers hold what they were sent; an arm that was moved by others is where it is measured."""
    motion = Motion(
        CONTRACT,
        replace(SETTINGS, rest_tolerance=0.02),
        ChunkLimits(max_age_ns=500 * MS, start_jump=0.1),
        LIMITS,
    )
    measure(motion, T0)
    now = drive(motion)
    left = motion.last_words(now).positions[-1]
    now = now + 60 * STEP
    for k in range(60):
        motion.tick(now - (60 - k) * STEP)
    motion.measured.put(now, CONTRACT.joint_names, left - sag)
    assert motion.engage(now).success
    window = motion.chunk(chunk(now, 0, float(left[0]), epoch=2), now)
    want = left if begins_at == 'commanded' else left - sag
    np.testing.assert_allclose(window.positions[0], want, atol=1e-12)


def test_a_start_elsewhere_is_refused_and_nothing_moves(motion):
    motion.engage(T0)
    with pytest.raises(ChunkError, match=r'left_arm_waist: action 0\.5'):
        motion.chunk(chunk(T0, 0, start=0.5), T0)
    assert motion.state.mode is Mode.IDLE
    assert str(motion.state).startswith('IDLE: start refused')
    assert motion.tick(T0 + STEP) is None


def test_after_a_long_pause_nothing_fetches_the_arms_back(motion):
    now = drive(motion)
    motion.disengage(now)
    assert motion.tick(now + STEP) is not None
    # The process was stopped, or the node inactive, and somebody moved the arms meanwhile.
    measure(motion, now + 60_000 * MS, 1.0)
    assert motion.tick(now + 60_000 * MS) is None
    assert motion.track.plan is None


def test_an_engagement_without_a_chunk_is_given_up(motion):
    motion.engage(T0)
    assert follow(motion, T0, 99) == [None] * 99
    assert motion.state.mode is Mode.SYNC
    follow(motion, T0 + 99 * STEP, 2)
    assert motion.state.mode is Mode.IDLE


def test_after_a_gap_the_plan_is_what_the_controllers_did(motion):
    now = drive(motion)
    position, _ = motion.track.plan.sample(now + 160 * MS)
    later = now + 300 * MS
    measure(motion, later)
    motion.streamed(later)  # asking again in the same gap is no second gap
    window = motion.tick(later)
    assert motion.track.gaps == 1
    # The last window ended in a brake after 160 ms; the old curve would have gone on.
    assert window.positions[-1].max() < position.max() + 0.2**2 / (2 * 8.0) + 0.2 * 0.04 + 1e-9
    np.testing.assert_array_equal(window.velocities[-3:], 0.0)


def test_a_clock_that_jumps_back_faults_and_brakes_from_where_the_arms_are(motion):
    now = drive(motion)
    position, velocity = motion.track.plan.sample(now)
    back = now - 900 * MS
    window = motion.tick(back)
    assert str(motion.state) == 'FAULT: the clock jumped back by 0.90 s'
    assert motion.counters['fault.clock_back'] == 1
    at_now = int(np.searchsorted(window.times_ns, back - window.stamp_ns))
    np.testing.assert_allclose(window.positions[at_now], position, atol=1e-12)
    np.testing.assert_allclose(window.velocities[at_now], velocity, atol=1e-12)
    np.testing.assert_allclose(window.velocities[-1], 0.0, atol=1e-12)
    windows = [motion.tick(back + k * STEP) for k in range(1, 60)]
    assert windows[-1] is None
    assert motion.clear_fault(back + 60 * STEP).success
    assert 'no measured position yet' in motion.engage(back + 60 * STEP).message


def test_a_fault_is_latched_until_it_is_cleared(motion):
    now = drive(motion)
    motion.fault(now, 'test', 'because')
    assert not motion.engage(now).success
    motion.disengage(now)
    assert motion.state.mode is Mode.FAULT
    assert motion.clear_fault(now).success
    assert motion.state.mode is Mode.IDLE


def test_measured_joints_by_name_in_parts():
    joints = MeasuredJoints(('a', 'b'))
    joints.put(10, ('x', 'b'), np.array([9.0, 2.0]))
    assert joints.age_ns(20) is None
    with pytest.raises(StaleObservationError, match=r"\['a'\]"):
        joints.positions(10, 5)
    joints.put(12, ('a',), np.array([1.0]))
    np.testing.assert_array_equal(joints.positions(14, 5), [1.0, 2.0])
    assert joints.age_ns(20) == 10
    with pytest.raises(MessageError, match=r"\['b'\] are not finite"):
        joints.put(15, ('a', 'b'), np.array([5.0, np.inf]))
    np.testing.assert_array_equal(joints.positions(14, 5), [1.0, 2.0])
    with pytest.raises(StaleObservationError, match=r"\['b'\]"):
        joints.positions(16, 5)


@pytest.mark.parametrize('seed', range(6))
def test_every_published_window_keeps_all_limits_whatever_the_chunks_say(seed):
    """Chunks that disagree wildly, a gap, a stop: on the grid of what was published nothing is exceeded."""
    rng = np.random.default_rng(seed)
    motion = measured_motion(soft_start_ns=200 * MS, max_tracking_error=(np.inf,) * JOINTS)
    assert motion.engage(T0).success
    heard = []
    stop = int(rng.integers(30, 70))
    for step in range(110):
        now = T0 + step * STEP
        measure(motion, now)
        if step in range(20, 20 + int(rng.integers(0, 15))):
            continue  # a publish gap
        window = None
        if step % 4 == 0 and step < stop:
            wild = np.clip(rng.normal(0, 0.05, (32, JOINTS)).cumsum(axis=0), -1.9, 1.9) * (step > 0)
            message = ActionChunk(now, 40 * MS, CONTRACT.joint_names, wild, CONTRACT.hash, 1, step)
            with suppress(ChunkError):  # some are too wild, and change nothing
                window = motion.chunk(message, now)
        if step == stop:
            motion.hold(now)
        heard += [w for w in (window, motion.tick(now)) if w is not None]
    assert len(heard) > 30
    for window in heard:
        dt = np.diff(window.times_ns)[:, None] * 1e-9
        assert np.abs(window.positions).max() <= 2.0 + 1e-9
        assert np.abs(window.velocities).max() <= 3.0 + 1e-6
        np.testing.assert_allclose(window.velocities[-1], 0.0, atol=1e-9)
        assert (np.abs(np.diff(window.velocities, axis=0)) / dt).max() <= 8.0 * (1 + 1e-6)
    for before, after in pairwise(heard):
        # What was frozen does not change: the two agree up to where the earlier one could still be followed.
        old = {int(before.stamp_ns + t): p for t, p in zip(before.times_ns, before.positions, strict=True)}
        new = {int(after.stamp_ns + t): p for t, p in zip(after.times_ns, after.positions, strict=True)}
        published = after.stamp_ns + SETTINGS.past_ns
        frozen = [t for t in old if t in new and t <= published + SETTINGS.freeze_ns]
        for t in frozen:
            np.testing.assert_allclose(old[t], new[t], atol=1e-9)


def test_no_remaining_time_of_a_chunk_ends_the_process():
    """Late, short and long chunks are followed or refused, never an accident."""
    motion = measured_motion(reject_limit=10**6)
    now = drive(motion)
    for left in range(20, 400, 3):
        rows = np.full((3, JOINTS), 0.1)
        late = ActionChunk(
            now + (left - 400) * MS, 200 * MS, CONTRACT.joint_names, rows, CONTRACT.hash, 2, left
        )
        with suppress(ChunkError):
            motion.chunk(late, now)
    monster = ActionChunk(now + MS, 10**18, CONTRACT.joint_names, rows, CONTRACT.hash, 3, 0)
    with suppress(ChunkError):
        motion.chunk(monster, now)
    assert len(motion.track.plan.controls) < 400
    huge = ActionChunk(now + 2 * MS, 40 * MS, CONTRACT.joint_names, rows * 1e308, CONTRACT.hash, 3, 1)
    with pytest.raises(ChunkError, match='finite'):
        motion.chunk(huge, now)


def test_arms_that_strayed_in_hold_are_not_fetched_back(motion):
    now = drive(motion)
    motion.hold(now)
    now = now + 40 * STEP
    for k in range(40):
        motion.tick(now - (40 - k) * STEP)
    measure(motion, now, -0.5)
    answer = motion.engage(now)
    assert not answer.success
    assert 'disengage first: left_arm_waist: held at' in answer.message
    assert motion.disengage(now).success
    assert motion.engage(now).success


@pytest.mark.parametrize('stop', ['hold', 'disengage', 'estop'])
def test_a_stop_on_a_clock_that_jumped_back_brakes_from_where_the_arms_are(motion, stop):
    now = drive(motion)
    where = motion.track.plan.sample(now)[0]
    back = now - 5000 * MS
    motion.estop(True, back) if stop == 'estop' else getattr(motion, stop)(back)
    window = motion.urgent(back)
    assert window.stamp_ns <= back
    assert np.abs(window.positions - where).max() < 0.1
    np.testing.assert_allclose(window.velocities[-1], 0.0, atol=1e-12)
