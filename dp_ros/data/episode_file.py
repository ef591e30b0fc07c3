# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""An episode's form on disk: a safetensors file with a checksum, read by mapping it into memory.

Mapped arrays cost memory only while they are looked at, and the system takes it back when it is short: a store may be
larger than memory. Safetensors maps a file for torch alone (its NumPy reader copies), and holds no descriptor open.
"""

import json
import zlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.errors import StoreError
from dp_ros.whole_file import whole_file

VERSION = '2'
_DAMAGE = (SafetensorError, OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError)


def write_episode(episode: Episode, path: Path) -> None:
    """Write the file whole or not at all; arrays that are mapped from other files are not copied into memory.

    Args:
        episode: checked by the caller.
        path: of the file.

    Raises:
        StoreError: there is no space left, or it cannot be written otherwise.
    """
    tensors = {name: np.ascontiguousarray(value) for name, value in episode.tensors().items()}
    metadata = json.dumps(episode.metadata, sort_keys=True)
    header = {'dp_episode': VERSION, 'metadata': metadata, 'crc32': _checksum(tensors, metadata)}
    with whole_file(path, 'this episode of the store') as beside:
        try:
            save_file(tensors, beside, header)
        except SafetensorError as error:  # stands for a full disk as well
            raise OSError(str(error)) from error


def read_episode(path: Path, contract: Contract) -> Episode:
    """The episode, its arrays mapped and read-only; :class:`StoreError` for a file that is missing or damaged.

    Files of version 1 hold frames one period apart, and give the episode that :meth:`Episode.regular` makes of them.
    """
    try:
        with safe_open(path, 'pt') as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name).numpy() for name in file.offset_keys()}
        for value in tensors.values():
            value.setflags(write=False)
        version, crc32 = header.pop('dp_episode', '1'), header.pop('crc32')
        if version not in ('1', VERSION):
            raise StoreError(f'{path}: an episode of version {version}; this dp_ros reads 1 and {VERSION}')
        damaged = crc32 != _checksum(tensors, header['metadata'] if version != '1' else '')
        if damaged:
            raise StoreError(f'{path}: damaged, the checksum does not match its content')
        images = {name[7:]: tensors.pop(name) for name in list(tensors) if name.startswith('images.')}
        if version == '1':
            episode = Episode.regular(contract.timing, images=images, metadata=header, **tensors)
        else:
            index = {
                name[12:]: tensors.pop(name) for name in list(tensors) if name.startswith('image_index.')
            }
            metadata = json.loads(header['metadata'])
            episode = Episode(images=images, image_index=index, metadata=metadata, **tensors)
    except FileNotFoundError as error:
        raise StoreError(f'{path}: cannot be read: {error.strerror or error}') from error
    except _DAMAGE as error:
        raise StoreError(f'{path}: damaged, not an episode: {error}') from error
    episode.check(contract, str(path))
    return episode


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of an episode from the file's header alone; :class:`StoreError` if it is damaged."""
    try:
        with safe_open(path, 'np') as file:
            header = file.metadata() or {}
        if header.get('dp_episode', '1') == '1':
            header.pop('crc32')
            return dict(header)
        return {str(k): str(v) for k, v in json.loads(header['metadata']).items()}
    except _DAMAGE as error:
        raise StoreError(f'{path}: damaged, its header tells nothing: {error}') from error


def _checksum(tensors: dict[str, np.ndarray], metadata: str) -> str:
    value = zlib.crc32(metadata.encode())
    for name in sorted(tensors):
        value = zlib.crc32(np.ascontiguousarray(tensors[name]).data, zlib.crc32(name.encode(), value))
    return f'{value:08x}'
