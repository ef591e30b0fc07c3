# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Replay records whose every error is known, for tests of the metrics and the report."""

from collections import Counter

import numpy as np

from dp_ros.evaluation.record import FrameRecord
from dp_ros.evaluation.replay_record import Curves, ReplayRecord, ReplayTick

PERIOD_NS, ROWS, EXECUTED = 40_000_000, 8, 4
NAMES, UNITS = ('waist', 'elbow', 'finger'), ('rad', 'rad', 'm')
START_NS = 1_700_000_000_000_000_000
SCALE = np.array([0.5, 0.25, 0.01])


def motion(stamps_ns):
    """(N,) stamps to (N, 3): two joints in harmonic motion, and a gripper that opens and closes each second."""
    seconds = (np.asarray(stamps_ns, np.int64) - START_NS) / 1e9
    finger = np.where(seconds % 2 < 1, 0.05, 0.02)
    return np.stack([0.5 * np.sin(seconds), 0.25 * np.cos(2 * seconds), finger], axis=-1)


def synthetic_replay(predict=motion, ticks=50, title='exact', episodes=1, **changes):
    """A record whose chunks are ``predict`` of their rows' stamps, while ``motion`` was recorded and measured."""
    tick_ns = EXECUTED * PERIOD_NS
    out = []
    for n in range(ticks):
        stamp_ns = START_NS + n * tick_ns
        rows = stamp_ns + PERIOD_NS * np.arange(ROWS, dtype=np.int64)
        out.append(
            ReplayTick(
                stamp_ns=stamp_ns,
                log_ns=stamp_ns + 3_000_000,
                chunk=predict(rows),
                recorded=motion(rows),
                known=np.ones(ROWS, bool),
                measured=motion(rows[:1])[0],
                stage_ms={'observe': 0.5, 'network': 2.0 + 0.01 * n},
                episode=n * episodes // ticks,
            )
        )
    stamps = START_NS + PERIOD_NS * np.arange(ticks * EXECUTED + ROWS, dtype=np.int64)
    picture = np.full((48, 64, 3), 90, np.uint8)
    record = ReplayRecord(
        title=title,
        checkpoint=f'checkpoints/{title}',
        bag='bags/of_a_test',
        joint_names=NAMES,
        joint_units=UNITS,
        grippers=('finger',),
        period_ns=PERIOD_NS,
        tick_ns=tick_ns,
        scale=SCALE,
        ticks=out,
        stale=Counter({"camera 'top': newest is N ms old, limit 250 ms": 2}),
        skipped=Counter({'no new picture': 3}),
        curves=Curves(stamps, motion(stamps), motion(stamps)),
        frames={'top': [FrameRecord.encode(t.stamp_ns, picture) for t in out]},
        provenance={'command': 'dp_ros replay', 'bag sha256': 'ab' * 32},
    )
    for key, value in changes.items():
        setattr(record, key, value)
    return record
