# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Laws of the metrics: perfect is zero, and known errors come out as they were put in."""

import numpy as np
import pytest
from synthetic_replay import EXECUTED, PERIOD_NS, ROWS, SCALE, START_NS, UNITS, motion, synthetic_replay

from dp_ros.evaluation.replay_grippers import Event, events, grippers, matched
from dp_ros.evaluation.replay_metrics import Ticks, errors, executed, pooled, seams, spread, worst_ticks

P = PERIOD_NS / 1e9
SECOND_NS = 1_000_000_000


def figures(record, rows=None):
    ticks = Ticks.of(record)
    return errors(ticks.chunk, ticks.recorded, record.scale, rows)


def test_a_perfect_prediction_has_no_error():
    found = figures(synthetic_replay())
    for value in vars(found).values():
        assert not np.any(value)
    assert found.mae.shape == (3,) and found.by_row.shape == (ROWS,) and found.by_tick.shape == (50,)


def test_a_shift_by_one_step_has_the_closed_form_error():
    # 157 ticks of 4 periods are 4 periods of the slower motion, 8 of the faster: 2 A sin(w P / 2) / sqrt 2.
    record = synthetic_replay(lambda t: motion(t + PERIOD_NS), ticks=157)
    found = figures(record, rows=EXECUTED)
    wanted = [2 * a * np.sin(w * P / 2) / np.sqrt(2) for a, w in ((0.5, 1.0), (0.25, 2.0))]
    np.testing.assert_allclose(found.rmse[:2], wanted, rtol=2e-3)
    np.testing.assert_allclose(found.normalised, found.rmse / SCALE)
    np.testing.assert_allclose(found.rmse_by_row[:, :2], np.broadcast_to(wanted, (ROWS, 2)), rtol=1e-2)


def test_a_known_offset_comes_out_in_each_joints_unit():
    offset = np.array([0.02, -0.03, 0.004])
    record = synthetic_replay(lambda t: motion(t) + offset)
    found = figures(record)
    np.testing.assert_allclose(found.mae, abs(offset))
    np.testing.assert_allclose(found.rmse, abs(offset))
    np.testing.assert_allclose(found.overall, np.sqrt(np.mean((offset / SCALE) ** 2)))
    assert pooled(found.mae, UNITS, 'rad', square=False) == pytest.approx(0.025)
    assert pooled(found.rmse, UNITS, 'rad', square=True) == pytest.approx(np.sqrt((0.02**2 + 0.03**2) / 2))
    assert pooled(found.rmse, UNITS, 'm', square=True) == pytest.approx(0.004)
    assert np.isnan(pooled(found.rmse, UNITS, '1', square=True))


def test_an_error_that_grows_along_the_chunk_shows_by_row_and_in_the_executed_part():
    def grows(times):
        out = motion(times)
        out[:, 0] += 0.1 * np.arange(len(times))
        return out

    record = synthetic_replay(grows)
    whole, first = figures(record), figures(record, rows=EXECUTED)
    np.testing.assert_allclose(whole.mae_by_row[:, 0], 0.1 * np.arange(ROWS), atol=1e-12)
    assert first.mae[0] == pytest.approx(0.1 * (EXECUTED - 1) / 2)
    assert first.overall < whole.overall
    np.testing.assert_array_equal(first.by_row, whole.by_row)


def test_what_is_not_known_does_not_count():
    record = synthetic_replay(ticks=4)
    for tick in record.ticks:
        tick.known[5:] = False
        tick.recorded[5:] = 1e6
    record.ticks[2].known[:] = False
    found = figures(record)
    assert found.overall == 0.0
    assert np.isnan(found.by_row[5:]).all() and not np.isnan(found.by_row[:5]).any()
    assert np.isnan(found.by_tick[2])


def test_a_record_without_ticks_has_figures_that_are_not_numbers():
    record = synthetic_replay(ticks=0)
    found = figures(record)
    assert np.isnan(found.overall) and np.isnan(found.mae).all()
    assert seams(Ticks.of(record)).count == 0
    assert executed(Ticks.of(record)) == []
    assert spread(record) is None
    assert [g.recorded for g in grippers(record)] == [0]


def test_seams_of_a_smooth_motion_are_those_of_the_recording():
    smooth = seams(Ticks.of(synthetic_replay(ticks=60)))
    assert smooth.count == 59
    np.testing.assert_allclose(smooth.position, 0.0, atol=1e-12)
    np.testing.assert_allclose(smooth.velocity, smooth.recorded_velocity, atol=1e-9)
    # Harmonic motion: v is at most A w, and its change over one period at most A w^2 P.
    assert 0.5 * 0.5 * P < smooth.recorded_step[0] < 0.5 * P
    assert smooth.recorded_velocity[0] < 0.5 * P


def test_a_chunk_that_begins_elsewhere_makes_a_seam_of_that_size():
    jump = np.array([0.03, 0.0, 0.001])
    record = synthetic_replay(ticks=10)
    for n, tick in enumerate(record.ticks):
        tick.chunk = tick.chunk + n * jump
    np.testing.assert_allclose(seams(Ticks.of(record)).position, jump, atol=1e-12)


def test_a_skipped_tick_and_a_new_episode_are_no_seam():
    record = synthetic_replay(ticks=10, episodes=2)
    del record.ticks[2]
    assert Ticks.of(record).seams.tolist() == [0, 2, 4, 5, 6, 7]
    assert [episode for episode, _, _ in executed(Ticks.of(record))] == [0, 0, 1]


def test_seams_between_irregular_stamps_read_the_old_chunk_between_its_rows():
    ramp = np.array([0.2, 0.1, 0.01])
    record = synthetic_replay(lambda t: (np.asarray(t) - START_NS)[:, None] / 1e9 * ramp, ticks=4)
    for n, tick in enumerate(record.ticks):
        tick.stamp_ns += 7_000_000 * (n % 2)
        tick.chunk = tick.chunk + 0.007 * (n % 2) * ramp
    np.testing.assert_allclose(seams(Ticks.of(record)).position, 0.0, atol=1e-12)


def test_executed_rows_are_those_until_the_next_chunk():
    record = synthetic_replay(ticks=6)
    ((episode, stamps, rows),) = executed(Ticks.of(record))
    assert episode == 0
    np.testing.assert_array_equal(stamps, START_NS + PERIOD_NS * np.arange(6 * EXECUTED))
    np.testing.assert_array_equal(rows, motion(stamps))


def test_the_spread_is_the_samples_own_and_covers_as_often_as_it_must():
    rng, k = np.random.default_rng(0), 9
    record = synthetic_replay(ticks=400)
    for tick in record.ticks[::2]:
        noise = rng.normal(size=(k + 1, ROWS, 3)) * 0.3 * SCALE
        tick.spread = motion(tick.stamp_ns + PERIOD_NS * np.arange(ROWS)) + noise[:k]
        tick.recorded = tick.recorded + noise[k]
    found = spread(record)
    assert (found.ticks, found.samples) == (200, k)
    assert found.overall == pytest.approx(0.3, rel=0.02)
    assert found.covered == pytest.approx((k - 1) / (k + 1), abs=0.02)


def test_worst_moments_are_the_largest_and_apart():
    record = synthetic_replay(ticks=30)
    by_tick = np.zeros(30)
    by_tick[[10, 11, 20, 3]] = 5.0, 4.0, 3.0, np.nan
    chosen = worst_ticks(Ticks.of(record), by_tick, most=3, apart_ns=SECOND_NS)
    assert chosen[:2] == [10, 20]
    assert len(chosen) == 3 and chosen[2] not in (3, 11)


@pytest.mark.parametrize('late_s', [0.0, 0.12, -0.08])
def test_a_gripper_that_is_late_is_late_by_that_much(late_s):
    record = synthetic_replay(lambda t: motion(t - round(late_s * 1e9)), ticks=48)
    (found,) = grippers(record)
    assert found.name == 'finger'
    # A change each second. A late one begins on the other side, and the change to where the recording begins is extra.
    assert found.recorded == 7
    assert len(found.hits) == 7 and found.extra == (late_s > 0)
    assert found.bias_s == pytest.approx(late_s, abs=P)
    assert found.median_s == pytest.approx(abs(late_s), abs=P)


def test_a_gripper_that_never_moves_misses_all_and_flutter_is_extra():
    def shut(times):
        out = motion(times)
        out[:, 2] = 0.02
        return out

    (found,) = grippers(synthetic_replay(shut))
    assert found.recorded == 7 and found.hits == [] and np.isnan(found.median_s)

    def flutters(times):
        out = motion(times)
        out[:, 2] = np.where((np.asarray(times) // PERIOD_NS) % 8 < 4, 0.05, 0.02)
        return out

    (found,) = grippers(synthetic_replay(flutters))
    assert found.extra > 20


def test_events_need_the_whole_way():
    stamps = np.arange(9) * PERIOD_NS
    values = np.array([0.0, 0.0, 0.55, 0.0, 0.4, 0.6, 1.0, 0.4, 1.0])
    (one,) = events(stamps, values, 0.0, 1.0)
    assert one == Event(round(4.5 * PERIOD_NS), True)


def test_each_event_is_matched_once_with_the_closest_in_its_direction():
    def at(ms, opens=True):
        return Event(ms * 1_000_000, opens)

    assert matched([at(0), at(1000, False)], [at(100), at(-50), at(1100, False), at(1000)]) == [
        (0, 1),
        (1, 2),
    ]
    assert matched([at(0)], [at(501)]) == []
