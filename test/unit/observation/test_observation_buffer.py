# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Alignment, history, and every way in which streams go wrong."""

import threading

import numpy as np
import pytest

from dp_ros.contract import Arm, Camera, Contract, Embodiment, Joint, Timing
from dp_ros.errors import ConfigError, MessageError, StaleObservationError
from dp_ros.observation.camera_stream import LazyFrame
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation_buffer import ObservationBuffer

MS = 1_000_000
T0 = 10_000 * MS
LEFT, RIGHT = ('l1', 'l2', 'lg'), ('r1', 'r2')
JOINTS = LEFT + RIGHT
LIMITS = ObservationLimits(frozen_camera_ns=0)


def contract(obs_horizon=1, cameras=('top',)):
    return Contract(
        name='test',
        embodiment=Embodiment(
            arms=(
                Arm(
                    name='left',
                    joints=(Joint(name='l1'), Joint(name='l2')),
                    gripper=Joint(name='lg', unit='m'),
                ),
                Arm(name='right', joints=tuple(Joint(name=n) for n in RIGHT)),
            )
        ),
        cameras=tuple(Camera(name=n, source_size=(4, 6), crop=(0, 0, 4, 6), size=(2, 3)) for n in cameras),
        timing=Timing(obs_horizon=obs_horizon, pred_horizon=4, action_horizon=2, period_ns=40 * MS),
    )


def picture(level):
    return lambda: np.full((4, 6, 3), level, np.uint8)


def motion(stamp_ns):
    """Joint positions that are linear in time, so that interpolation is exact."""
    t = (stamp_ns - T0) * 1e-9
    return np.array([t, -t, 0.02 + 0.1 * t, 2 * t, 1.0])


def feed_joints(buffer, start_ns, stop_ns, step_ns=10 * MS):
    for stamp in range(start_ns, stop_ns + 1, step_ns):
        buffer.push_joints(stamp, JOINTS, motion(stamp))


def ready(**options):
    buffer = ObservationBuffer(contract(**options), LIMITS)
    feed_joints(buffer, T0 - 200 * MS, T0 + 20 * MS)
    return buffer


def test_joints_are_interpolated_at_the_images_stamp():
    rng = np.random.default_rng(0)
    for _ in range(20):
        buffer, stamp = ready(), T0 - int(rng.integers(0, 100 * MS))
        buffer.push_image('top', stamp, picture(7))
        seen = buffer.observe(T0 + 20 * MS)
        assert seen.stamp_ns == stamp == buffer.newest_observation_ns()
        assert seen.proprio.shape == (1, 5)
        assert seen.proprio.dtype == np.float32
        np.testing.assert_allclose(seen.proprio[0], motion(stamp), atol=1e-6)
        np.testing.assert_array_equal(seen.images['top'], np.full((1, 2, 3, 3), 7))
        assert seen.ages_ns == {'joints': T0 + 20 * MS - stamp, 'top': T0 + 20 * MS - stamp}


def test_observation_time_is_the_oldest_of_the_newest_camera_stamps():
    buffer = ready(cameras=('top', 'wrist'))
    for stamp in (T0 - 60 * MS, T0 - 30 * MS, T0):
        buffer.push_image('top', stamp, picture((stamp - T0) // MS + 100))
    assert buffer.newest_observation_ns() is None
    buffer.push_image('wrist', T0 - 35 * MS, picture(1))
    seen = buffer.observe(T0)
    assert seen.stamp_ns == T0 - 35 * MS
    assert seen.images['top'][0, 0, 0, 0] == 70  # the nearest, 5 ms later, not the newest
    assert seen.ages_ns['top'] == 30 * MS
    assert seen.ages_ns['wrist'] == 35 * MS


def test_history_stands_at_whole_periods_before_oldest_first():
    buffer = ready(obs_horizon=3)
    for k in range(6):
        buffer.push_image('top', T0 - k * 20 * MS, picture(k))  # newest first: order of arrival is no matter
    seen = buffer.observe(T0)
    np.testing.assert_array_equal(seen.images['top'][:, 0, 0, 0], [4, 2, 0])
    np.testing.assert_allclose(seen.proprio, [motion(T0 - k * 40 * MS) for k in (2, 1, 0)], atol=1e-6)
    assert seen.ages_ns == {
        'joints': 0, 'joints[1]': 40 * MS, 'joints[2]': 80 * MS, 'top': 0, 'top[1]': 40 * MS, 'top[2]': 80 * MS,
    }  # fmt: skip


def test_before_the_first_sample_the_first_one_is_repeated_and_the_ages_say_so():
    buffer = ObservationBuffer(contract(obs_horizon=3), LIMITS)
    buffer.push_image('top', T0, picture(5))
    buffer.push_joints(T0, JOINTS, motion(T0))
    seen = buffer.observe(T0 + MS)
    np.testing.assert_allclose(seen.proprio, [motion(T0)] * 3, atol=1e-6)
    np.testing.assert_array_equal(seen.images['top'], np.full((3, 2, 3, 3), 5))
    assert set(seen.ages_ns.values()) == {MS}


def test_without_cameras_the_joints_give_the_time():
    buffer = ready(cameras=())
    assert buffer.observe(T0 + 30 * MS).stamp_ns == T0 + 20 * MS


def test_joints_go_by_name_from_several_messages_in_any_order():
    rng = np.random.default_rng(1)
    buffer = ObservationBuffer(contract(cameras=()), LIMITS)
    names = (*LEFT, 'wheel', 'mimic')
    for stamp in range(T0 - 50 * MS, T0 + 1, 10 * MS):
        values = dict(zip(JOINTS, motion(stamp), strict=True)) | {'wheel': 99.0, 'mimic': np.nan}
        for group in (names, RIGHT):
            shuffled = [str(n) for n in rng.permutation(group)]
            buffer.push_joints(stamp, shuffled, [values[n] for n in shuffled])
    np.testing.assert_allclose(buffer.observe(T0).proprio[0], motion(T0), atol=1e-6)


def test_missing_joints_are_named():
    buffer = ObservationBuffer(contract(cameras=()), LIMITS)
    buffer.push_joints(T0, LEFT, motion(T0)[:3])
    with pytest.raises(StaleObservationError, match="nothing received yet from joint 'r1', joint 'r2'"):
        buffer.observe(T0)
    assert buffer.counters['refused_observations'] == 1
    assert buffer.ages(T0 + 5) == {'joints': None}


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_a_message_with_a_non_finite_joint_is_dropped_as_a_whole(bad):
    buffer = ready()
    positions = motion(T0 + 30 * MS)
    positions[3] = bad
    with pytest.raises(MessageError, match=r"\['r1'\] are not finite"):
        buffer.push_joints(T0 + 30 * MS, JOINTS, positions)
    assert buffer.counters['not_finite.joints'] == 1
    assert buffer.ages(T0 + 30 * MS)['joints'] == 10 * MS


def test_malformed_messages_and_unknown_cameras_are_refused():
    buffer = ready()
    with pytest.raises(MessageError, match='5 names, 4 positions'):
        buffer.push_joints(T0, JOINTS, np.zeros(4))
    with pytest.raises(MessageError, match=r"unknown camera 'side'; legal: \['top'\]"):
        buffer.push_image('side', T0, picture(0))


def test_duplicates_and_late_samples_are_counted():
    buffer = ready()
    for stamp in (T0, T0, T0 - 30 * MS):
        buffer.push_image('top', stamp, picture(1))
    buffer.push_joints(T0 + 20 * MS, JOINTS, motion(T0))
    counters = buffer.counters
    assert counters['images.top'] == 3
    assert counters['duplicate.top'] == counters['out_of_order.top'] == counters['duplicate.joints'] == 1


@pytest.mark.parametrize('stream', ['joints', 'top'])
def test_a_clock_set_back_clears_everything_and_life_goes_on(stream):
    buffer = ready()
    buffer.push_image('top', T0, picture(1))
    early = T0 - 5_000 * MS
    if stream == 'joints':
        buffer.push_joints(early, JOINTS, motion(early))
    else:
        buffer.push_image('top', early, picture(2))
    assert buffer.counters['clock_jumps'] == 1
    assert buffer.newest_observation_ns() == (None if stream == 'joints' else early)
    buffer.push_joints(early, JOINTS, motion(early))
    buffer.push_image('top', early, picture(2))
    seen = buffer.observe(early)
    assert seen.stamp_ns == early
    assert seen.images['top'].max() == 2


def test_images_are_decoded_only_if_used_and_at_most_once():
    buffer, decoded = ready(obs_horizon=2), []

    def decode(stamp):
        decoded.append(stamp)
        return picture(stamp // MS % 200)()

    for stamp in range(T0 - 80 * MS, T0 + 1, 10 * MS):
        buffer.push_image('top', stamp, lambda stamp=stamp: decode(stamp))
    assert decoded == []
    for _ in range(3):
        buffer.observe(T0)
    assert sorted(decoded) == [T0 - 40 * MS, T0]


def test_an_undecodable_image_is_dropped_and_counted():
    buffer = ready()

    def broken():
        raise MessageError('not a JPEG')

    buffer.push_image('top', T0 - 30 * MS, picture(3))
    buffer.push_image('top', T0, broken)
    with pytest.raises(MessageError, match=r"camera 'top', image at .*: not a JPEG"):
        buffer.observe(T0)
    assert buffer.counters['undecodable.top'] == 1
    assert buffer.observe(T0).stamp_ns == T0 - 30 * MS


def test_a_stale_camera_is_named_with_age_and_limit():
    buffer = ready()
    buffer.push_image('top', T0, picture(1))
    feed_joints(buffer, T0 + 30 * MS, T0 + 300 * MS)
    buffer.observe(T0 + 250 * MS)
    with pytest.raises(StaleObservationError, match=r"camera 'top': newest is 251 ms old, limit 250 ms$"):
        buffer.observe(T0 + 251 * MS)
    for _ in range(4):
        buffer.push_image('top', T0, picture(1))
    with pytest.raises(StaleObservationError, match='limit 250 ms; 4 messages repeated its stamp'):
        buffer.observe(T0 + 251 * MS)


def test_a_silent_camera_is_named():
    with pytest.raises(StaleObservationError, match="nothing received yet from camera 'top'"):
        ready().observe(T0)


def test_a_stale_joint_is_named_with_age_and_limit():
    buffer = ready()
    buffer.push_joints(T0 + 100 * MS, LEFT, motion(T0)[:3])
    buffer.push_image('top', T0, picture(1))
    with pytest.raises(StaleObservationError, match="joint 'r1': newest is 130 ms old, limit 100 ms"):
        buffer.observe(T0 + 150 * MS)


def test_joints_are_waited_for_and_never_extrapolated():
    buffer = ready()
    buffer.push_image('top', T0 + 25 * MS, picture(1))
    with pytest.raises(
        StaleObservationError, match="joint 'l1': not yet at t_obs, newest is 10 ms old, limit 5 ms"
    ):
        buffer.observe(T0 + 30 * MS)
    feed_joints(buffer, T0 + 30 * MS, T0 + 30 * MS)
    np.testing.assert_allclose(buffer.observe(T0 + 30 * MS).proprio[0], motion(T0 + 25 * MS), atol=1e-6)


def test_skewed_cameras_are_named_with_skew_and_limit():
    buffer = ready(cameras=('top', 'wrist'))
    buffer.push_image('wrist', T0 - 61 * MS, picture(1))
    buffer.push_image('top', T0, picture(1))
    with pytest.raises(
        StaleObservationError, match=r"camera 'top': nearest image is 61 ms off .* limit 60 ms"
    ):
        buffer.observe(T0)
    buffer.push_image('wrist', T0 - 60 * MS, picture(1))
    assert buffer.observe(T0).stamp_ns == T0 - 60 * MS


def test_a_hole_in_the_joints_is_named():
    buffer = ObservationBuffer(contract(), LIMITS)
    for stamp in (T0, T0 + 101 * MS):
        buffer.push_joints(stamp, JOINTS, motion(stamp))
    buffer.push_image('top', T0 + 50 * MS, picture(1))
    with pytest.raises(StaleObservationError, match="joint 'l1': 101 ms without a sample, limit 100 ms"):
        buffer.observe(T0 + 101 * MS)


def test_stamps_from_the_future_are_refused():
    buffer = ready()
    buffer.push_image('top', T0, picture(1))
    buffer.observe(T0 - 80 * MS)
    with pytest.raises(
        StaleObservationError, match="camera 'top': stamped 101 ms in the future, limit 100 ms"
    ):
        buffer.observe(T0 - 101 * MS)


def test_a_camera_that_repeats_its_pixels_is_frozen():
    limits = ObservationLimits(frozen_camera_ns=100 * MS)
    buffer = ObservationBuffer(contract(), limits)
    for i, level in enumerate([1, 2, 3, 3, 3, 3, 4]):
        stamp = T0 + i * 40 * MS
        feed_joints(buffer, stamp, stamp)
        buffer.push_image('top', stamp, picture(level))
        if i == 5:
            with pytest.raises(StaleObservationError, match=r"'top': frozen, .* for 120 ms, limit 100 ms"):
                buffer.observe(stamp)
        else:
            assert buffer.observe(stamp).stamp_ns == stamp


def test_clear_forgets_samples_and_keeps_counters():
    buffer = ready()
    buffer.push_image('top', T0, picture(1))
    buffer.clear()
    assert buffer.newest_observation_ns() is None
    assert buffer.ages(T0) == {'joints': None, 'top': None}
    assert buffer.counters['images.top'] == 1


def test_nothing_handed_in_or_out_is_shared():
    buffer, positions, image = ready(), motion(T0 + 30 * MS), np.full((4, 6, 3), 9, np.uint8)
    buffer.push_joints(T0 + 30 * MS, JOINTS, positions)
    buffer.push_image('top', T0 + 30 * MS, lambda: image)
    first = buffer.observe(T0 + 30 * MS)
    positions[:], image[:] = 0.0, 0
    again = buffer.observe(T0 + 30 * MS)
    np.testing.assert_array_equal(first.proprio, again.proprio)
    np.testing.assert_array_equal(first.images['top'], again.images['top'])
    with pytest.raises(ValueError, match='read-only'):
        again.images['top'][0] = 0


def test_a_frame_that_needs_no_resampling_is_copied_out_of_its_message():
    camera = Camera(name='top', source_size=(4, 6), crop=(0, 0, 4, 6), size=(4, 6))
    image = np.full((4, 6, 3), 9, np.uint8)
    frame = LazyFrame(camera, lambda: image)
    assert not np.shares_memory(frame.pixels(), image)
    image[:] = 0  # still writeable, and no longer looked at
    np.testing.assert_array_equal(frame.pixels(), np.full((4, 6, 3), 9))


def test_pushing_from_another_thread_while_observing():
    buffer, overtaken, seen = ready(obs_horizon=2), [], []

    def push():
        for i in range(2000):
            stamp = T0 + 20 * MS + i * MS
            buffer.push_joints(stamp, JOINTS, motion(stamp))
            buffer.push_image('top', stamp, picture(i % 250))

    buffer.push_image('top', T0, picture(1))
    thread = threading.Thread(target=push)
    thread.start()
    while thread.is_alive() or not seen:
        now = buffer.newest_observation_ns()
        try:
            seen.append(buffer.observe(now))
        except StaleObservationError as error:
            overtaken.append(str(error))
    thread.join()
    for one in seen:
        np.testing.assert_allclose(one.proprio[-1], motion(one.stamp_ns), atol=1e-5)
    # the joints of a stamp are pushed before its image: nothing is ever missing, only overtaken
    assert all('future' in text for text in overtaken)


@pytest.mark.parametrize('value', [-1, 1.5, True])
def test_limits_are_checked(value):
    with pytest.raises(ConfigError, match='max_joint_age_ns must be a non-negative integer'):
        ObservationLimits(max_joint_age_ns=value)
