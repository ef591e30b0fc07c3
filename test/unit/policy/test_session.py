# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""When the policy ticks, and which chunks may move the arms."""

import threading

import numpy as np
import pytest

from dp_ros.contract import Contract
from dp_ros.errors import StaleObservationError
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation_buffer import ObservationBuffer
from dp_ros.policy.modes import make_controller
from dp_ros.policy.session import PolicySession
from dp_ros.policy.testing import tiny_policy
from dp_ros.share import share_path

MS = 1_000_000
CONTRACT = Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))
PICTURE = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)


@pytest.fixture(scope='module')
def policy():
    return tiny_policy(CONTRACT)


@pytest.fixture
def session(policy):
    buffer = ObservationBuffer(CONTRACT, ObservationLimits(frozen_camera_ns=0))
    return PolicySession(make_controller(policy), buffer, seed=7)


def see(session, stamp_ms):
    session.buffer.push_joints(stamp_ms * MS, CONTRACT.joint_names, np.full(14, 0.01))
    session.buffer.push_image('top', stamp_ms * MS, lambda: PICTURE)


def tick(session, stamp_ms):
    see(session, stamp_ms)
    return session.tick(stamp_ms * MS)


def test_it_ticks_each_action_horizon_and_forgives_half_a_period(session):
    assert not session.due()
    assert tick(session, 1000) is not None
    assert tick(session, 1139) is None
    assert tick(session, 1140) is not None
    see(session, 1200)
    assert not session.due()
    see(session, 1300)
    assert session.due()


def test_previews_start_anew_each_time_engaged_chunks_do_not(session):
    first, second = tick(session, 1000), tick(session, 1160)
    assert not first.engaged
    np.testing.assert_array_equal(first.chunk.positions, second.chunk.positions)
    session.set_engaged(True)
    chunks = [tick(session, 1320 + 160 * i) for i in range(3)]
    assert all(c.engaged for c in chunks)
    assert len({c.chunk.id for c in (first, second, *chunks)}) == 5
    assert np.abs(chunks[0].chunk.positions - chunks[1].chunk.positions).max() > 0


def test_an_engagement_begins_with_an_observation_made_after_it(session):
    tick(session, 1000)
    session.set_engaged(True)
    assert not session.due()
    assert session.tick(1000 * MS) is None
    assert tick(session, 1040).engaged


def test_the_noise_follows_from_the_episode_and_the_attempt(session, policy):
    """So a refused start in one episode does not change the noise of the next."""
    controller = make_controller(policy)
    stamp = 1000
    for episode, attempts in ((1, 2), (2, 1), (3, 1)):
        session.reset()
        for attempt in range(1, attempts + 1):
            session.set_engaged(True)
            stamp += 200
            drawn = tick(session, stamp).chunk
            session.set_engaged(False)
            controller.reset(7 + episode - 1)
            for _ in range(attempt - 1):
                controller.reset()
            expected = controller.tick(session.buffer.observe(stamp * MS))
            np.testing.assert_array_equal(drawn.positions, expected.positions)


def test_what_was_under_way_at_an_edge_ends_as_a_preview(session, monkeypatch):
    inside, go = threading.Event(), threading.Event()
    original = session._controller.tick

    def slow(observation):
        inside.set()
        assert go.wait(10)
        return original(observation)

    monkeypatch.setattr(session._controller, 'tick', slow)
    session.set_engaged(True)
    see(session, 1000)
    out = []
    thread = threading.Thread(target=lambda: out.append(session.tick(1000 * MS)))
    thread.start()
    assert inside.wait(10)
    session.set_engaged(False)
    go.set()
    thread.join(10)
    assert out[0].engaged is False
    assert session.counters['overtaken'] == 1
    assert tick(session, 1040).chunk.epoch > out[0].chunk.epoch


def test_a_refused_observation_changes_nothing(session):
    session.set_engaged(True)
    session.buffer.push_image('top', 1000 * MS, lambda: PICTURE)
    with pytest.raises(StaleObservationError):
        session.tick(1000 * MS)
    assert tick(session, 1040).chunk.seq == 0


def test_a_reset_forgets_and_begins_an_epoch(session):
    before = tick(session, 1000).chunk
    session.reset()
    assert not session.due()
    after = tick(session, 1010).chunk
    assert after.epoch == before.epoch + 1


def test_a_clock_that_was_set_back_does_not_silence_it(session):
    tick(session, 100_000)
    assert tick(session, 1000) is not None
