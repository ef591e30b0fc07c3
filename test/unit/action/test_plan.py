# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Laws of the committed plan, alone and through the controller's model."""

import numpy as np
import pytest

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.limits import MotionLimits
from dp_ros.action.plan import CommittedPlan
from dp_ros.action.reference import SoftStart
from dp_ros.errors import ChunkError, ConfigError
from dp_ros.simulation.joint_trajectory_controller import JointTrajectoryController

MS = 1_000_000
POINT, FREEZE, PAST, FUTURE = 20 * MS, 40 * MS, 40 * MS, 160 * MS
NAMES = ('a', 'b', 'g')
LIMIT = np.array([6.0, 4.0, 1.0])
LIMITS = MotionLimits.of(
    3,
    lower=[-1.0, -0.6, 0.0],
    upper=[1.0, 0.6, 0.1],
    velocity=[3.0, 2.0, 0.3],
    acceleration=LIMIT,
    jerk=[400.0, np.inf, 50.0],
)
START = 1_000_000 * MS


def wave(stamps_ns, phase=0.0):
    t = (np.asarray(stamps_ns) - START) * 1e-9 + phase
    return np.stack([0.4 * np.sin(2 * t), 0.2 * np.cos(3 * t), 0.04 + 0.01 * np.sin(5 * t)], axis=-1)


def chunk(stamp_ns, phase=0.0, length=16, period_ns=40 * MS, offset=0.0):
    stamps = stamp_ns + np.arange(length) * period_ns
    return ActionChunk(stamp_ns, period_ns, NAMES, wave(stamps, phase) + offset)


def hold(now_ns=START):
    return CommittedPlan.hold(wave(now_ns), now_ns, POINT, LIMITS)


def joined(plan, new, now_ns):
    return plan.joined(new, now_ns, FREEZE).plan


def jittered_stream(rng, ticks=8, aligned=False):
    """Plans as an action node would make them: (time of commitment, plan)."""
    now, plan, out = START, hold(), []
    for _ in range(ticks):
        delay = 0 if aligned else int(rng.integers(0, 60 * MS))
        plan = joined(plan, chunk(now - delay, phase=rng.normal(scale=0.01)), now)
        out.append((now, plan))
        now += 160 * MS + (0 if aligned else int(rng.integers(-30 * MS, 30 * MS)))
    return out


def test_window_at_any_jitter_samples_the_plan_exactly_in_the_controller():
    """Published on a jittered timer and at each commitment, up to 30 ms late, joints shuffled."""
    rng = np.random.default_rng(0)
    controller_period = 2 * MS
    controller = JointTrajectoryController(NAMES, controller_period)
    controller.reset(wave(START))
    plans = dict(jittered_stream(rng))
    plan, wire, next_publish, worst, compared, windows = None, [], START, 0.0, 0, 0
    for now in range(START, max(plans) + 100 * MS, controller_period):
        for at in [at for at in plans if at <= now]:
            plan, next_publish = plans.pop(at), now
        if now >= next_publish:
            earliest = wire[-1][0] if wire else now
            wire.append((max(now + int(rng.integers(0, 30 * MS)), earliest), plan.window(now, PAST, FUTURE)))
            next_publish = now + 20 * MS + int(rng.integers(-10 * MS, 10 * MS))
        while wire and wire[0][0] <= now:
            window, order = wire.pop(0)[1], rng.permutation(3)
            positions, velocities = window.positions[:, order], window.velocities[:, order]
            names = [NAMES[i] for i in order]
            controller.accept(now, window.stamp_ns, names, window.times_ns, positions, velocities)
            windows += 1
        p, v = controller.update(now, wave(now) + 0.5)  # the measured state must not matter
        if windows:
            want_p, want_v = plan.sample(now)
            worst = max(worst, np.abs(p - want_p).max(), np.abs(v - want_v).max())
            compared += 1
    assert compared > 500
    assert windows > 50
    assert worst < 1e-9


def excess(plan):
    """The largest difference of the plan's controls over its bound, and how far it is out of its range."""
    # What lies before the first control may be forgotten motion; after the last one it rests.
    rows = np.concatenate([plan.controls, plan.controls[-1:].repeat(3, 0)])
    steps = plan.limits.steps(POINT)
    worst = max((np.abs(np.diff(rows, n=k, axis=0)) / bound).max() for k, bound in enumerate(steps, 1))
    beyond = max((plan.limits.lower - rows).max(), (rows - plan.limits.upper).max())
    return worst, beyond


def test_seam_is_continuous_in_position_velocity_and_acceleration():
    rng = np.random.default_rng(1)
    for now, plan in jittered_stream(rng, 12)[1:]:
        new = joined(plan, chunk(now, phase=0.3, offset=0.02), now)
        for stamp in range(-(-(now + FREEZE) // POINT) * POINT, new.end_ns, POINT):
            before, at, after = (knots_of(new, stamp + side) for side in (-1, 0, 1))
            for left, here, right, atol in zip(before, at, after, (1e-8, 1e-6, 1e-4), strict=True):
                np.testing.assert_allclose(left, here, atol=atol)  # one nanosecond away
                np.testing.assert_allclose(right, here, atol=atol)


def knots_of(plan, stamp_ns):
    return (*plan.sample(stamp_ns), plan.acceleration(stamp_ns))


@pytest.mark.parametrize('noise', [0.0, 0.003, 0.1, 5.0])
def test_whatever_the_chunks_say_every_limit_is_kept(noise):
    """Jittered streams of chunks that disagree, jump, leave the range and ask for impossible speeds."""
    rng = np.random.default_rng(7)
    for _ in range(4):
        now, plan = START, hold()
        for _ in range(12):
            rows = wave(now + np.arange(16) * 40 * MS, phase=rng.normal(scale=noise))
            rows = rows + rng.normal(scale=noise, size=rows.shape) * [1.0, 1.0, 0.1]
            delay = int(rng.integers(0, 60 * MS))
            plan = joined(plan, ActionChunk(now - delay, 40 * MS, NAMES, rows), now)
            for kept in (plan, plan.braked(now + int(rng.integers(0, 500 * MS)))):
                worst, beyond = excess(kept)
                assert worst <= 1.0 + 1e-6
                assert beyond <= 1e-12
            now += 160 * MS + int(rng.integers(-60 * MS, 60 * MS))


def test_a_difference_of_chunks_vanishes_as_fast_as_the_limits_allow():
    """0.05 rad between consecutive chunks: 6 rad/s^2 need at least 0.18 s; three times that is slack enough."""
    still = np.tile(wave(START), (32, 1))
    new = hold().joined(ActionChunk(START, 40 * MS, NAMES, still + np.array([0.05, 0.0, 0.0])), START, FREEZE)
    np.testing.assert_allclose(new.seam, [0.05, 0.0, 0.0], atol=1e-12)
    np.testing.assert_array_equal(new.seam_velocity, 0.0)
    needed = 2 * np.sqrt(0.05 / 6.0)
    early = new.plan.sample(START + FREEZE + round(0.5e9 * needed))[0]
    late = new.plan.sample(START + FREEZE + round(3e9 * needed))[0]
    assert early[0] < wave(START)[0] + 0.045
    np.testing.assert_allclose(late, still[0] + np.array([0.05, 0.0, 0.0]), atol=1e-3)


def test_the_arms_stand_at_the_wall_and_do_not_lean_on_it():
    """A chunk that pushes beyond the range ends at its bound, braked before it."""
    rows = np.linspace([0.0, 0.0, 0.05], [3.0, 0.0, 0.05], 32)
    new = CommittedPlan.hold([0.0, 0.0, 0.05], START, POINT, LIMITS).joined(
        ActionChunk(START, 40 * MS, NAMES, rows), START, FREEZE
    )
    assert 0.5 < new.clip_fraction < 0.8
    assert excess(new.plan)[1] <= 0.0
    assert new.plan.sample(new.plan.end_ns)[0][0] > 0.98


def test_too_fast_a_chunk_is_slowed_and_says_so():
    rows = np.linspace([0.0, 0.0, 0.05], [0.9, 0.0, 0.05], 6)
    slow = hold().joined(ActionChunk(START, 40 * MS, NAMES, rows), START, 0)
    assert 0.6 < slow.time_scale < 0.7  # 4.5 rad/s, limit 3
    assert hold().joined(chunk(START), START, FREEZE).time_scale == 1.0


def test_soft_start_begins_at_rest_where_the_arms_are():
    origin = wave(START) + np.array([0.1, -0.1, 0.0])
    plan = CommittedPlan.hold(origin, START, POINT, LIMITS)
    ramp = SoftStart(origin, START, 1000 * MS)
    soft = plan.joined(chunk(START, length=32), START, FREEZE, soft_start=ramp).plan
    hard = plan.joined(chunk(START, length=32), START, FREEZE).plan

    def peak(of):
        return max(np.abs(of.acceleration(START + k * 10 * MS)[0]) for k in range(60))

    assert peak(soft) < 0.4 * peak(hard)
    np.testing.assert_allclose(soft.sample(START + 1100 * MS)[0], wave(START + 1100 * MS), atol=2e-3)


def test_a_column_that_acts_late_is_commanded_early():
    lead = np.array([0, 80 * MS, 0])
    plan = hold().joined(swell(START), START, FREEZE, lead_ns=lead).plan
    late, early = swell(START + 600 * MS).positions[0], swell(START + 680 * MS).positions[0]
    np.testing.assert_allclose(plan.sample(START + 600 * MS)[0], [late[0], early[1], late[2]], atol=1e-3)


def test_nothing_changes_within_the_freeze_horizon():
    rng = np.random.default_rng(2)
    for now, plan in jittered_stream(rng, 12):
        for change in (joined(plan, chunk(now, phase=1.0), now), plan.braked(now + FREEZE)):
            for stamp in [*range(now - PAST, now + FREEZE, 3 * MS), now + FREEZE]:
                for old, new in zip(plan.sample(stamp), change.sample(stamp), strict=True):
                    np.testing.assert_array_equal(old, new)


def swell(stamp_ns, length=32):
    """A legal motion that begins at rest, where the wave does."""
    t = np.arange(length)[:, None] * 0.04 + (stamp_ns - START) * 1e-9
    return ActionChunk(
        stamp_ns, 40 * MS, NAMES, wave(START) + np.array([0.2, 0.1, 0.01]) * (1 - np.cos(2 * t))
    )


def test_a_legal_chunk_is_followed_as_it_is():
    """Up to the spline's smoothing, h²/6 times the acceleration: 0.8 rad/s² are 0.05 mrad."""
    new = hold().joined(swell(START), START, FREEZE)
    for i in range(3, 30):
        np.testing.assert_allclose(
            new.plan.sample(START + i * 40 * MS)[0], swell(START).positions[i], atol=1e-4
        )
    np.testing.assert_allclose(new.deviation, 0.0, atol=1e-4)


def test_a_chunk_that_agrees_leaves_the_plan_alone():
    """Streaming chunks that repeat themselves must not bend the curve at each seam."""
    first = joined(hold(), swell(START), START)
    second = joined(first, swell(START + 320 * MS), START + 320 * MS)
    for stamp in range(START + 320 * MS, START + 1200 * MS, 7 * MS):
        np.testing.assert_allclose(first.sample(stamp)[0], second.sample(stamp)[0], atol=1e-4)


def test_a_motion_that_is_far_ahead_is_caught_up_with():
    """From rest behind a wave of 0.8 rad/s, limit 6 rad/s²."""
    plan = hold()
    for k in range(6):
        plan = joined(plan, chunk(START + k * 160 * MS), START + k * 160 * MS)
    at = START + 900 * MS
    np.testing.assert_allclose(plan.sample(at)[0], wave(at), atol=0.01)


@pytest.mark.parametrize('shift_ns', [0, 7 * MS, 13 * MS])
def test_a_gripper_that_the_limits_do_not_bind_does_not_overshoot_a_plateau(shift_ns):
    rng = np.random.default_rng(3)
    free = MotionLimits.of(3, acceleration=1e6)
    for _ in range(8):
        steps = np.repeat(rng.choice([0.02, 0.058], size=6), 3)[:, None] * np.ones(3)
        now = START + shift_ns
        new = ActionChunk(now, 40 * MS, NAMES, steps)
        plan = CommittedPlan.hold(steps[0], now, POINT, free).joined(new, now, 0).plan
        for at in range(now, new.end_ns - POINT, 3 * MS):
            # The smoothing reaches over one chunk point to each side.
            i = (at - now) // (40 * MS)
            near = steps[max(i - 1, 0) : i + 3]
            assert np.all(
                (plan.sample(at)[0] >= near.min() - 1e-12) & (plan.sample(at)[0] <= near.max() + 1e-12)
            )


def test_every_window_is_legal_and_ends_at_rest():
    rng = np.random.default_rng(4)
    for now, plan in jittered_stream(rng, 6):
        for at in range(now, now + 1500 * MS, 37 * MS):
            window = plan.window(at, PAST, FUTURE)
            assert window.stamp_ns <= at - PAST
            assert window.end_ns > at + FUTURE
            assert window.times_ns[0] == 0
            assert np.all(np.diff(window.times_ns) > 0)
            np.testing.assert_array_equal(window.velocities[-1], 0.0)
            assert window.times_ns[-1] - window.times_ns[-2] >= POINT


def test_if_the_publisher_dies_the_controller_brakes_within_the_bound():
    rng = np.random.default_rng(5)
    step = 2 * MS
    for now, plan in jittered_stream(rng, 8)[1:]:
        window = plan.window(now, PAST, FUTURE)
        controller = JointTrajectoryController(NAMES, step)
        controller.reset(np.zeros(3))
        controller.accept(now, window.stamp_ns, NAMES, window.times_ns, window.positions, window.velocities)
        tail = window.stamp_ns + int(window.times_ns[-2])
        known = plan.braked(now + FUTURE)
        velocities = []
        for at in range(now, window.end_ns + 100 * MS, step):
            p, v = controller.update(at, np.zeros(3))
            # so the node knows where the controllers stopped
            np.testing.assert_allclose(p, known.sample(at)[0], atol=1e-9)
            if at >= tail:
                velocities.append(v)
        np.testing.assert_array_equal(velocities[-1], 0.0)
        assert np.all(np.abs(np.diff(velocities, axis=0)) / (step * 1e-9) <= LIMIT * (1 + 1e-6))


def test_plan_rests_before_its_start_and_after_its_end():
    plan = joined(hold(), chunk(START), START)
    end_p, end_v = plan.sample(plan.end_ns)
    np.testing.assert_array_equal(end_v, 0.0)
    np.testing.assert_array_equal(plan.sample(plan.end_ns + 10**12)[0], end_p)
    first = hold()
    for at in (START - 10**9, START, START + 10**9):
        np.testing.assert_array_equal(first.sample(at)[0], wave(START))
        np.testing.assert_array_equal(first.window(at, PAST, FUTURE).velocities, 0.0)


def test_brake_after_the_chunks_end_respects_the_bound():
    plan = joined(hold(), chunk(START), START)
    end = (START + 15 * 40 * MS) // POINT * POINT
    v = np.array([plan.sample(at)[1] for at in range(end, plan.end_ns + POINT, MS)])
    assert np.all(np.abs(np.diff(v, axis=0)) / 1e-3 <= LIMIT * (1 + 1e-6))


def test_going_to_a_pose_keeps_the_limits_and_arrives_together():
    moving = joined(hold(), chunk(START), START)
    now, target = START + 300 * MS, np.array([0.9, -0.4, 0.01])
    for scale in (1.0, 0.2):
        plan = moving.moved_to(target, now, FREEZE, scale)
        assert excess(plan)[0] <= 1.0 + 1e-6
        np.testing.assert_array_equal(plan.sample(now)[0], moving.sample(now)[0])
        np.testing.assert_array_equal(plan.sample(plan.end_ns)[0], target)
        way = plan.sample(plan.end_ns - 40 * MS)[0] - target
        assert np.all(np.abs(way) > 0), 'some joint arrived before the others'
    assert plan.end_ns - now > 3 * (moving.moved_to(target, now, FREEZE).end_ns - now)
    with pytest.raises(ConfigError, match=r'column 1: 0.7000, limits -0.6000 to 0.6000'):
        moving.moved_to([0.0, 0.7, 0.05], now, FREEZE)
    with pytest.raises(ConfigError, match='scale'):
        moving.moved_to(target, now, FREEZE, 0.0)


def test_joining_changes_no_input():
    plan, new = joined(hold(), chunk(START), START), chunk(START, phase=1.0)
    before = plan.controls.copy(), new.positions.copy()
    joined(plan, new, START + 100 * MS)
    plan.braked(START + 100 * MS)
    for array, copy in zip((plan.controls, new.positions), before, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert not array.flags.writeable
    window = plan.window(START, PAST, FUTURE)
    assert not any(a.flags.writeable for a in (window.times_ns, window.positions, window.velocities))


def test_history_does_not_grow():
    plan, now = hold(), START
    for _ in range(200):
        plan = joined(plan, chunk(now, length=8), now)
        now += 160 * MS
    assert len(plan.controls) < 120


def test_arm_windows_are_columns_with_one_stamp():
    window = joined(hold(), chunk(START), START).window(START + 50 * MS, PAST, FUTURE)
    left, right = window.for_arm(slice(0, 2)), window.for_arm(slice(2, 3))
    assert left.stamp_ns == right.stamp_ns == window.stamp_ns
    np.testing.assert_array_equal(np.hstack([left.positions, right.positions]), window.positions)
    np.testing.assert_array_equal(np.hstack([left.velocities, right.velocities]), window.velocities)


def test_refusals_name_their_reason():
    plan = hold()
    with pytest.raises(ChunkError, match='stamp: the chunk ends'):
        joined(plan, chunk(START), START + 10_000 * MS)
    with pytest.raises(ChunkError, match='names: 2 joints, the plan has 3'):
        joined(plan, ActionChunk(START, 40 * MS, ('a', 'b'), np.zeros((9, 2))), START)
    with pytest.raises(ChunkError, match='finite'):
        joined(plan, chunk(START, offset=np.nan), START)
    with pytest.raises(ConfigError, match='limits of 2 joints for a plan of 3'):
        CommittedPlan.hold(np.zeros(3), START, POINT, MotionLimits.of(2, acceleration=1.0))
    with pytest.raises(ConfigError, match='finite'):
        CommittedPlan.hold([np.nan], START, POINT, MotionLimits.of(1, acceleration=1.0))
