# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a chunk asks for: in time, slowed before clipped, ramped at the start."""

import numpy as np

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.limits import MotionLimits
from dp_ros.action.reference import SoftStart, reference, sample_chunk

MS = 1_000_000
START = 1_000_000 * MS
NAMES = ('a', 'b')
FREE = MotionLimits.of(2, acceleration=1.0)


def chunk(positions, stamp_ns=START):
    return ActionChunk(stamp_ns, 40 * MS, NAMES, np.asarray(positions, float))


def line(slope, rows=20):
    return chunk(np.outer(np.arange(rows) * 0.04, slope))


def grid(count=40, since_ns=0):
    return START + since_ns + np.arange(count) * 20 * MS


def test_a_chunk_is_read_by_its_stamps():
    moving = line([0.5, -0.2])
    for since in (0, 7 * MS, 133 * MS):
        got = sample_chunk(moving, grid(10, since))
        np.testing.assert_allclose(got, np.outer((grid(10, since) - START) * 1e-9, [0.5, -0.2]), atol=1e-12)


def test_lead_commands_a_late_column_earlier():
    moving = line([1.0, 1.0])
    got = reference(moving, grid(10), FREE, lead_ns=np.array([0, 100 * MS])).positions
    np.testing.assert_allclose(got[:, 1] - got[:, 0], 0.1, atol=1e-12)


def test_too_fast_is_slowed_for_all_joints_on_the_same_path():
    fast = line([2.0, 0.5])
    out = reference(fast, grid(30), MotionLimits.of(2, velocity=1.0, acceleration=1.0))
    assert abs(out.time_scale - 0.5) < 1e-9
    assert out.clip_fraction == 0.0
    steps = np.diff(out.positions, axis=0) / 0.02
    assert np.abs(steps).max() <= 1.0 + 1e-9
    np.testing.assert_allclose(out.positions[:, 1], out.positions[:, 0] * 0.25, atol=1e-12)


def test_only_the_fast_part_is_slowed():
    rows = np.concatenate([np.arange(10) * 0.01, 0.09 + np.arange(1, 6) * 0.08, np.full(10, 0.49)])
    out = reference(
        chunk(np.stack([rows, rows], 1)), grid(45), MotionLimits.of(2, velocity=1.0, acceleration=1.0)
    )
    np.testing.assert_allclose(
        out.positions[:16, 0], sample_chunk(chunk(np.stack([rows, rows], 1)), grid(16))[:, 0]
    )
    assert 0.3 < out.time_scale < 0.7
    np.testing.assert_allclose(out.positions[-1], 0.49, atol=1e-9)


def test_rows_outside_of_the_range_are_clipped_and_counted():
    limits = MotionLimits.of(2, lower=[-1.0, -1.0], upper=[0.39, 1.0], acceleration=1.0)
    out = reference(line([1.0, 0.1]), grid(38), limits)
    assert out.positions[:, 0].max() == 0.39
    # Rows 0.04 apart up to 0.76: 0.40 and on, ten of twenty, are outside.
    assert out.clip_fraction == 0.5
    # Only what is still to come counts.
    assert reference(line([1.0, 0.1]), grid(10, 400 * MS), limits).clip_fraction == 1.0


def test_soft_start_leads_from_the_origin_to_the_chunk():
    still = chunk(np.full((30, 2), 0.4))
    ramp = SoftStart(np.array([0.1, 0.4]), START, 400 * MS)
    got = reference(still, grid(50), FREE, soft_start=ramp).positions
    np.testing.assert_allclose(got[0], [0.1, 0.4])
    np.testing.assert_allclose(got[20:], 0.4)
    assert np.all(np.diff(got[:, 0]) >= -1e-12)
    # At rest at both ends: minimum-jerk.
    assert abs(got[1, 0] - got[0, 0]) < 1e-3
    assert abs(got[20, 0] - got[19, 0]) < 1e-3
