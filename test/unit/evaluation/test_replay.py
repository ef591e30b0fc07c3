# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A replay is the live code over a bag: the chunks of a direct loop, beside the commands of the bag."""

from collections import Counter
from dataclasses import replace as replaced

import numpy as np
import pytest
from bag_maker import START_NS, Command, MadeCamera, Plan, curve, example_binding, example_contract, make_bag

from dp_ros.bags.reader import open_bag
from dp_ros.contract.binding_actions import JOINT_STATE
from dp_ros.errors import BagError, MessageError, MismatchError, StaleObservationError
from dp_ros.evaluation.replay import ReplaySettings, Stretch, replay, without_figures
from dp_ros.evaluation.replay_assembly import NO_PICTURE
from dp_ros.observation.intake import Intake
from dp_ros.observation.observation_buffer import ObservationBuffer
from dp_ros.policy.config import ControlConfig
from dp_ros.policy.modes import make_controller
from dp_ros.policy.session import PolicySession
from dp_ros.policy.testing import tiny_policy

CONTRACT, BINDING = example_contract(), example_binding()
TICK_NS, PERIOD_NS = 200_000_000, 50_000_000
SECOND_NS = 1_000_000_000


@pytest.fixture(scope='module')
def policy():
    return tiny_policy(CONTRACT)


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('bags') / 'whole'
    make_bag(path, Plan(duration_s=3.0))
    with open_bag(path) as opened:
        yield opened


def run(bag, policy, binding=BINDING, seed=0, **settings):
    return replay(bag, binding, make_controller(policy), ReplaySettings(seed=seed, **settings))


def test_the_chunks_are_those_of_a_direct_loop(bag, policy):
    record = run(bag, policy, seed=3)
    buffer = ObservationBuffer(CONTRACT)
    sources = {s.topic: s for s in Intake(CONTRACT, BINDING, buffer).sources}
    session = PolicySession(make_controller(policy), buffer, 3)
    session.set_engaged(True)
    chunks = []
    for message in bag.messages(sources):
        sources[message.topic].put(message.decode(), message.log_ns)
        if session.due():
            try:
                chunks.append(session.tick(message.log_ns).chunk)
            except (StaleObservationError, MessageError):
                continue
    assert len(chunks) >= 13
    assert [t.stamp_ns for t in record.ticks] == [c.stamp_ns for c in chunks]
    for tick, chunk in zip(record.ticks, chunks, strict=True):
        np.testing.assert_array_equal(tick.chunk, chunk.positions)


def test_one_seed_gives_one_record_and_samples_leave_the_stream_alone(bag, policy):
    plain = run(bag, policy, full_sampling=False)
    twice = [run(bag, policy, samples=3, samples_every=2) for _ in range(2)]
    other = run(bag, policy, seed=1, full_sampling=False)
    for i, tick in enumerate(plain.ticks):
        np.testing.assert_array_equal(tick.chunk, twice[0].ticks[i].chunk)
        assert not np.array_equal(tick.chunk, other.ticks[i].chunk)
        assert tick.full is None and tick.spread is None
        a, b = (record.ticks[i] for record in twice)
        np.testing.assert_array_equal(a.full, b.full)
        assert (a.spread is None) == (i % 2 == 1)
        if a.spread is not None:
            np.testing.assert_array_equal(a.spread, b.spread)
            assert a.spread.shape == (3, *tick.chunk.shape)
            assert len(np.unique(np.concatenate([a.spread, a.full[None]])[:, 0, 0])) == 4, 'four seeds'


def test_what_was_commanded_and_measured_stands_beside_each_chunk(bag, policy):
    record = run(bag, policy)
    for tick in record.ticks:
        times = tick.stamp_ns + PERIOD_NS * np.arange(8)
        wanted = np.stack([curve(name, times) for name in CONTRACT.joint_names], axis=1)
        np.testing.assert_allclose(tick.recorded[tick.known], wanted[tick.known], atol=2e-3)
        np.testing.assert_allclose(tick.measured, wanted[0], atol=1e-3)
    assert record.ticks[3].known.all()
    assert not record.ticks[-1].known.all(), 'the bag ends before the last chunk does'
    inner = record.curves.stamps_ns < START_NS + 2 * SECOND_NS
    wanted = np.stack([curve(name, record.curves.stamps_ns[inner]) for name in CONTRACT.joint_names], axis=1)
    np.testing.assert_allclose(record.curves.measured[inner][2:], wanted[2:], atol=2e-3)
    assert record.frames['top'][0].decode().shape == (24, 32, 3)
    assert record.joint_units == ('rad', 'rad', 'm')
    np.testing.assert_array_equal(record.scale, policy.action.std.numpy())


def test_a_silent_camera_is_counted_and_not_bridged(tmp_path, policy):
    make_bag(tmp_path / 'bag', Plan(duration_s=3.0, cameras=(MadeCamera(dropout=(1.0, 2.05)),)))
    with open_bag(tmp_path / 'bag') as bag:
        record = run(bag, policy, full_sampling=False)
    gaps = np.diff([t.stamp_ns for t in record.ticks])
    assert gaps.max() > SECOND_NS
    assert sum(record.skipped.values()) == round(gaps.max() / TICK_NS) - 1
    assert NO_PICTURE in record.skipped


def test_silent_joints_refuse_what_was_due_and_the_reason_is_counted_once_an_observation(tmp_path, policy):
    make_bag(tmp_path / 'bag', Plan(duration_s=2.0, joint_rate_hz=5.0))
    with open_bag(tmp_path / 'bag') as bag:
        record = run(bag, policy, full_sampling=False)
    assert record.ticks == []
    assert 5 <= sum(record.stale.values()) <= 60
    assert all('left_j1' in reason for reason in record.stale)


def test_each_episode_begins_anew_with_the_noise_of_its_own_seed(bag, policy):
    halves = [
        Stretch(START_NS, START_NS + SECOND_NS),
        Stretch(START_NS + 3 * SECOND_NS // 2, START_NS + 5 * SECOND_NS // 2),
    ]
    both = run(bag, policy, seed=5, stretches=halves, full_sampling=False)
    second = run(bag, policy, seed=6, stretches=halves[1:], full_sampling=False)
    later = [t for t in both.ticks if t.episode == 1]
    assert {t.episode for t in both.ticks} == {0, 1}
    for tick in both.ticks:
        stretch = halves[tick.episode]
        assert stretch.start_ns <= tick.log_ns < stretch.stop_ns
        times = tick.stamp_ns + PERIOD_NS * np.arange(8)
        assert not tick.known[times > stretch.stop_ns].any()
    assert [t.stamp_ns for t in later] == [t.stamp_ns for t in second.ticks]
    for a, b in zip(later, second.ticks, strict=True):
        np.testing.assert_array_equal(a.chunk, b.chunk)
    assert both.skipped == Counter()


def test_only_the_asked_time_is_replayed(bag, policy):
    start, stop = START_NS + SECOND_NS, START_NS + 2 * SECOND_NS
    record = run(bag, policy, start_ns=start, stop_ns=stop)
    assert record.ticks
    assert all(start <= t.log_ns < stop for t in record.ticks)


def test_an_episode_has_its_own_instruction_or_the_goal_that_the_policy_came_with(bag):
    policy = tiny_policy(replaced(CONTRACT, goals=('instruction',)))
    middle = START_NS + 3 * SECOND_NS // 2

    def chunks(*texts, **control):
        controller = make_controller(policy, 2, ControlConfig(evaluations=1, **control))
        episodes = [Stretch(START_NS, middle, texts[0]), Stretch(middle, middle + SECOND_NS, texts[1])]
        settings = ReplaySettings(seed=2, stretches=episodes, full_sampling=False)
        ticks = replay(bag, BINDING, controller, settings).ticks
        return [np.stack([t.chunk for t in ticks if t.episode == episode]) for episode in (0, 1)]

    push, drawer = 'push the button', 'open the drawer'
    one, other = chunks(push, drawer), chunks(push, push)
    np.testing.assert_array_equal(one[0], other[0])
    assert np.abs(one[1] - other[1]).max() > 1e-6
    free, neither = chunks(push, '', goal_free=True), chunks('', '', goal_free=True)
    np.testing.assert_array_equal(free[1], neither[1])
    assert np.abs(free[0] - neither[0]).max() > 1e-6
    with pytest.raises(
        MismatchError, match=r'needs a goal \(instruction\).* for 1 of 2 episodes; --instruction'
    ):
        chunks(push, '')


def test_what_follows_the_last_command_of_an_episode_is_not_compared(tmp_path, policy):
    # Commands 100 ms apart: between two episodes they are joined by a line that nobody drove.
    make_bag(tmp_path / 'bag', Plan(duration_s=2.2, commands=(Command('/arm/command', JOINT_STATE),)))
    actions = [{'topic': '/arm/command', 'type': JOINT_STATE}]
    stop = START_NS + SECOND_NS + 70_000_000
    with open_bag(tmp_path / 'bag') as opened:
        record = run(
            opened, policy, example_binding(actions=actions),
            stretches=[Stretch(START_NS, stop), Stretch(stop, stop + SECOND_NS)], full_sampling=False,
        )  # fmt: skip
    first = [t for t in record.ticks if t.episode == 0]
    last = max(t.stamp_ns + PERIOD_NS * int(np.flatnonzero(t.known)[-1]) for t in first if t.known.any())
    assert stop - 120_000_000 <= last <= START_NS + SECOND_NS + 1_000_000
    stamps = record.curves.stamps_ns
    begin = min(t.stamp_ns for t in record.ticks if t.episode == 1) - PERIOD_NS
    between = (stamps > START_NS + SECOND_NS + 1_000_000) & (stamps < begin)
    assert between.any()
    assert np.isnan(record.curves.commanded[between]).all()


def test_full_sampling_is_not_compared_with_itself(bag):
    policy = tiny_policy(CONTRACT)
    controller = make_controller(policy, control=ControlConfig(mode='chunk', evaluations=4))
    record = replay(bag, BINDING, controller)
    assert record.mode == 'chunk'
    assert all(t.full is None for t in record.ticks)


def test_everything_that_does_not_fit_is_said_at_once(tmp_path, policy):
    make_bag(
        tmp_path / 'bag', Plan(duration_s=0.2, commands=(Command('/other'),), cameras=(MadeCamera('/eye'),))
    )
    with open_bag(tmp_path / 'bag') as bag, pytest.raises(MismatchError) as caught:
        run(bag, policy)
    text = str(caught.value)
    assert '/top/image_raw' in text and '/eye' in text
    assert '/arm_controller/joint_trajectory' in text and '/other' in text
    compressed = example_binding(made={'top': MadeCamera('/eye', encoding='jpeg')})
    with open_bag(tmp_path / 'bag') as bag, pytest.raises(MismatchError, match=r'/eye is .*Compressed'):
        run(bag, policy, compressed)


def test_a_bag_without_commands_for_a_joint_says_which(tmp_path, policy):
    make_bag(
        tmp_path / 'bag',
        Plan(duration_s=0.3, commands=(Command('/arm_controller/joint_trajectory', joints=('left_j1',)),)),
    )
    with open_bag(tmp_path / 'bag') as bag, pytest.raises(BagError, match=r'left_j2.*left_finger.*`actions`'):
        run(bag, policy)


def test_unreadable_messages_are_counted_and_the_rest_goes_on(tmp_path, policy):
    make_bag(tmp_path / 'bag', Plan(duration_s=2.0, resized=('/top/image_raw',)))
    with open_bag(tmp_path / 'bag') as bag:
        record = run(bag, policy, full_sampling=False)
    assert len(record.ticks) >= 6
    assert sum(record.unreadable.values()) >= 1
    (why,) = record.unreadable
    assert why.startswith("/top/image_raw: camera 'top'") or why.startswith("camera 'top'")
    assert '(first at 1700000001.' in why


def test_where_two_times_were_recorded_no_chunk_is_made(tmp_path, policy):
    make_bag(tmp_path / 'bag', Plan(duration_s=3.2, jump=(1.6, -1.0)))
    with open_bag(tmp_path / 'bag') as bag:
        record = run(bag, policy, full_sampling=False)
        (begin, end), *_ = bag.clock.twice
    ticks = [tick.log_ns for tick in record.ticks]
    assert any(log_ns < begin for log_ns in ticks) and any(log_ns > end for log_ns in ticks)
    assert not any(begin <= log_ns <= end for log_ns in ticks)


def test_equal_causes_count_together_and_limits_stay():
    text = "camera 'top2': newest is {} ms old, limit 250 ms"
    assert without_figures(text.format(300)) == without_figures(text.format(1234)) == text.format('N')
    assert without_figures('at 1700000000123456789 ns: bad') == 'at N: bad'
