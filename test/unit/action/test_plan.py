# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Laws of the committed plan, alone and through the controller's model."""

import numpy as np
import pytest

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.plan import CommittedPlan
from dp_ros.errors import ChunkError, ConfigError
from dp_ros.simulation.joint_trajectory_controller import JointTrajectoryController

MS = 1_000_000
POINT, FREEZE, BLEND, PAST, FUTURE = 20 * MS, 40 * MS, 120 * MS, 40 * MS, 160 * MS
NAMES = ('a', 'b', 'g')
LIMIT = np.array([6.0, 4.0, 1.0])
START = 1_000_000 * MS


def wave(stamps_ns, phase=0.0):
    t = (np.asarray(stamps_ns) - START) * 1e-9 + phase
    return np.stack([0.4 * np.sin(2 * t), 0.2 * np.cos(3 * t), 0.04 + 0.01 * np.sin(5 * t)], axis=-1)


def chunk(stamp_ns, phase=0.0, length=16, period_ns=40 * MS, offset=0.0):
    stamps = stamp_ns + np.arange(length) * period_ns
    return ActionChunk(stamp_ns, period_ns, NAMES, wave(stamps, phase) + offset)


def hold(now_ns=START):
    return CommittedPlan.hold(wave(now_ns), now_ns, POINT, LIMIT)


def joined(plan, new, now_ns):
    return plan.joined(new, now_ns, FREEZE, BLEND)


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


def test_seam_is_continuous_in_position_and_velocity():
    rng = np.random.default_rng(1)
    for now, plan in jittered_stream(rng, 12)[1:]:
        new = joined(plan, chunk(now, phase=0.3, offset=0.05), now)
        seam = -(-(now + FREEZE) // POINT) * POINT
        for side in (-1, 1):
            for a, b in zip(new.sample(seam), new.sample(seam + side), strict=True):
                np.testing.assert_allclose(a, b, atol=1e-6)  # one nanosecond away
        # and everywhere: velocity is continuous over every knot
        for stamp in range(seam, new.end_ns, POINT):
            np.testing.assert_allclose(new.sample(stamp - 1)[1], new.sample(stamp)[1], atol=1e-5)


def test_nothing_changes_within_the_freeze_horizon():
    rng = np.random.default_rng(2)
    for now, plan in jittered_stream(rng, 12):
        for change in (joined(plan, chunk(now, phase=1.0), now), plan.braked(now + FREEZE)):
            for stamp in [*range(now - PAST, now + FREEZE, 3 * MS), now + FREEZE]:
                for old, new in zip(plan.sample(stamp), change.sample(stamp), strict=True):
                    np.testing.assert_array_equal(old, new)


def test_after_the_blend_the_plan_goes_through_the_chunk():
    now = START
    new = chunk(now, offset=0.03)
    plan = joined(hold(), new, now)
    for i in range(4, 16):  # 160 ms: freeze and blend are over
        np.testing.assert_allclose(plan.sample(now + i * 40 * MS)[0], new.positions[i], atol=1e-12)


def test_a_chunk_that_agrees_leaves_the_plan_alone():
    """Streaming chunks that repeat themselves must not bend the curve at each seam."""
    first = joined(hold(), chunk(START, length=32), START)
    second = joined(first, chunk(START, length=32), START + 320 * MS)
    for stamp in range(START + 320 * MS, START + 1200 * MS, 7 * MS):
        np.testing.assert_allclose(first.sample(stamp)[0], second.sample(stamp)[0], atol=1e-12)


@pytest.mark.parametrize('shift_ns', [0, 7 * MS, 13 * MS])
def test_gripper_does_not_overshoot_between_chunk_points(shift_ns):
    rng = np.random.default_rng(3)
    for _ in range(8):
        steps = np.repeat(rng.choice([0.02, 0.058], size=8), 2)[:, None] * np.ones(3)
        now = START + shift_ns
        new = ActionChunk(now, 40 * MS, NAMES, steps)
        plan = CommittedPlan.hold(steps[0], now, POINT, LIMIT * 1e3).joined(new, now, 0, 1)
        for i in range(1, 15):
            low, high = np.minimum(steps[i], steps[i + 1]), np.maximum(steps[i], steps[i + 1])
            # off the grid, one knot's interval reaches over a chunk point: look at the neighbours too
            if shift_ns:
                low = np.minimum.reduce(steps[max(i - 1, 0) : i + 3])
                high = np.maximum.reduce(steps[max(i - 1, 0) : i + 3])
            for at in range(now + i * 40 * MS, min(now + (i + 1) * 40 * MS, new.end_ns - POINT), 3 * MS):
                p, _ = plan.sample(at)
                assert np.all((p >= low - 1e-12) & (p <= high + 1e-12))


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


def test_joining_changes_no_input():
    plan, new = joined(hold(), chunk(START), START), chunk(START, phase=1.0)
    before = plan.positions.copy(), plan.velocities.copy(), new.positions.copy()
    joined(plan, new, START + 100 * MS)
    plan.braked(START + 100 * MS)
    for array, copy in zip((plan.positions, plan.velocities, new.positions), before, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert not array.flags.writeable
    window = plan.window(START, PAST, FUTURE)
    assert not any(a.flags.writeable for a in (window.times_ns, window.positions, window.velocities))


def test_history_does_not_grow():
    plan, now = hold(), START
    for _ in range(200):
        plan = joined(plan, chunk(now, length=8), now)
        now += 160 * MS
    assert len(plan.positions) < 120


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
    for bad in (0.0, -1.0, np.nan, [1.0, 2.0]):
        with pytest.raises(ConfigError, match='max_acceleration'):
            CommittedPlan.hold(np.zeros(3), START, POINT, bad)
    with pytest.raises(ConfigError, match='finite'):
        CommittedPlan.hold([np.nan], START, POINT, 1.0)
