# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What is watched while the arms may move, each watch alone."""

import numpy as np

from dp_ros.nodes.measured import MeasuredJoints
from dp_ros.nodes.watches import TrackingWatch

MS = 1_000_000
NAMES = ('near', 'far')


def lagging(watch):
    """The watch's answer for arms that follow a curve of 1 rad/s exactly, but 40 and 120 ms late."""
    measured, wrong = MeasuredJoints(NAMES), ''
    for step in range(50):
        stamp_ns = 1000 * MS + step * 20 * MS
        measured.put(stamp_ns, NAMES, (stamp_ns - np.array([40, 120]) * MS) * 1e-9)
        wrong = wrong or watch.check(measured, lambda at_ns: np.full(2, at_ns * 1e-9))
    return wrong


def test_a_joint_is_compared_with_what_it_was_told_a_latency_ago():
    lead = np.array([40, 120], np.int64) * MS
    watch = TrackingWatch(NAMES, np.full(2, 0.01), 100 * MS, lead)
    assert lagging(watch) == ''
    np.testing.assert_allclose(watch.largest, 0.0, atol=1e-9)


def test_without_the_latency_the_lag_is_an_error():
    assert 'far: commanded' in lagging(TrackingWatch(NAMES, np.full(2, 0.1), 100 * MS))
