# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A new goal in motion: a new epoch, a fresh observation, and no jump of what is commanded."""

from dataclasses import replace

import numpy as np
import pytest

from dp_ros.action.limits import MotionLimits
from dp_ros.action.plan import CommittedPlan
from dp_ros.contract import Contract
from dp_ros.errors import GoalError
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation_buffer import ObservationBuffer
from dp_ros.policy.config import ControlConfig
from dp_ros.policy.goal import Goal
from dp_ros.policy.modes import make_controller
from dp_ros.policy.session import PolicySession
from dp_ros.policy.testing import tiny_policy
from dp_ros.share import share_path

MS = 1_000_000
CONTRACT = replace(
    Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json')),
    goals=('instruction', 'image'),
)
PICTURE = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
BUTTON, DRAWER = Goal(instruction='push the button'), Goal(instruction='open the drawer')


@pytest.fixture(scope='module')
def policy():
    return tiny_policy(CONTRACT)


def make_session(policy, **control):
    buffer = ObservationBuffer(CONTRACT, ObservationLimits(frozen_camera_ns=0))
    return PolicySession(make_controller(policy, control=ControlConfig(**control)), buffer, seed=7)


def tick(session, stamp_ms):
    session.buffer.push_joints(stamp_ms * MS, CONTRACT.joint_names, np.full(14, 0.01))
    session.buffer.push_image('top', stamp_ms * MS, lambda: PICTURE)
    return session.tick(stamp_ms * MS)


def test_nothing_is_due_before_there_is_a_goal(policy):
    session = make_session(policy)
    with pytest.raises(GoalError, match='needs a goal'):
        tick(session, 1000)
    assert not session.due()
    session.set_goal(BUTTON)
    assert tick(session, 1040).chunk.epoch == 2
    session.set_goal(None)
    assert session.waits_for_goal


def test_a_new_goal_begins_an_epoch_with_an_observation_made_after_it(policy):
    session = make_session(policy)
    session.set_goal(BUTTON)
    session.set_engaged(True)
    first = [tick(session, 1000 + 160 * i).chunk for i in range(3)]
    session.set_goal(DRAWER)
    assert session.tick(1320 * MS) is None
    after = tick(session, 1360)
    assert after.engaged
    assert after.chunk.epoch > first[-1].epoch
    assert after.chunk.stamp_ns > first[-1].stamp_ns
    assert session.counters['goals'] == 2
    # The same as whoever had this goal from the start, from the same observation.
    other = make_session(policy)
    other.set_goal(DRAWER)
    other.set_engaged(True)
    np.testing.assert_array_equal(tick(other, 1360).chunk.positions, after.chunk.positions)


def test_a_refused_goal_leaves_the_old_one_in_force(policy):
    session = make_session(policy)
    session.set_goal(BUTTON)
    session.set_engaged(True)
    before = tick(session, 1000).chunk
    with pytest.raises(GoalError):
        session.set_goal(Goal(image=np.zeros((3, 3, 3), np.uint8)))
    assert session.goal is BUTTON
    assert tick(session, 1160).chunk.epoch == before.epoch


def test_goal_free_policies_tick_without_one(policy):
    assert tick(make_session(policy, goal_free=True), 1000) is not None
    assert tick(make_session(policy, guidance=0.0), 1000) is not None


def test_the_commanded_plan_does_not_jump_where_the_goal_changes(policy):
    """Chunks of two epochs, which do not agree, on one committed plan, at the limits of motion that it keeps."""
    session = make_session(policy)
    session.set_goal(BUTTON)
    session.set_engaged(True)
    limits = MotionLimits.of(14, velocity=2.0, acceleration=5.0, jerk=50.0)
    period = CONTRACT.timing.period_ns
    plan = CommittedPlan.hold(np.full(14, 0.01), 1000 * MS, period, limits)
    sampled = []
    for step in range(12):
        now = (1000 + 160 * step) * MS
        if step == 6:
            session.set_goal(DRAWER)
        chunk = tick(session, 1000 + 160 * step).chunk
        # As if the other goal lay elsewhere.
        chunk = replace(chunk, positions=chunk.positions + (0.3 if step >= 6 else 0.0))
        plan = plan.joined(chunk, now, 80 * MS).plan
        sampled += [plan.sample(now + at * 4 * MS)[0] for at in range(40)]
    velocity = np.diff(np.array(sampled), axis=0) / 0.004
    acceleration = np.diff(velocity, axis=0) / 0.004
    assert np.abs(velocity).max() <= 2.0 + 1e-6
    assert np.abs(acceleration).max() <= 5.0 + 1e-3
    assert np.abs(np.array(sampled)[-1] - np.array(sampled)[0]).max() > 0.2  # it did go to the other place
