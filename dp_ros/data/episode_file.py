# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""An episode's form on disk: a safetensors file with a checksum, read by mapping it into memory.

Mapped arrays cost memory only while they are looked at, and the system takes it back when it is short: a store may be
larger than memory. Safetensors maps a file for torch alone (its NumPy reader copies), and holds no descriptor open.
Writing is our own, because safetensors' copies all arrays into memory first.
"""

import json
import mmap
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.errors import StoreError
from dp_ros.whole_file import whole_file

VERSION = '2'
# By safetensors' names, all that an episode has.
DTYPES: dict[str, np.dtype[Any]] = {
    'I64': np.dtype('<i8'),
    'I32': np.dtype('<i4'),
    'F32': np.dtype('<f4'),
    'U8': np.dtype('u1'),
}
BLOCK = 1 << 20
DAMAGE = (SafetensorError, OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError)


def write_episode(episode: Episode, path: Path) -> None:
    """Write the file whole or not at all; arrays that are mapped from other files are not taken into memory.

    Args:
        episode: checked by the caller.
        path: of the file.

    Raises:
        StoreError: there is no space left, or it cannot be written otherwise.
    """
    tensors = episode.tensors()
    metadata = json.dumps(episode.metadata, sort_keys=True)
    texts = {'dp_episode': VERSION, 'metadata': metadata, 'crc32': f'{0:08x}'}
    places, header = _layout(tensors, texts)
    crc32 = zlib.crc32(metadata.encode())
    with whole_file(path, 'this episode of the store') as beside, beside.open('wb') as file:
        # In the order of the checksum; the header, which holds it, goes last.
        for name in sorted(tensors):
            crc32 = zlib.crc32(name.encode(), crc32)
            file.seek(len(header) + places[name])
            for block in _blocks(tensors[name]):
                crc32 = zlib.crc32(block, crc32)
                file.write(block)
        file.seek(0)
        file.write(_layout(tensors, texts | {'crc32': f'{crc32:08x}'})[1])


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
            episode = _episode(images, tensors, header['metadata'])
    except FileNotFoundError as error:
        raise StoreError(f'{path}: cannot be read: {error.strerror or error}') from error
    except DAMAGE as error:
        raise StoreError(f'{path}: damaged, not an episode: {error}') from error
    episode.check(contract, str(path))
    return episode


def check_new_file(path: Path, contract: Contract) -> None:
    """Raise :class:`StoreError` if a file that :func:`write_episode` has just made does not satisfy the contract.

    Frames are looked at no more than their shapes: they would come from the system's cache, not from the disk.
    """
    try:
        with safe_open(path, 'np') as file:
            header, names = file.metadata() or {}, list(file.offset_keys())
            images = {name[7:]: file.get_slice(name) for name in names if name.startswith('images.')}
            frames = {
                camera: np.broadcast_to(np.zeros((), DTYPES[tensor.get_dtype()]), tensor.get_shape())
                for camera, tensor in images.items()
            }
            tensors = {name: file.get_tensor(name) for name in names if not name.startswith('images.')}
        if header.get('dp_episode') != VERSION:
            raise StoreError(f'{path}: not an episode of version {VERSION}')
        episode = _episode(frames, tensors, header['metadata'])
    except DAMAGE as error:
        raise StoreError(f'{path}: damaged, not an episode: {error}') from error
    episode.check(contract, str(path))


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of an episode from the file's header alone; :class:`StoreError` if it is damaged."""
    try:
        with safe_open(path, 'np') as file:
            header = file.metadata() or {}
        if header.get('dp_episode', '1') == '1':
            header.pop('crc32')
            return dict(header)
        return {str(k): str(v) for k, v in json.loads(header['metadata']).items()}
    except DAMAGE as error:
        raise StoreError(f'{path}: damaged, its header tells nothing: {error}') from error


def _checksum(tensors: dict[str, np.ndarray], metadata: str) -> str:
    value = zlib.crc32(metadata.encode())
    for name in sorted(tensors):
        value = zlib.crc32(np.ascontiguousarray(tensors[name]).data, zlib.crc32(name.encode(), value))
    return f'{value:08x}'


def _episode(images: dict[str, np.ndarray], tensors: dict[str, np.ndarray], metadata: str) -> Episode:
    """Of version 2, from what its file holds."""
    index = {name[12:]: tensors.pop(name) for name in list(tensors) if name.startswith('image_index.')}
    vectors = {name[8:]: tensors.pop(name) for name in list(tensors) if name.startswith('vectors.')}
    return Episode(
        images=images, image_index=index, vectors=vectors, metadata=json.loads(metadata), **tensors
    )


def _layout(tensors: Mapping[str, np.ndarray], texts: Mapping[str, str]) -> tuple[dict[str, int], bytes]:
    """Where each array begins behind the header, and the header: see https://github.com/huggingface/safetensors."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    entries: dict[str, object] = {'__metadata__': dict(texts)}
    places, end = {}, 0
    # Wide numbers first, so that all are aligned.
    for name in sorted(tensors, key=lambda name: (-tensors[name].itemsize, name)):
        value = tensors[name]
        places[name], begin, end = end, end, end + value.nbytes
        entries[name] = {'dtype': names[value.dtype], 'shape': value.shape, 'data_offsets': (begin, end)}
    text = json.dumps(entries, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    return places, len(text).to_bytes(8, 'little') + text


def _blocks(array: np.ndarray) -> Iterator[memoryview]:
    """The bytes of an array, a MiB at a time; those of a mapped file are read, so that its pages do not become ours."""
    if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap):
        block = memoryview(bytearray(BLOCK))
        with open(array.filename, 'rb', buffering=0) as file:
            file.seek(array.offset)
            left = array.nbytes
            while left:
                size = file.readinto(block[: min(left, BLOCK)])
                if not size:
                    raise OSError(f'{array.filename} is too short')
                yield block[:size]
                left -= size
        return
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    for begin in range(0, len(flat), BLOCK):
        yield flat[begin : begin + BLOCK].data
