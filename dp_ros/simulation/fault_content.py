# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Faults of content: what a sample holds when its sender, or the code that filled it, is wrong.

Each maker takes the parameters of a fault file and returns a pure function from sample to sample.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dp_ros.action.chunk import parse_id
from dp_ros.errors import ConfigError
from dp_ros.simulation.fault_stream import Sample

Change = Callable[[Sample, np.random.Generator], Sample]
NAMES = ('missing', 'extra', 'permuted', 'renamed', 'twice', 'one_arm_missing')
SHAPES = ('short', 'long', 'ragged', 'empty', 'one_point', 'uneven')


def value(set_to: str = 'nan', joint: int = 0, from_row: int = 0) -> Change:
    """One joint's values become NaN or infinite, from a row on."""
    if set_to not in ('nan', 'inf'):
        raise ConfigError(f"set_to must be 'nan' or 'inf', got {set_to!r}")

    def change(sample: Sample, _: np.random.Generator) -> Sample:
        rows = [row.copy() for row in sample.rows]
        for row in rows[from_row:]:
            row[joint] = float(set_to)
        return replace(sample, rows=tuple(rows))

    return change


def names(mode: str, joint: int = 1) -> Change:
    """Names that are not the contract's; 'permuted' is legal, because everything is matched by name."""
    if mode not in NAMES:
        raise ConfigError(f'mode must be one of {NAMES}, got {mode!r}')

    def change(sample: Sample, rng: np.random.Generator) -> Sample:
        given, rows = list(sample.names), [list(row) for row in sample.rows]
        if mode == 'renamed':
            given[joint] = 'unknown_joint'
        elif mode == 'twice':
            given[joint] = given[0]
        elif mode == 'extra':
            given.append('unknown_joint')
            rows = [[*row, 0.0] for row in rows]
        else:
            order = _kept(mode, len(given), joint, rng)
            given, rows = [given[i] for i in order], [[row[i] for i in order] for row in rows]
        return replace(sample, names=tuple(given), rows=tuple(np.array(row) for row in rows))

    return change


def _kept(mode: str, width: int, joint: int, rng: np.random.Generator) -> list[int]:
    if mode == 'permuted':
        return [int(i) for i in rng.permutation(width)]
    if mode == 'missing':
        return [i for i in range(width) if i != joint]
    # The last arm of two, the outer half of the only one.
    return list(range(width // 2))


def shape(mode: str) -> Change:
    """Numbers of values or points that do not fit."""
    if mode not in SHAPES:
        raise ConfigError(f'mode must be one of {SHAPES}, got {mode!r}')

    def change(sample: Sample, _: np.random.Generator) -> Sample:
        rows, times = list(sample.rows), list(sample.times_ns)
        if mode == 'short':
            rows = [row[:-1] for row in rows]
        elif mode == 'long':
            rows = [np.append(row, 0.0) for row in rows]
        elif mode == 'ragged':
            rows[len(rows) // 2] = rows[len(rows) // 2][:-1]
        elif mode == 'uneven':
            times[-1] += 7_000_000
        else:
            keep = 1 if mode == 'one_point' else 0
            rows, times = rows[:keep], times[:keep]
        return replace(sample, rows=tuple(rows), times_ns=tuple(times))

    return change


def skew(by_s: float) -> Change:
    """Stamps of a clock that is wrong by so much; a stamp never becomes negative."""
    return lambda sample, _: replace(sample, stamp_ns=max(1, sample.stamp_ns + round(by_s * 1e9)))


def offset(by: float, joint: int = -1, noise: bool = False) -> Change:
    """All values, or one joint's, moved by a constant, or by a new draw of +-``by`` for each sample."""

    def change(sample: Sample, rng: np.random.Generator) -> Sample:
        amount = by * rng.uniform(-1.0, 1.0) if noise else by
        columns = np.arange(len(sample.rows[0])) if joint < 0 else np.array([joint])
        rows = [row.copy() for row in sample.rows]
        for row in rows:
            row[columns] += amount
        return replace(sample, rows=tuple(rows))

    return change


def ramp(speed: float, joint: int = 1, from_s: float = 0.0) -> Change:
    """One joint of a chunk runs away from what was meant, by ``speed`` per second, from so long after its start on."""

    def change(sample: Sample, _: np.random.Generator) -> Sample:
        rows = [row.copy() for row in sample.rows]
        for row, time_ns in zip(rows, sample.times_ns, strict=True):
            row[joint] += speed * max(0.0, time_ns * 1e-9 - from_s)
        return replace(sample, rows=tuple(rows))

    return change


def wave(amplitude: float, hz: float, joint: int = 1, from_s: float = 0.0) -> Change:
    """One joint of a chunk swings around what was meant, from so long after its start on."""

    def change(sample: Sample, _: np.random.Generator) -> Sample:
        rows = [row.copy() for row in sample.rows]
        for row, time_ns in zip(rows, sample.times_ns, strict=True):
            row[joint] += amplitude * np.sin(2 * np.pi * hz * max(0.0, time_ns * 1e-9 - from_s))
        return replace(sample, rows=tuple(rows))

    return change


def identity(contract: str = '', epoch_by: int = 0, seq_by: int = 0) -> Change:
    """A chunk of another contract, of an older epoch, or with an older number."""

    def change(sample: Sample, _: np.random.Generator) -> Sample:
        own, epoch, seq = parse_id(sample.frame_id)
        text = f'{contract or own}:{max(0, epoch + epoch_by)}:{max(0, seq + seq_by)}'
        return replace(sample, frame_id=text)

    return change


def truncate(points: int) -> Change:
    """Only the first points of a chunk."""
    if points < 2:
        raise ConfigError(f'points must be at least 2, got {points}')
    return lambda sample, _: replace(sample, rows=sample.rows[:points], times_ns=sample.times_ns[:points])


CONTENT: dict[str, Callable[..., Change]] = {
    'value': value, 'names': names, 'shape': shape, 'skew': skew, 'offset': offset, 'ramp': ramp, 'wave': wave,
    'identity': identity, 'truncate': truncate,
}  # fmt: skip
