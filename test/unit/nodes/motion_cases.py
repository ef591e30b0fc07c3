# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A Motion with measured arms, and chunks that it likes; for the tests of what action_node decides."""

from dataclasses import replace

import numpy as np

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.gates import ChunkLimits
from dp_ros.action.limits import MotionLimits
from dp_ros.contract import Contract
from dp_ros.nodes.motion import Motion
from dp_ros.nodes.motion_settings import MotionSettings
from dp_ros.share import share_path

MS = 1_000_000
STEP = 20 * MS
T0 = 1000 * MS
CONTRACT = Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))
JOINTS = len(CONTRACT.joint_names)
SETTINGS = MotionSettings(
    point_ns=20 * MS,
    past_ns=40 * MS,
    future_ns=160 * MS,
    freeze_ns=40 * MS,
    chunk_timeout_ns=500 * MS,
    sync_timeout_ns=2000 * MS,
    joint_timeout_ns=250 * MS,
    max_future_ns=100 * MS,
    tracking_error_ns=300 * MS,
    max_tracking_error=(0.2,) * JOINTS,
    position_tolerance=(0.05,) * JOINTS,
    clock_timeout_s=1.0,
)
LIMITS = MotionLimits.of(JOINTS, lower=-2.0, upper=2.0, velocity=3.0, acceleration=8.0, jerk=800.0)


def measure(motion, now, value=0.0):
    motion.measured.put(now, CONTRACT.joint_names, np.full(JOINTS, value))


def chunk(now, seq, start=0.0, speed=0.2, epoch=1):
    positions = start + speed * np.arange(32)[:, None] * 0.04 * np.ones(JOINTS)
    return ActionChunk(now, 40 * MS, CONTRACT.joint_names, positions, CONTRACT.hash, epoch, seq)


def drive(motion, steps=24, now=T0):
    """Engage and follow chunks each 160 ms; returns the time of the last step."""
    assert motion.engage(now).success
    for step in range(steps):
        now = T0 + step * STEP
        measure(motion, now)
        if step % 8 == 0:
            assert motion.chunk(chunk(now, step // 8, 0.2 * step * 0.02), now) is not None
        assert motion.tick(now) is not None
    return now


def follow(motion, now, steps):
    """Windows of so many further steps without anything new but measurements."""
    out = []
    for _ in range(steps):
        now += STEP
        measure(motion, now)
        out.append(motion.tick(now))
    return out


def measured_motion(**changes):
    """A Motion whose arms are measured at zero; ``changes`` are settings."""
    motion = Motion(
        CONTRACT, replace(SETTINGS, **changes), ChunkLimits(max_age_ns=500 * MS, start_jump=0.1), LIMITS
    )
    measure(motion, T0)
    return motion
