# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What action_node decides, without ROS: every stop brakes, nothing moves uninvited."""

from itertools import pairwise

import numpy as np
import pytest

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.gates import ChunkLimits
from dp_ros.action.limits import MotionLimits
from dp_ros.action.supervisor import Mode
from dp_ros.contract import Contract
from dp_ros.errors import ChunkError, MessageError, StaleObservationError
from dp_ros.nodes.measured import MeasuredJoints
from dp_ros.nodes.motion import Motion, MotionSettings
from dp_ros.share import share_path

MS = 1_000_000
STEP = 20 * MS
T0 = 1000 * MS
CONTRACT = Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))
JOINTS = len(CONTRACT.joint_names)
SETTINGS = MotionSettings(
    point_ns=20 * MS,
    past_ns=40 * MS,
    future_ns=160 * MS,
    freeze_ns=40 * MS,
    chunk_timeout_ns=500 * MS,
    sync_timeout_ns=2000 * MS,
    joint_timeout_ns=250 * MS,
    max_future_ns=100 * MS,
    tracking_error_ns=300 * MS,
    max_tracking_error=(0.2,) * JOINTS,
    position_tolerance=(0.05,) * JOINTS,
    clock_timeout_s=1.0,
)
LIMITS = MotionLimits.of(JOINTS, lower=-2.0, upper=2.0, velocity=3.0, acceleration=8.0, jerk=800.0)


@pytest.fixture
def motion():
    motion = Motion(CONTRACT, SETTINGS, ChunkLimits(max_age_ns=500 * MS, start_jump=0.1), LIMITS)
    measure(motion, T0)
    return motion


def measure(motion, now, value=0.0):
    motion.measured.put(now, CONTRACT.joint_names, np.full(JOINTS, value))


def chunk(now, seq, start=0.0, speed=0.2, epoch=1):
    positions = start + speed * np.arange(32)[:, None] * 0.04 * np.ones(JOINTS)
    return ActionChunk(now, 40 * MS, CONTRACT.joint_names, positions, CONTRACT.hash, epoch, seq)


def drive(motion, steps=24, now=T0):
    """Engage and follow chunks each 160 ms; returns the time of the last step."""
    assert motion.engage(now).success
    for step in range(steps):
        now = T0 + step * STEP
        measure(motion, now)
        if step % 8 == 0:
            assert motion.chunk(chunk(now, step // 8, 0.2 * step * 0.02), now) is not None
        assert motion.tick(now) is not None
    return now


def follow(motion, now, steps):
    """Windows of so many further steps without anything new but measurements."""
    out = []
    for _ in range(steps):
        now += STEP
        measure(motion, now)
        out.append(motion.tick(now))
    return out


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
    assert early.stamp_ns == late.stamp_ns
    np.testing.assert_array_equal(early.positions, late.positions)


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


def test_a_start_elsewhere_is_refused_and_nothing_moves(motion):
    motion.engage(T0)
    with pytest.raises(ChunkError, match=r'left_arm_waist: action 0\.5'):
        motion.chunk(chunk(T0, 0, start=0.5), T0)
    assert motion.state.mode is Mode.IDLE
    assert str(motion.state).startswith('IDLE: start refused')
    assert motion.tick(T0 + STEP) is None


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
