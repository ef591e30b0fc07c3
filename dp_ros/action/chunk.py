# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A chunk: what the policy wants all arms to do, absolute in time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dp_ros.contract import Embodiment
from dp_ros.errors import ChunkError, MessageError


@dataclass(frozen=True, eq=False)
class ActionChunk:
    """Commanded joint positions; row i is in force at ``stamp_ns + i * period_ns``.

    Attributes:
        stamp_ns: observation time t_obs, in ROS time.
        period_ns: time between two rows.
        joint_names: names of the columns.
        positions: (T, A) float64, rad or m; a read-only copy of what was passed in.
        contract_hash: hash of the policy's contract, or its first 8 digits, or empty if unknown.
        epoch: counts the restarts of the policy's buffer.
        seq: counts the chunks of an epoch.

    Raises:
        ChunkError: gate 'shape', if positions do not fit the names.
    """

    stamp_ns: int
    period_ns: int
    joint_names: tuple[str, ...]
    positions: npt.NDArray[np.float64]
    contract_hash: str = ''
    epoch: int = 0
    seq: int = 0

    def __post_init__(self) -> None:
        names = tuple(self.joint_names)
        positions = np.array(self.positions, np.float64)
        positions.setflags(write=False)
        if positions.ndim != 2 or not positions.shape[0] or positions.shape[1] != len(names):
            raise ChunkError(
                'shape',
                f'positions must be (T, {len(names)}) with T >= 1 for {len(names)} joints, '
                f'got {positions.shape}',
            )
        if self.period_ns < 1:
            raise ChunkError('shape', f'period_ns must be at least 1, got {self.period_ns}')
        object.__setattr__(self, 'joint_names', names)
        object.__setattr__(self, 'positions', positions)

    @property
    def id(self) -> str:
        """``<first 8 digits of the contract hash>:<epoch>:<seq>``; travels as frame_id."""
        return f'{self.contract_hash[:8]}:{self.epoch}:{self.seq}'

    @property
    def end_ns(self) -> int:
        """Time of the last row."""
        return self.stamp_ns + (len(self.positions) - 1) * self.period_ns

    def reordered(self, joint_names: Sequence[str]) -> 'ActionChunk':
        """The same chunk with its columns in another order.

        Raises:
            ChunkError: gate 'names', listing missing, unknown and doubled joints.
        """
        wanted = tuple(joint_names)
        if wanted == self.joint_names:
            return self
        missing = [n for n in wanted if n not in self.joint_names]
        unknown = [n for n in self.joint_names if n not in wanted]
        twice = sorted({n for n in self.joint_names if self.joint_names.count(n) > 1})
        if missing or unknown or twice:
            raise ChunkError('names', f'missing {missing}, unknown {unknown}, twice {twice}; legal {wanted}')
        columns = [self.joint_names.index(n) for n in wanted]
        return replace(self, joint_names=wanted, positions=self.positions[:, columns])

    def for_arm(self, embodiment: Embodiment, name: str) -> npt.NDArray[np.float64]:
        """Columns of one arm, (T, joints of the arm); a read-only view."""
        return self.positions[:, embodiment.slices[name]]

    def split(self, embodiment: Embodiment) -> dict[str, 'ActionChunk']:
        """One chunk per arm, same stamp and id. :meth:`join` is the inverse."""
        self._require(embodiment.joint_names)
        return {
            arm.name: replace(
                self, joint_names=arm.joint_names, positions=self.positions[:, embodiment.slices[arm.name]]
            )
            for arm in embodiment.arms
        }

    @staticmethod
    def join(embodiment: Embodiment, parts: Mapping[str, 'ActionChunk']) -> 'ActionChunk':
        """Put the arms' chunks back together; all must carry one stamp, period, length and id.

        Raises:
            ChunkError: gate 'names' or 'shape'.
        """
        legal = tuple(arm.name for arm in embodiment.arms)
        if set(parts) != set(legal):
            raise ChunkError('names', f'arms must be {legal}, got {tuple(parts)}')
        first = parts[legal[0]]
        for arm in embodiment.arms:
            part = parts[arm.name]
            part._require(arm.joint_names)
            for key in ('stamp_ns', 'period_ns', 'id', 'end_ns'):
                if getattr(part, key) != getattr(first, key):
                    raise ChunkError(
                        'shape',
                        f'{key} of arm {arm.name!r} is {getattr(part, key)}, '
                        f'of arm {legal[0]!r} {getattr(first, key)}',
                    )
        return replace(
            first,
            joint_names=embodiment.joint_names,
            positions=np.concatenate([parts[name].positions for name in legal], axis=1),
        )

    def _require(self, joint_names: tuple[str, ...]) -> None:
        if self.joint_names != joint_names:
            raise ChunkError('names', f'joints must be {joint_names}, got {self.joint_names}')


def parse_id(text: str) -> tuple[str, int, int]:
    """Contract hash (8 digits or empty), epoch and seq of a chunk's id; an empty text is ('', 0, 0).

    Raises:
        MessageError: if the text is neither empty nor of the form ``hash:epoch:seq``.
    """
    if not text:
        return '', 0, 0
    parts = text.split(':')
    if len(parts) != 3 or not all(part.isdecimal() and len(part) < 19 for part in parts[1:]):
        raise MessageError(f'chunk id must be "<hash>:<epoch>:<seq>" or empty, got {text!r}')
    return parts[0], int(parts[1]), int(parts[2])
