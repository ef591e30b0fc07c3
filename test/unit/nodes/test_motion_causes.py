# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Every cause that stops the arms, and every way to start them, without ROS."""

from dataclasses import replace

import numpy as np
import pytest
from motion_cases import (
    CONTRACT,
    JOINTS,
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

from dp_ros.action.supervisor import Mode
from dp_ros.errors import ChunkError, ConfigError


@pytest.fixture
def motion():
    return measured_motion()


def test_the_soft_start_fades_from_the_measured_pose_to_the_chunk():
    motion = measured_motion(soft_start_ns=1000 * MS)
    measure(motion, T0, 0.05)
    assert motion.engage(T0).success
    heard = {}
    for step in range(100):
        now = T0 + step * STEP
        measure(motion, now, 0.05)
        if step % 8 == 0:
            motion.chunk(chunk(now, step // 8, 0.1, speed=0.0), now)
        motion.tick(now)
        heard[now] = (motion.state.mode, motion.track.plan.sample(now)[0][0])
    modes = [mode for mode, _ in heard.values()]
    assert modes[:50] == [Mode.SYNC] * 50
    assert modes[50:] == [Mode.RUN] * 50
    path = np.array([position for _, position in heard.values()])
    assert np.all(np.diff(path) >= -1e-9)
    assert abs(path[25] - 0.075) < 0.005  # half way after half of the time
    np.testing.assert_allclose(path[[0, -1]], [0.05, 0.1], atol=1e-6)


def test_the_emergency_stop_brakes_latches_and_refuses_everything(motion):
    now = drive(motion)
    motion.estop(True, now)
    assert str(motion.state) == 'FAULT: emergency stop (~/estop is true)'
    assert motion.urgent(now) is not None
    assert motion.urgent(now) is None
    windows = follow(motion, now, 60)
    assert windows[-1] is None
    now += 61 * STEP
    assert not motion.clear_fault(now).success
    motion.estop(False, now)
    assert motion.state.mode is Mode.FAULT
    assert motion.clear_fault(now).success
    motion.estop(True, now)
    assert motion.state.mode is Mode.FAULT  # in IDLE as well
    assert motion.counters['fault.estop'] == 2


def test_the_deadman_switch_must_be_held_down():
    motion = measured_motion(deadman_timeout_ns=300 * MS)
    assert motion.engage(T0).message == 'nothing from the dead-man switch yet'
    motion.deadman_heard(False, T0)
    assert motion.engage(T0).message == 'the dead-man switch was released'
    motion.deadman_heard(True, T0)
    assert motion.engage(T0).success
    motion.deadman_heard(False, T0 + STEP)
    assert str(motion.state) == 'HOLD: the dead-man switch was released'
    motion.deadman_heard(True, T0 + STEP)
    assert motion.state.mode is Mode.HOLD  # pressing it again moves nothing
    assert motion.engage(T0 + STEP).success
    follow(motion, T0 + STEP, 15)
    assert motion.state.mode is Mode.SYNC
    follow(motion, T0 + 16 * STEP, 1)
    assert str(motion.state) == 'HOLD: nothing from the dead-man switch for 320 ms, limit 300 ms'
    assert motion.counters['hold.deadman'] == 2


def test_arms_that_do_not_follow_are_a_fault_after_a_while(motion):
    assert motion.engage(T0).success
    reasons = []
    for step in range(200):
        now = T0 + step * STEP
        measured = np.minimum(0.2 * step * 0.02, np.where(np.arange(JOINTS) == 3, 0.1, np.inf))
        motion.measured.put(now, CONTRACT.joint_names, measured)
        if step % 8 == 0 and motion.state.mode is not Mode.FAULT:
            motion.chunk(chunk(now, step // 8, 0.2 * step * 0.02), now)
        motion.tick(now)
        reasons.append(str(motion.state))
    blocked = next(i for i, reason in enumerate(reasons) if reason.startswith('FAULT'))
    assert reasons[blocked].startswith('FAULT: tracking error: left_arm_forearm_roll: commanded 0.3')
    # 0.3 rad are commanded after 75 steps, and 0.3 s of patience are 15 more.
    assert blocked in range(89, 94)
    assert motion.counters['fault.tracking_error'] == 1


def test_a_single_wild_measurement_is_no_tracking_error(motion):
    now = drive(motion)
    measure(motion, now + STEP, 1.0)
    motion.tick(now + STEP)
    measure(motion, now + 2 * STEP, 0.2)
    motion.tick(now + 2 * STEP)
    assert motion.state.mode is Mode.RUN


def test_arms_beyond_their_limits_may_not_start_and_are_a_fault(motion):
    measure(motion, T0, -2.04)
    assert motion.engage(T0).success
    measure(motion, T0 + 1, -2.06)
    motion.tick(T0 + STEP)
    assert str(motion.state).startswith(
        'FAULT: measured beyond the position limits: left_arm_waist: -2.0600,'
    )
    assert motion.clear_fault(T0 + STEP).success
    answer = motion.engage(T0 + STEP)
    assert not answer.success
    assert 'left_arm_waist: -2.0600, limits -2.0000 to 2.0000' in answer.message


def test_skewed_clocks_are_named(motion):
    now = drive(motion)
    motion.measured.put(now + 150 * MS, CONTRACT.joint_names, np.full(JOINTS, 0.1), now)
    motion.tick(now)
    assert str(motion.state) == (
        'HOLD: measured positions are stamped 150 ms ahead of our clock, limit 100 ms: the clocks differ'
    )
    assert not motion.engage(now).success
    other = measured_motion()
    now = drive(other)
    for step in range(1, 20):
        other.measured.put(
            now - 600 * MS + step * STEP, CONTRACT.joint_names, np.full(JOINTS, 0.1), now + step * STEP
        )
        other.tick(now + step * STEP)
    assert 'although they arrive: the clock of their sender differs from ours' in str(other.state)
    assert other.counters['hold.joints_skewed'] == 1


def test_messages_that_waited_while_we_stood_still_blame_no_clock(motion):
    now = drive(motion)
    later = now + 300 * MS
    for waited in (20 * MS, 40 * MS):
        motion.measured.put(now + waited, CONTRACT.joint_names, np.full(JOINTS, 0.1), later)
        motion.tick(later)
    assert str(motion.state).startswith('HOLD: measured positions are up to 280 ms old, limit 250 ms: [')
    assert motion.counters['hold.joints_stale'] == 1
    assert 'hold.joints_skewed' not in motion.counters


def test_a_clock_that_stands_still_brakes_by_the_wall_clock(motion):
    now = drive(motion)
    before = motion.track.plan
    motion.watch_clock(now, 50.0)
    motion.watch_clock(now, 50.9)
    assert motion.state.mode is Mode.RUN
    motion.watch_clock(now, 51.1)
    assert str(motion.state) == ('HOLD: the ROS clock has not advanced for 1.1 s of wall clock, limit 1.0 s')
    # No window can be of use: what the controllers have ends in a brake, and that is where the plan ends now.
    assert motion.urgent(now) is None
    rest = before.braked(now + SETTINGS.future_ns)
    np.testing.assert_array_equal(motion.track.plan.sample(rest.end_ns)[0], rest.sample(rest.end_ns)[0])
    assert 'has not advanced' in motion.engage(now).message
    motion.watch_clock(now + STEP, 51.2)
    measure(motion, now + STEP)
    assert motion.engage(now + STEP).success


def test_wrong_names_are_a_fault_at_the_start_and_a_refusal_later(motion):
    def renamed(now, seq):
        good = chunk(now, seq, 0.2 * (now - T0) * 1e-9)
        return replace(good, joint_names=('thumb', *good.joint_names[1:]))

    now = drive(motion)
    with pytest.raises(ChunkError, match='names'):
        motion.chunk(renamed(now, 9), now)
    assert motion.state.mode is Mode.RUN
    other = measured_motion()
    assert other.engage(T0).success
    with pytest.raises(ChunkError, match='names'):
        other.chunk(renamed(T0, 0), T0)
    assert str(other.state).startswith("FAULT: wrong joint names: names: missing ['left_arm_waist']")
    assert other.gates.counters == {'rejected.names': 1}


def test_five_rejected_chunks_in_a_row_are_a_fault(motion):
    now = drive(motion)
    for k in range(5):
        assert motion.state.mode is Mode.RUN
        bad = replace(chunk(now, 10 + k), positions=np.full((32, JOINTS), np.nan))
        with pytest.raises(ChunkError, match='finite'):
            motion.chunk(bad, now)
    assert str(motion.state).startswith('FAULT: 5 chunks rejected in a row, the last one: finite: ')
    assert (motion.counters['chunks_refused'], motion.gates.counters['rejected.finite']) == (5, 5)


def test_a_chunk_from_the_future_does_not_set_the_clock(motion):
    now = drive(motion)
    with pytest.raises(ChunkError, match='in the future'):
        motion.chunk(chunk(now + 5000 * MS, 9), now)
    assert motion.track.published_ns == now


def test_the_way_to_the_start_pose_is_slow_together_and_ends_in_idle():
    target = tuple(np.linspace(0.5, -0.4, JOINTS))
    motion = measured_motion(start_pose=target, start_pose_scale=0.2)
    assert motion.go_to_start(T0).success
    assert str(motion.state) == 'SYNC: going to the start pose'
    assert not motion.state.engaged
    assert motion.urgent(T0) is not None
    now, reached = T0, None
    for step in range(1, 400):
        now = T0 + step * STEP
        motion.measured.put(now, CONTRACT.joint_names, motion.track.plan.sample(now)[0])
        window = motion.tick(now)
        if motion.state.mode is Mode.IDLE:
            break
        reached = window
        assert np.abs(window.velocities).max() <= 0.2 * 3.0 + 1e-9
    assert str(motion.state) == 'IDLE: at the start pose'
    np.testing.assert_allclose(reached.positions[-1], target, atol=1e-6)
    assert motion.tick(now + STEP) is None


def test_the_way_to_the_start_pose_can_be_held_and_needs_a_pose():
    assert 'there is no start pose' in measured_motion().go_to_start(T0).message
    motion = measured_motion(start_pose=(0.5,) * JOINTS)
    assert motion.go_to_start(T0).success
    assert not motion.engage(T0).success
    assert motion.chunk(chunk(T0, 0), T0) is None
    assert motion.hold(T0 + STEP).success
    assert motion.state.mode is Mode.HOLD
    with pytest.raises(
        ConfigError, match=r'start_pose lies beyond the position limits: left_arm_waist: 2\.5'
    ):
        measured_motion(start_pose=(2.5,) + (0.0,) * (JOINTS - 1))
    with pytest.raises(ConfigError, match='start_pose must hold 14 numbers'):
        measured_motion(start_pose=(0.0,))


def test_where_the_controllers_go_to_the_start_pose_no_window_goes_out():
    motion = measured_motion(start_pose=(0.5,) * JOINTS)
    assert motion.go_to_start(T0, by_controllers=True).success
    assert motion.homing_s > 1.0
    assert follow(motion, T0, 5) == [None] * 5
    motion.homed(T0 + 6 * STEP, '')
    assert str(motion.state) == 'IDLE: at the start pose'
    assert motion.go_to_start(T0 + 6 * STEP, by_controllers=True).success
    motion.homed(T0 + 7 * STEP, 'left: GOAL_TOLERANCE_VIOLATED')
    assert str(motion.state) == 'HOLD: the start pose was not reached: left: GOAL_TOLERANCE_VIOLATED'
    assert motion.counters['hold.start_pose'] == 1
    motion.homed(T0 + 8 * STEP, '')
    assert motion.state.mode is Mode.HOLD
