# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A window that could not be published in time never reaches a controller: it would step the arms."""

from dataclasses import replace

import numpy as np
import pytest
from motion_cases import MS, SETTINGS, STEP, T0, chunk, drive, measure, measured_motion

from dp_ros.action.supervisor import Mode
from dp_ros.action.window import Window
from dp_ros.nodes.dispatch import Dispatch


@pytest.fixture
def motion():
    return measured_motion()


def at_knots(window: Window) -> dict[int, np.ndarray]:
    """Position and velocity by time, rad and rad/s."""
    rows = np.concatenate([window.positions, window.velocities], axis=1)
    return dict(zip((window.stamp_ns + window.times_ns).tolist(), rows, strict=True))


def require_joined(old: Window, new: Window, arrival_ns: int) -> None:
    """What the controllers do with the old window, which rests where it ends, goes on in the new one on arrival."""
    before, after = at_knots(old), at_knots(new)
    rest = np.concatenate([old.positions[-1], old.velocities[-1]])
    times = [t for t in after if arrival_ns - 2 * STEP < t < arrival_ns + STEP]
    assert len(times) >= 2
    for t in times:
        np.testing.assert_allclose(after[t], before.get(t, rest), atol=1e-9)


def moving(motion):
    """The newest window of a plan in motion, and the time one step later at which a new chunk's window was cut."""
    now = drive(motion)
    old = motion.tick(now)
    assert np.abs(old.velocities[0]).max() > 0.01
    measure(motion, now + STEP)
    cut = now + STEP
    new = motion.chunk(chunk(cut, 90, float(old.positions[0, 0]), epoch=1), cut)
    assert new is not None
    return old, cut


@pytest.mark.parametrize('late_ms', [50, 90, 200, 700])
def test_it_is_cut_anew_where_the_controllers_are(motion, late_ms):
    old, cut = moving(motion)
    assert not motion.track.late(cut + 30 * MS)
    arrival = cut + late_ms * MS
    assert motion.track.late(arrival)
    again = motion.recut(arrival)
    assert not motion.track.late(arrival)
    require_joined(old, again, arrival)
    assert motion.counters['windows_late'] == 1
    assert motion.track.gaps == (1 if late_ms > 140 else 0)


def test_without_a_change_it_is_late_only_where_the_old_one_ran_out(motion):
    now = drive(motion)
    motion.tick(now)
    assert motion.tick(now + STEP) is not None
    assert not motion.track.late(now + 150 * MS)
    assert motion.track.late(now + 160 * MS)


def test_a_stop_that_is_late_brakes_from_where_the_controllers_are(motion):
    _, cut = moving(motion)
    newest = motion.tick(cut)  # what the chunk led to went out in time
    motion.fault(cut + STEP, 'test', 'a stop')
    assert motion.urgent(cut + STEP) is not None
    arrival = cut + STEP + 120 * MS
    assert motion.track.late(arrival)
    again = motion.recut(arrival)
    assert motion.state.mode is Mode.FAULT
    require_joined(newest, again, arrival)
    np.testing.assert_array_equal(again.velocities[-1], 0.0)


def test_a_window_that_cannot_be_made_leads_to_a_brake_of_the_one_before(motion):
    old, cut = moving(motion)
    motion.track.plan = replace(motion.track.plan, controls=np.full_like(motion.track.plan.controls, np.nan))
    motion.unsendable(cut, 'not finite')
    assert motion.state.mode is Mode.FAULT
    brake = motion.tick(cut + STEP)
    require_joined(old, brake, cut + STEP)
    np.testing.assert_array_equal(brake.velocities[-1], 0.0)
    assert brake.positions[-1, 0] < old.positions[-1, 0] + 1e-9


def test_the_first_window_starts_later_instead(motion):
    motion.engage(T0)
    measure(motion, T0, 0.05)
    motion.chunk(chunk(T0, 0), T0)
    measure(motion, T0 + 190 * MS, 0.05)
    arrival = T0 + 200 * MS
    assert motion.track.late(arrival)
    again = motion.recut(arrival)
    assert not motion.track.late(arrival)
    after = at_knots(again)
    still = [row[:14] for t, row in after.items() if t <= arrival + SETTINGS.freeze_ns]
    assert len(still) > 3
    np.testing.assert_allclose(np.array(still), 0.05, atol=1e-12)


def test_nothing_goes_out_where_it_is_too_late(motion):
    class Recorder:
        period_ns = 0

        def __init__(self):
            self.sent = []

        def prepare(self, window, *_):
            return window

        def send(self, message):
            self.sent.append(message)

    output = Recorder()
    dispatch = Dispatch([output], 0.02)
    drive(motion)
    window, plan = motion.tick(T0 + 10_000 * MS), motion.track.plan
    assert not dispatch.publish(window, '', plan, 0, False, late=lambda: True)
    assert output.sent == []
    assert dispatch.window is None
    assert dispatch.publish(window, '', plan, 0, False, late=lambda: False)
    assert output.sent == [window]
