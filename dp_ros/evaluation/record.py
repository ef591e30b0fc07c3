# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What one run (a demo through the graph, or a rollout without ROS) recorded: data for the report and the video.

One file per run: an uncompressed ``.npz`` whose arrays are plain numbers (no pickle), with one JSON text beside
them for names, results and counters. Frames are kept as JPEG, as a robot's compressed camera topic would.
"""

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dp_ros.errors import StoreError
from dp_ros.whole_file import whole_file

VERSION = 1


@dataclass(frozen=True)
class ChunkRecord:
    """One chunk as the policy published it: ``positions`` (Tp, A), action i in force at stamp + i * period."""

    stamp_ns: int
    positions: np.ndarray


@dataclass(frozen=True)
class FrameRecord:
    """One camera image, as JPEG bytes."""

    stamp_ns: int
    jpeg: bytes

    @classmethod
    def encode(cls, stamp_ns: int, image: np.ndarray, quality: int = 85) -> 'FrameRecord':
        """Compress an RGB image (H, W, 3) uint8."""
        done, data = cv2.imencode(
            '.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )
        if not done:
            raise StoreError(f'frame at {stamp_ns} ns: OpenCV cannot write shape {image.shape} as JPEG')
        return cls(stamp_ns, data.tobytes())

    def decode(self) -> np.ndarray:
        """RGB image (H, W, 3) uint8."""
        image = cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise StoreError(f'frame at {self.stamp_ns} ns: not a JPEG image')
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


@dataclass
class EpisodeRecord:
    """One episode. Every stamp is on the run's ROS clock; positions are in the joints' SI units.

    Attributes:
        seed: seed of the episode.
        success: the task's own measure.
        strict_success: the stricter measure that the task reports beside it.
        max_reward: largest reward of the episode.
        steps: control periods that the robot was driven.
        times_ns: (N,) int64, one control period each.
        measured: (N, A) float64, joint positions at ``times_ns``.
        commanded: (N, A) float64, what the controllers commanded at ``times_ns``.
        chunks: the policy's chunks, oldest first.
        frames: images of one camera, oldest first; may be thinned out, may be empty.
        latency_ms: stage name to one value in milliseconds per tick of the policy.
        counters: named counts of this episode (rejected chunks, stale observations, lockstep time-outs ...).
        states: (stamp_ns, text) whenever the action node's state changed.
        wall_s: wall-clock seconds that the episode took, 0 where it was not measured.
        task: name of the task, where a run has several.
        success_s: seconds from the beginning to the first moment of success; None without success, or where nobody
            looked.
        disturbed_s: when the object was moved; None where it was not.
        measures: what else the benchmark reports of an episode, name to number.
    """

    seed: int
    success: bool
    strict_success: bool
    max_reward: float
    steps: int
    times_ns: np.ndarray
    measured: np.ndarray
    commanded: np.ndarray
    chunks: list[ChunkRecord] = field(default_factory=list)
    frames: list[FrameRecord] = field(default_factory=list)
    latency_ms: dict[str, list[float]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    states: list[tuple[int, str]] = field(default_factory=list)
    wall_s: float = 0.0
    task: str = ''
    success_s: float | None = None
    disturbed_s: float | None = None
    measures: dict[str, float] = field(default_factory=dict)

    def check(self, joints: int, where: str) -> None:
        """Raise StoreError where the arrays do not fit together; the message names the array."""
        steps = len(self.times_ns)
        for name in ('measured', 'commanded'):
            shape = getattr(self, name).shape
            if shape != (steps, joints):
                raise StoreError(f'{where}: {name} has shape {shape}, expected {(steps, joints)}')
        for chunk in self.chunks:
            if chunk.positions.ndim != 2 or chunk.positions.shape[1] != joints:
                raise StoreError(
                    f'{where}: chunk at {chunk.stamp_ns} ns has shape {chunk.positions.shape}, '
                    f'expected (Tp, {joints})'
                )


@dataclass
class RunRecord:
    """All episodes of one run.

    Attributes:
        title: one line for people, e.g. 'Transfer cube through the ROS graph'.
        joint_names: (A,) names in the order of every joint vector.
        joint_units: (A,) 'rad' or 'm'.
        period_ns: period of the actions in a chunk.
        camera: name of the recorded camera, '' for none.
        episodes: in the order in which they ran.
        provenance: text by text: command line, checkpoint, versions, machine.
        counters: named counts of the whole run.
        success_target: share of episodes that the run was asked for, None where it was not asked.
    """

    title: str
    joint_names: tuple[str, ...]
    joint_units: tuple[str, ...]
    period_ns: int
    camera: str = ''
    episodes: list[EpisodeRecord] = field(default_factory=list)
    provenance: dict[str, str] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    success_target: float | None = None

    @property
    def successes(self) -> int:
        """Number of episodes that succeeded."""
        return sum(e.success for e in self.episodes)

    @property
    def strict_successes(self) -> int:
        """Number of episodes that succeeded by the stricter measure."""
        return sum(e.strict_success for e in self.episodes)

    def latency_ms(self) -> dict[str, list[float]]:
        """Stage name to the values of all episodes, in the order in which the stages first appear."""
        out: dict[str, list[float]] = {}
        for episode in self.episodes:
            for stage, values in episode.latency_ms.items():
                out.setdefault(stage, []).extend(values)
        return out

    def save(self, path: Path) -> None:
        """Write the run to ``path`` (.npz), whole or not at all. Raises StoreError, also when the disk is full."""
        path = Path(path)
        if len(self.joint_names) != len(self.joint_units):
            raise StoreError(f'{path}: {len(self.joint_names)} joint names, {len(self.joint_units)} units')
        arrays: dict[str, np.ndarray] = {}
        meta: dict[str, Any] = {
            'dp_run_record': VERSION,
            **{k: getattr(self, k) for k in ('title', 'joint_names', 'joint_units', 'period_ns', 'camera')},
            **{k: getattr(self, k) for k in ('provenance', 'counters', 'success_target')},
            'episodes': [],
        }
        for i, episode in enumerate(self.episodes):
            episode.check(len(self.joint_names), f'{path}: episode {i}')
            arrays.update({f'{i}/{k}': v for k, v in _arrays(episode).items()})
            meta['episodes'].append({k: getattr(episode, k) for k in _PLAIN})
        arrays['meta'] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
        with whole_file(path, 'the run record') as beside, beside.open('wb') as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> 'RunRecord':
        """Read a run. Raises StoreError for a missing, foreign or damaged file."""
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                meta = json.loads(arrays['meta'].tobytes())
                if meta.pop('dp_run_record', None) != VERSION:
                    raise StoreError(f'{path}: not a run record of version {VERSION}')
                episodes = [_episode(arrays, i, plain) for i, plain in enumerate(meta.pop('episodes'))]
        except FileNotFoundError as error:
            raise StoreError(f'{path}: no such run record') from error
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise StoreError(f'{path}: damaged run record: {error}') from error
        for key in ('joint_names', 'joint_units'):
            meta[key] = tuple(meta[key])
        record = cls(episodes=episodes, **meta)
        for i, episode in enumerate(episodes):
            episode.check(len(record.joint_names), f'{path}: episode {i}')
        return record


_PLAIN = (
    'seed',
    'success',
    'strict_success',
    'max_reward',
    'steps',
    'latency_ms',
    'counters',
    'states',
    'wall_s',
    'task',
    'success_s',
    'disturbed_s',
    'measures',
)


def _arrays(episode: EpisodeRecord) -> dict[str, np.ndarray]:
    chunks = [np.asarray(c.positions, np.float64) for c in episode.chunks]
    return {
        'times_ns': np.asarray(episode.times_ns, np.int64),
        'measured': np.asarray(episode.measured, np.float64),
        'commanded': np.asarray(episode.commanded, np.float64),
        'chunk_stamps_ns': np.asarray([c.stamp_ns for c in episode.chunks], np.int64),
        'chunk_lengths': np.asarray([len(c) for c in chunks], np.int64),
        'chunk_positions': np.concatenate(chunks) if chunks else np.zeros((0, 0)),
        'frame_stamps_ns': np.asarray([f.stamp_ns for f in episode.frames], np.int64),
        'frame_lengths': np.asarray([len(f.jpeg) for f in episode.frames], np.int64),
        'frame_bytes': np.frombuffer(b''.join(f.jpeg for f in episode.frames), np.uint8),
    }


def _episode(arrays: Any, i: int, plain: dict[str, Any]) -> EpisodeRecord:
    lengths = arrays[f'{i}/chunk_lengths']
    positions = np.split(arrays[f'{i}/chunk_positions'], np.cumsum(lengths)[:-1]) if len(lengths) else []
    data = arrays[f'{i}/frame_bytes'].tobytes()
    ends = np.cumsum(arrays[f'{i}/frame_lengths'], dtype=np.int64)
    starts = ends - arrays[f'{i}/frame_lengths']
    plain = dict(plain, states=[(int(stamp), str(text)) for stamp, text in plain['states']])
    return EpisodeRecord(
        times_ns=arrays[f'{i}/times_ns'],
        measured=arrays[f'{i}/measured'],
        commanded=arrays[f'{i}/commanded'],
        chunks=[
            ChunkRecord(int(s), p) for s, p in zip(arrays[f'{i}/chunk_stamps_ns'], positions, strict=True)
        ],
        frames=[
            FrameRecord(int(s), data[a:b])
            for s, a, b in zip(arrays[f'{i}/frame_stamps_ns'], starts, ends, strict=True)
        ],
        **plain,
    )
