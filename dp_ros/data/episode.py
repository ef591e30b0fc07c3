# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One recorded episode as arrays, and its form on disk (safetensors with a checksum)."""

import json
import zlib
from dataclasses import dataclass, field

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dp_ros.contract import Contract
from dp_ros.errors import StoreError


@dataclass(frozen=True)
class Episode:
    """N frames of one episode; frame k is what was seen at ``stamps_ns[k]`` and the command in force from then.

    Attributes:
        stamps_ns: (N,) int64, increasing.
        proprio: (N, S) float32, measured joint positions, rad or m, in the contract's order.
        actions: (N, A) float32, the labels: commanded joint positions, rad or m, in the contract's order.
        images: camera name to (N, H, W, 3) uint8 RGB, cropped and resized as the contract says.
        privileged: (N, P) float32 or None: what no sensor tells; for training only.
        metadata: what else is known, as text: seed, success, noise.
    """

    stamps_ns: np.ndarray
    proprio: np.ndarray
    actions: np.ndarray
    images: dict[str, np.ndarray]
    privileged: np.ndarray | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @property
    def seed(self) -> int | None:
        """Seed of the simulated episode, None for one that has no seed."""
        return int(self.metadata['seed']) if 'seed' in self.metadata else None

    def check(self, contract: Contract, where: str) -> None:
        """Raise :class:`StoreError` that lists everything in which the arrays do not fit the contract."""
        count, width = len(self.stamps_ns), len(contract.joint_names)
        wanted = {
            'stamps_ns': ((count,), 'int64'),
            'proprio': ((count, width), 'float32'),
            'actions': ((count, width), 'float32'),
            **{f'images.{c.name}': ((count, *c.size, 3), 'uint8') for c in contract.cameras},
        }
        tensors = self.tensors()
        wrong = [f'unknown tensor {name!r}' for name in sorted(set(tensors) - set(wanted) - {'privileged'})]
        for name, (shape, dtype) in wanted.items():
            if name not in tensors:
                wrong.append(f'{name} is missing')
            elif tensors[name].shape != shape or tensors[name].dtype.name != dtype:
                found = tensors[name]
                wrong.append(f'{name} must be {dtype} {shape}, got {found.dtype.name} {found.shape}')
        if self.privileged is not None and (
            self.privileged.ndim != 2 or len(self.privileged) != count or self.privileged.dtype != np.float32
        ):
            wrong.append(f'privileged must be float32 ({count}, P), got {self.privileged.shape}')
        if not wrong:
            if count == 0 or (np.diff(self.stamps_ns) <= 0).any():
                wrong.append('stamps_ns must hold at least one frame and increase')
            for name in ('proprio', 'actions'):
                if not np.isfinite(tensors[name]).all():
                    wrong.append(f'{name} holds values that are not finite')
        if wrong:
            raise StoreError(f'{where}: ' + '; '.join(wrong))

    def tensors(self) -> dict[str, np.ndarray]:
        """All arrays by their name on disk."""
        out = {'stamps_ns': self.stamps_ns, 'proprio': self.proprio, 'actions': self.actions}
        out.update({f'images.{name}': value for name, value in self.images.items()})
        if self.privileged is not None:
            out['privileged'] = self.privileged
        return out

    def to_bytes(self) -> bytes:
        """The file's content."""
        tensors = {name: np.ascontiguousarray(value) for name, value in self.tensors().items()}
        return save(tensors, {**self.metadata, 'crc32': _checksum(tensors)})


def episode_from_bytes(content: bytes, where: str) -> Episode:
    """Inverse of :meth:`Episode.to_bytes`; :class:`StoreError` for content that is damaged."""
    try:
        tensors = load(content)
        metadata = read_metadata(content)
        checksum = metadata.pop('crc32')
        damaged = checksum != _checksum(tensors)
        images = {name[7:]: tensors.pop(name) for name in list(tensors) if name.startswith('images.')}
        privileged = tensors.pop('privileged', None)
        episode = Episode(images=images, privileged=privileged, metadata=metadata, **tensors)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f'{where}: damaged, not an episode: {error}') from error
    if damaged:
        raise StoreError(f'{where}: damaged, the checksum does not match its content')
    return episode


def read_metadata(content: bytes) -> dict[str, str]:
    """Metadata of a safetensors file from its first bytes; ValueError or KeyError if they are too few or damaged."""
    length = int.from_bytes(content[:8], 'little')
    if len(content) < 8 + length:
        raise ValueError(f'the header wants {length} bytes, the file holds {len(content) - 8}')
    metadata = json.loads(content[8 : 8 + length])['__metadata__']
    return {str(k): str(v) for k, v in metadata.items()}


def _checksum(tensors: dict[str, np.ndarray]) -> str:
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(tensors[name].tobytes(), zlib.crc32(name.encode(), value))
    return f'{value:08x}'
