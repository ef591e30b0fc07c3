# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a replay gave, live or offline: every chunk beside what was recorded, and all that the report needs.

One ``.npz`` whose arrays are plain numbers (no pickle), with one JSON text among them, as in a run record. Every stamp
is on the bag's clock; positions are in the joints' SI units.
"""

import json
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dp_ros.errors import StoreError
from dp_ros.evaluation.record import FrameRecord
from dp_ros.whole_file import whole_file

VERSION = 1
Floats = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]


@dataclass
class ReplayTick:
    """One chunk of the policy, and what the bag says about the same moments. Row i is at ``stamp_ns + i * period``.

    Attributes:
        stamp_ns: observation time t_obs.
        log_ns: time of the message that made the observation due; what the observation's ages refer to.
        chunk: (Tp, A) float64, what the policy would have commanded.
        recorded: (Tp, A) float64, what was commanded; means nothing where it is not known.
        known: (Tp,) bool, False where the bag has no command.
        measured: (A,) float64, joint positions at ``stamp_ns``.
        stage_ms: where the tick's time went, milliseconds by stage.
        full: (Tp, A) or None: a chunk of full sampling from noise, of the same observation.
        spread: (K, Tp, A) or None: more such chunks, of other seeds.
        episode: which episode of the bag, from 0.
    """

    stamp_ns: int
    log_ns: int
    chunk: Floats
    recorded: Floats
    known: npt.NDArray[np.bool_]
    measured: Floats
    stage_ms: dict[str, float] = field(default_factory=dict)
    full: Floats | None = None
    spread: Floats | None = None
    episode: int = 0


@dataclass
class Curves:
    """What the robot did between the ticks, for plots and videos: one row a period, NaN where nothing is known.

    Attributes:
        stamps_ns: (M,) int64, increasing.
        commanded: (M, A) float64, the recorded commands.
        measured: (M, A) float64, the recorded joint positions.
    """

    stamps_ns: Stamps
    commanded: Floats
    measured: Floats

    @classmethod
    def empty(cls, joints: int) -> 'Curves':
        """No rows."""
        return cls(np.zeros(0, np.int64), np.zeros((0, joints)), np.zeros((0, joints)))


@dataclass
class ReplayRecord:
    """All ticks of one checkpoint over one bag.

    Attributes:
        title: name of the model in tables, e.g. the checkpoint's directory.
        checkpoint, bag: paths as they were given.
        joint_names, joint_units: (A,) in the order of every vector of positions; units 'rad', 'm' or '1'.
        grippers: those of the joints that are grippers.
        period_ns: between two rows of a chunk.
        tick_ns: between two ticks.
        scale: (A,) float64, the spread of the demonstrations' actions (the checkpoint's normaliser): an error divided
            by it is an error in standard deviations.
        mode: 'streaming', 'chunk' or 'truncated'.
        ticks: in the order in which they were made.
        stale: observations that were due and refused, by reason; each moment counts once.
        skipped: ticks that should have been and were not, by reason.
        unreadable: messages that could not be read, by topic and reason, with the time of the first.
        curves: what the robot did.
        frames: camera to pictures, oldest first, thinned out.
        provenance: text by text: command line, bag hash, versions, machine.
    """

    title: str
    checkpoint: str
    bag: str
    joint_names: tuple[str, ...]
    joint_units: tuple[str, ...]
    grippers: tuple[str, ...]
    period_ns: int
    tick_ns: int
    scale: Floats
    mode: str = 'streaming'
    ticks: list[ReplayTick] = field(default_factory=list)
    stale: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    curves: Curves = field(default_factory=lambda: Curves.empty(0))
    frames: dict[str, list[FrameRecord]] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)

    @property
    def horizon(self) -> int:
        """Tp, rows of a chunk; 0 where there is none."""
        return len(self.ticks[0].chunk) if self.ticks else 0

    @property
    def executed(self) -> int:
        """Ta, rows of a chunk that are in force before the next chunk."""
        return max(1, round(self.tick_ns / self.period_ns))

    def latency_ms(self) -> dict[str, list[float]]:
        """Stage to its value at every tick that measured it; the last stage, 'total', is their sum."""
        out: dict[str, list[float]] = {}
        for tick in self.ticks:
            if tick.stage_ms:
                for stage, value in {**tick.stage_ms, 'total': sum(tick.stage_ms.values())}.items():
                    out.setdefault(stage, []).append(value)
        return out

    def check(self, where: str) -> None:
        """Raise StoreError where the arrays do not fit together; the message names the array and the stamp."""
        joints, rows = len(self.joint_names), self.horizon
        if not len(self.joint_units) == len(self.scale) == joints:
            raise StoreError(
                f'{where}: {joints} joint names, {len(self.joint_units)} units, {len(self.scale)} scales'
            )
        for tick in self.ticks:
            for name, shape in (
                ('chunk', (rows, joints)),
                ('recorded', (rows, joints)),
                ('known', (rows,)),
                ('measured', (joints,)),
                ('full', (rows, joints)),
                ('spread', (None, rows, joints)),
            ):
                value = getattr(tick, name)
                if value is None and name in ('full', 'spread'):
                    continue
                fits = value.ndim == len(shape) and all(
                    w in (None, h) for w, h in zip(shape, value.shape, strict=True)
                )
                if not fits:
                    raise StoreError(
                        f'{where}: {name} of the tick at {tick.stamp_ns} ns has shape {value.shape}, '
                        f'expected {shape}'
                    )

    def save(self, path: Path) -> None:
        """Write the record to ``path`` (.npz), whole or not at all. Raises StoreError."""
        path = Path(path)
        self.check(str(path))
        arrays = _arrays(self)
        meta = {'dp_replay_record': VERSION, **{key: getattr(self, key) for key in _PLAIN}}
        meta['cameras'] = list(self.frames)
        meta['stage_ms'] = [tick.stage_ms for tick in self.ticks]
        arrays['meta'] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
        with whole_file(path, 'the replay record') as beside, beside.open('wb') as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> 'ReplayRecord':
        """Read a record. Raises StoreError for a missing, foreign or damaged file."""
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            meta = json.loads(arrays['meta'].tobytes())
            if meta.pop('dp_replay_record', None) != VERSION:
                raise StoreError(f'{path}: not a replay record of version {VERSION}')
            record = _record(arrays, meta)
        except FileNotFoundError as error:
            raise StoreError(f'{path}: no such replay record') from error
        except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise StoreError(f'{path}: damaged replay record: {error}') from error
        record.check(str(path))
        return record


_PLAIN = (
    'title', 'checkpoint', 'bag', 'joint_names', 'joint_units', 'grippers', 'period_ns', 'tick_ns', 'mode',
    'stale', 'skipped', 'unreadable', 'provenance',
)  # fmt: skip


def _arrays(record: ReplayRecord) -> dict[str, Any]:
    ticks, joints, count = record.ticks, len(record.joint_names), len(record.ticks)
    blocks = (record.horizon, joints)
    out: dict[str, Any] = {
        'scale': np.asarray(record.scale, np.float64),
        'stamps_ns': np.array([t.stamp_ns for t in ticks], np.int64),
        'log_ns': np.array([t.log_ns for t in ticks], np.int64),
        'episode': np.array([t.episode for t in ticks], np.int64),
        'chunk': np.array([t.chunk for t in ticks], np.float64).reshape(count, *blocks),
        'recorded': np.array([t.recorded for t in ticks], np.float64).reshape(count, *blocks),
        'known': np.array([t.known for t in ticks], np.bool_).reshape(count, record.horizon),
        'measured': np.array([t.measured for t in ticks], np.float64).reshape(count, joints),
        'curve_stamps_ns': record.curves.stamps_ns,
        'curve_commanded': record.curves.commanded,
        'curve_measured': record.curves.measured,
    }
    # Only some ticks have these: which, and the values of those.
    for name in ('full', 'spread'):
        having = [i for i, t in enumerate(ticks) if getattr(t, name) is not None]
        values = [np.asarray(getattr(ticks[i], name), np.float64) for i in having]
        out[f'{name}_at'] = np.array(having, np.int64)
        out[f'{name}_count'] = np.array([v.size // (v.shape[-1] * v.shape[-2]) for v in values], np.int64)
        out[name] = np.concatenate([v.reshape(-1, *blocks) for v in values] or [np.zeros((0, *blocks))])
    for i, frames in enumerate(record.frames.values()):
        out[f'frames{i}/stamps_ns'] = np.array([f.stamp_ns for f in frames], np.int64)
        out[f'frames{i}/lengths'] = np.array([len(f.jpeg) for f in frames], np.int64)
        out[f'frames{i}/bytes'] = np.frombuffer(b''.join(f.jpeg for f in frames), np.uint8)
    return out


def _record(arrays: dict[str, Any], meta: dict[str, Any]) -> ReplayRecord:
    stage_ms, cameras = meta.pop('stage_ms'), meta.pop('cameras')
    ticks = [
        ReplayTick(int(stamp), int(log), chunk, recorded, known, measured, stages, episode=int(episode))
        for stamp, log, chunk, recorded, known, measured, stages, episode in zip(
            *(arrays[k] for k in ('stamps_ns', 'log_ns', 'chunk', 'recorded', 'known', 'measured')),
            stage_ms,
            arrays['episode'],
            strict=True,
        )
    ]
    for name in ('full', 'spread'):
        parts = np.split(arrays[name], np.cumsum(arrays[f'{name}_count']))[:-1]
        for i, part in zip(arrays[f'{name}_at'], parts, strict=True):
            setattr(ticks[i], name, part[0] if name == 'full' else part)
    for key in ('joint_names', 'joint_units', 'grippers'):
        meta[key] = tuple(meta[key])
    for key in ('stale', 'skipped', 'unreadable'):
        meta[key] = Counter(meta[key])
    return ReplayRecord(
        **meta,
        scale=arrays['scale'],
        ticks=ticks,
        curves=Curves(arrays['curve_stamps_ns'], arrays['curve_commanded'], arrays['curve_measured']),
        frames={name: _frames(arrays, i) for i, name in enumerate(cameras)},
    )


def _frames(arrays: dict[str, Any], camera: int) -> list[FrameRecord]:
    data, lengths = arrays[f'frames{camera}/bytes'].tobytes(), arrays[f'frames{camera}/lengths']
    ends = np.cumsum(lengths, dtype=np.int64)
    stamps = arrays[f'frames{camera}/stamps_ns']
    return [FrameRecord(int(s), data[b - n : b]) for s, b, n in zip(stamps, ends, lengths, strict=True)]
