# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One recorded episode as arrays."""

import json
from dataclasses import dataclass, field

import numpy as np

from dp_ros.contract import Contract, Timing
from dp_ros.errors import StoreError


@dataclass(frozen=True, eq=False)
class Episode:
    """N observations, and what was commanded as a curve of time.

    An observation stands at an anchor, the moment t_obs at which the live policy would have observed, so that anchors
    are as irregular as the cameras. What follows an anchor is read off the curve.

    Attributes:
        stamps_ns: (N,) int64, the anchors, increasing.
        proprio: (N, To, S) float32, observed joint positions, rad or m, in the contract's order, the oldest first.
        images: camera name to (M_c, H, W, 3) uint8 RGB: every frame once, cropped and resized as the contract says.
        image_index: camera name to (N, To) int32: which frames an observation shows, the oldest first.
        command_stamps_ns: (M,) int64, increasing.
        commands: (M, A) float32, commanded joint positions, rad or m, in the contract's order. The label at a time is
            linear between these points, and held before the first and after the last one.
        privileged: (N, P) float32 or None: what no sensor tells; for training only.
        vectors: name to (N, To, dim) float32, the contract's further vectors as observed, the oldest first.
        metadata: what else is known, as text: seed, success, instruction (or a JSON list of paraphrases), bag.
    """

    stamps_ns: np.ndarray
    proprio: np.ndarray
    images: dict[str, np.ndarray]
    image_index: dict[str, np.ndarray]
    command_stamps_ns: np.ndarray
    commands: np.ndarray
    privileged: np.ndarray | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    vectors: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def regular(
        cls,
        timing: Timing,
        *,
        stamps_ns: np.ndarray,
        proprio: np.ndarray,
        images: dict[str, np.ndarray],
        actions: np.ndarray,
        privileged: np.ndarray | None = None,
        metadata: dict[str, str] | None = None,
        vectors: dict[str, np.ndarray] | None = None,
    ) -> 'Episode':
        """Of N frames one period apart, as a simulator gives them; the first one stands in for what was before it.

        Args:
            timing: gives To and the period.
            stamps_ns: (N,) int64.
            proprio: (N, S) float32.
            images: camera name to (N, H, W, 3) uint8.
            actions: (N, A) float32, the command in force from each frame on.
            privileged: (N, P) float32 or None.
            metadata: as text.
            vectors: name to (N, dim) float32.

        Raises:
            StoreError: the frames are not one period apart.
        """
        gaps = np.unique(np.diff(stamps_ns))
        if gaps.size and (gaps.size > 1 or gaps[0] != timing.period_ns):
            raise StoreError(
                f'frames must be {timing.period_ns} ns apart as the contract says, found gaps {gaps[:5]}'
            )
        back = np.arange(timing.obs_horizon - 1, -1, -1)
        seen = np.maximum(np.arange(len(stamps_ns))[:, None] - back, 0).astype(np.int32)
        return cls(
            stamps_ns=stamps_ns,
            proprio=proprio[seen],
            images=images,
            image_index=dict.fromkeys(images, seen),
            command_stamps_ns=stamps_ns,
            commands=actions,
            privileged=privileged,
            metadata=metadata or {},
            vectors={name: values[seen] for name, values in (vectors or {}).items()},
        )

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @property
    def seed(self) -> int | None:
        """Seed of the simulated episode, None for one that has no seed."""
        return int(self.metadata['seed']) if 'seed' in self.metadata else None

    @property
    def instructions(self) -> tuple[str, ...]:
        """What the episode was for, in words: the paraphrases that its metadata names; empty if none is known."""
        text = self.metadata.get('instruction', '').strip()
        if not text.startswith('['):
            return (text,) if text else ()
        try:
            texts = json.loads(text)
        except ValueError as error:
            raise StoreError(f'metadata instruction {text!r}: not a JSON list of texts: {error}') from error
        if not all(isinstance(t, str) and t.strip() for t in texts):
            raise StoreError(f'metadata instruction {text!r}: every paraphrase must be a text')
        return tuple(texts)

    def check(self, contract: Contract, where: str) -> None:
        """Raise :class:`StoreError` that lists everything in which the arrays do not fit the contract."""
        wrong = self._wrong_shapes(contract) or self._wrong_values()
        if wrong:
            raise StoreError(f'{where}: ' + '; '.join(wrong))

    def tensors(self) -> dict[str, np.ndarray]:
        """All arrays by their name on disk."""
        out = {
            'stamps_ns': self.stamps_ns,
            'proprio': self.proprio,
            'command_stamps_ns': self.command_stamps_ns,
            'commands': self.commands,
            **{f'images.{name}': value for name, value in self.images.items()},
            **{f'vectors.{name}': value for name, value in self.vectors.items()},
            **{f'image_index.{name}': value for name, value in self.image_index.items()},
        }
        if self.privileged is not None:
            out['privileged'] = self.privileged
        return out

    def _wrong_shapes(self, contract: Contract) -> list[str]:
        count, points, width = len(self.stamps_ns), len(self.command_stamps_ns), len(contract.joint_names)
        seen = (count, contract.timing.obs_horizon)
        # None stands for any number of at least one.
        wanted: dict[str, tuple[tuple[int | None, ...], str]] = {
            'stamps_ns': ((count,), 'int64'),
            'proprio': ((*seen, width), 'float32'),
            'command_stamps_ns': ((points,), 'int64'),
            'commands': ((points, width), 'float32'),
        }
        for camera in contract.cameras:
            wanted[f'images.{camera.name}'] = ((None, *camera.size, 3), 'uint8')
            wanted[f'image_index.{camera.name}'] = (seen, 'int32')
        for vector in contract.vectors:
            wanted[f'vectors.{vector.name}'] = ((*seen, vector.dim), 'float32')
        if self.privileged is not None:
            wanted['privileged'] = ((count, None), 'float32')
        tensors = self.tensors()
        wrong = [f'unknown tensor {name!r}' for name in sorted(set(tensors) - set(wanted))]
        for name, (shape, dtype) in wanted.items():
            if name not in tensors:
                wrong.append(f'{name} is missing')
                continue
            found = tensors[name]
            fits = len(found.shape) == len(shape) and all(
                has == wants if wants is not None else has > 0
                for has, wants in zip(found.shape, shape, strict=True)
            )
            if not fits or found.dtype.name != dtype:
                text = ', '.join('any' if n is None else str(n) for n in shape)
                wrong.append(f'{name} must be {dtype} ({text}), got {found.dtype.name} {found.shape}')
        return wrong

    def _wrong_values(self) -> list[str]:
        wrong = []
        for name, stamps in (('stamps_ns', self.stamps_ns), ('command_stamps_ns', self.command_stamps_ns)):
            if len(stamps) == 0 or (np.diff(stamps) <= 0).any():
                wrong.append(f'{name} must hold at least one stamp and increase')
        numbers = {'proprio': self.proprio, 'commands': self.commands}
        numbers |= {f'vectors.{name}': values for name, values in self.vectors.items()}
        for name, values in numbers.items():
            if not np.isfinite(values).all():
                wrong.append(f'{name} holds values that are not finite')
        for name, index in self.image_index.items():
            frames = len(self.images[name])
            if index.size and not 0 <= index.min() <= index.max() < frames:
                wrong.append(f'image_index.{name} must lie between 0 and {frames - 1}')
        return wrong
