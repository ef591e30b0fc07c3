# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Episodes that are in a store twice: compared by a few moments of each, read without the rest of the file."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from dp_ros.contract import Contract
from dp_ros.data.episode_file import DAMAGE
from dp_ros.errors import StoreError

Floats = npt.NDArray[np.float64]

MOMENTS = 16
# Nearly equal: at all moments all joints differ by less, by unit, and the lengths by less than a share.
NEAR = {'rad': 0.005, 'm': 0.001, '1': 0.005}
NEAR_LENGTH = 0.02
EQUAL = 1e-6


@dataclass(frozen=True, eq=False)
class Sketch:
    """An episode at a few moments: ``path`` (MOMENTS, A) measured and commanded in turn, and how long it is."""

    path: Floats
    seconds: float


@dataclass(frozen=True)
class Pair:
    """Two episodes, by their numbers in a list, that are equal or nearly so; by how much joints differ at most."""

    first: int
    second: int
    difference: float

    @property
    def equal(self) -> bool:
        """Whether they are the same, as far as they were compared."""
        return self.difference <= EQUAL


def sketch_of(path: Path) -> Sketch:
    """Of an episode's file; :class:`StoreError` if it cannot be read. What it holds otherwise is not checked."""
    try:
        with safe_open(path, 'np') as file:
            version_1 = 'dp_episode' not in (file.metadata() or {})
            stamps = file.get_tensor('stamps_ns')
            proprio = _rows(file.get_slice('proprio'))
            commands = _rows(file.get_slice('actions' if version_1 else 'commands'))
    except DAMAGE as error:
        raise StoreError(f'{path}: cannot be compared with others: {error}') from error
    measured = proprio.reshape(MOMENTS, -1, commands.shape[1])[:, -1]
    return Sketch(np.concatenate([measured, commands], axis=1), float(stamps[-1] - stamps[0]) / 1e9)


def pairs(sketches: Sequence[Sketch], contract: Contract) -> Iterator[Pair]:
    """All pairs of episodes that are nearly equal, each with the smaller number first."""
    units = [joint.unit for joint in contract.embodiment.joints]
    near = np.array([NEAR[unit] for unit in (*units, *units)])
    # Where all numbers are near, so is their mean: only neighbours in the order of means need to be compared.
    means = np.array([float((s.path / near).mean()) for s in sketches])
    order = np.argsort(means, kind='stable').tolist()
    ordered = means[order].tolist()
    for place, i in enumerate(order):
        one = sketches[i]
        for k in order[
            bisect_left(ordered, ordered[place] - 1.0) : bisect_right(ordered, ordered[place] + 1.0)
        ]:
            other = sketches[k]
            if k <= i or abs(one.seconds - other.seconds) > NEAR_LENGTH * max(one.seconds, other.seconds):
                continue
            difference = np.abs(one.path - other.path)
            if (difference <= near).all():
                yield Pair(i, k, float(difference.max()))


def _rows(tensor: Any) -> Floats:
    count = tensor.get_shape()[0]
    places = np.rint(np.linspace(0, count - 1, MOMENTS)).astype(int).tolist()
    return np.stack([np.asarray(tensor[place], np.float64).reshape(-1) for place in places])
