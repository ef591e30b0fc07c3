# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""An observation as a file: what did the policy see?"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dp_ros.errors import StoreError
from dp_ros.observation.observation import Observation

_AGE, _IMAGE, _VECTOR = 'age_ns.', 'image.', 'vector.'


def save_observation(directory: Path, observation: Observation) -> Path:
    """Write ``<stamp_ns>.npz``: proprio, image.<camera>, vector.<name>, age_ns.<stream>.

    The directory is made where it is missing.

    Raises:
        StoreError: it cannot be written.
    """
    path = directory / f'{observation.stamp_ns}.npz'
    arrays: dict[str, npt.NDArray[Any]] = {
        f'{_IMAGE}{name}': pixels for name, pixels in observation.images.items()
    }
    arrays |= {f'{_VECTOR}{name}': values for name, values in observation.vectors.items()}
    ages = {f'{_AGE}{name}': np.int64(age) for name, age in observation.ages_ns.items()}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        np.savez(path, allow_pickle=False, proprio=observation.proprio, **arrays, **ages)
    except OSError as error:
        raise StoreError(f'{path}: cannot write the observation: {error.strerror or error}') from error
    return path


def load_observation(path: Path) -> Observation:
    """Read what :func:`save_observation` wrote.

    Raises:
        StoreError: there is no such file, or it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        return Observation(
            stamp_ns=int(path.stem),
            proprio=found['proprio'],
            images={n.removeprefix(_IMAGE): v for n, v in found.items() if n.startswith(_IMAGE)},
            ages_ns={n.removeprefix(_AGE): int(v) for n, v in found.items() if n.startswith(_AGE)},
            vectors={n.removeprefix(_VECTOR): v for n, v in found.items() if n.startswith(_VECTOR)},
        )
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise StoreError(f'{path}: no observation, or a damaged one: {error}') from error
