# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Baselines on motions for which their error has a closed form."""

import numpy as np
import pytest
from synthetic_replay import NAMES, PERIOD_NS, ROWS, SCALE, START_NS, motion, synthetic_replay

from dp_ros.contract import Arm, Contract, Embodiment, Joint, Timing
from dp_ros.data.episode import Episode
from dp_ros.errors import StoreError
from dp_ros.evaluation.replay_baselines import NearestDemonstration, hold, last_velocity
from dp_ros.evaluation.replay_metrics import Ticks, errors
from dp_ros.evaluation.replay_record import Curves

RAMP = np.array([0.2, -0.1, 0.01])
TIMING = Timing(obs_horizon=1, pred_horizon=ROWS, action_horizon=4, period_ns=PERIOD_NS)


def ramp(stamps_ns):
    return (np.asarray(stamps_ns, np.int64) - START_NS)[:, None] / 1e9 * RAMP


def ramped():
    """A record in which everything moves evenly, with a measurement one period before the first tick."""
    record = synthetic_replay(ticks=20)
    for tick in record.ticks:
        tick.recorded = ramp(tick.stamp_ns + PERIOD_NS * np.arange(ROWS))
        tick.measured = tick.recorded[0]
    stamps = START_NS + PERIOD_NS * np.arange(-1, 100)
    record.curves = Curves(stamps, ramp(stamps), ramp(stamps))
    return record, Ticks.of(record)


def test_holding_is_off_by_the_way_that_is_made():
    _, ticks = ramped()
    found = errors(hold(ticks), ticks.recorded, SCALE)
    np.testing.assert_allclose(
        found.mae_by_row, np.arange(ROWS)[:, None] * PERIOD_NS / 1e9 * abs(RAMP), atol=1e-12
    )


def test_the_last_velocity_is_right_for_an_even_motion():
    record, ticks = ramped()
    np.testing.assert_allclose(last_velocity(ticks, record.curves), ticks.recorded, atol=1e-9)


def test_without_a_measurement_before_it_the_last_velocity_holds():
    record, ticks = ramped()
    cut = record.curves.stamps_ns >= ticks.stamps_ns[0]
    curves = Curves(record.curves.stamps_ns[cut], record.curves.commanded[cut], record.curves.measured[cut])
    found = last_velocity(ticks, curves)
    np.testing.assert_array_equal(found[0], hold(ticks)[0])
    np.testing.assert_allclose(found[1:], ticks.recorded[1:], atol=1e-9)


def contract(names=NAMES):
    joints = tuple(Joint(name=n, unit='m' if n == 'finger' else 'rad') for n in names)
    return Contract(
        name='made', embodiment=Embodiment(arms=(Arm(name='a', joints=joints),)), cameras=(), timing=TIMING
    )


def demonstration(offset=0.0, bag=''):
    stamps = START_NS + PERIOD_NS * np.arange(300)
    values = motion(stamps).astype(np.float32)
    return Episode.regular(
        TIMING,
        stamps_ns=stamps,
        proprio=values + np.float32(offset),
        images={},
        actions=values + np.float32(offset),
        metadata={'bag_sha256': bag},
    )


def test_the_nearest_demonstration_of_the_same_motion_is_right():
    record = synthetic_replay(ticks=30)
    ticks = Ticks.of(record)
    nearest = NearestDemonstration(contract(), [demonstration(9.0), demonstration()])
    found = nearest.predict(ticks, NAMES, SCALE)
    np.testing.assert_allclose(found, ticks.recorded, atol=1e-6)
    turned = ('finger', 'waist', 'elbow')
    swapped = NearestDemonstration(contract(turned), [demonstration()])
    with pytest.raises(StoreError, match=r"no joints \['elsewhere'\]"):
        swapped.predict(ticks, ('waist', 'elsewhere', 'finger'), SCALE)


def test_a_bag_does_not_find_itself():
    mine, other = demonstration(bag='mine'), demonstration(0.5, bag='other')
    ticks = Ticks.of(synthetic_replay(ticks=5))
    found = NearestDemonstration(contract(), [mine, other], leave_out='mine').predict(ticks, NAMES, SCALE)
    assert abs(found - ticks.recorded).max() > 0.3
    with pytest.raises(StoreError, match='other bags'):
        NearestDemonstration(contract(), [mine], leave_out='mine')
