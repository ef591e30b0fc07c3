# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A directory of episodes that belong to one contract.

``contract.json``, ``store.json`` (where the episodes come from) and ``episodes/000000.safetensors`` onwards. Files
are written beside their place, synced and renamed, so a reader never sees half an episode, whatever happens.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode, episode_from_bytes, read_metadata
from dp_ros.errors import StoreError
from dp_ros.whole_file import whole_file

VERSION = 1
_HEADER_BYTES = 1 << 16


class EpisodeStore:
    """Episodes on disk; read by index, append at the end. One process may write at a time, any number may read.

    Attributes:
        path: the directory.
        contract: what every episode satisfies.
        info: provenance, as given to :meth:`create`: task, settings, versions.
    """

    def __init__(self, path: Path, contract: Contract, info: dict[str, Any], count: int, lock: int | None):
        self.path, self.contract, self.info = path, contract, info
        self._count, self._lock = count, lock

    @classmethod
    def create(cls, path: Path, contract: Contract, info: dict[str, Any]) -> 'EpisodeStore':
        """Make an empty store, open for writing; :class:`StoreError` if one is there or it cannot be written."""
        path = Path(path)
        if (path / 'store.json').exists():
            raise StoreError(f'{path}: a store is already there; open it, or choose another directory')
        try:
            (path / 'episodes').mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f'{path}: cannot make the store: {error.strerror}') from error
        if any((path / 'episodes').iterdir()):
            raise StoreError(f'{path}: holds episodes but no store.json; move them away first')
        lock = _lock(path)
        try:
            _write(path / 'contract.json', contract.to_json().encode())
            # store.json goes last: a directory without it is no store.
            _write(path / 'store.json', _dump({'dp_store': VERSION, **info}))
        except BaseException:
            os.close(lock)
            raise
        return cls(path, contract, json.loads(_dump(info)), 0, lock)

    @classmethod
    def open(cls, path: Path, writable: bool = False) -> 'EpisodeStore':
        """Open a store; :class:`StoreError` if it is missing, damaged, or written by another process."""
        path = Path(path)
        try:
            info = json.loads((path / 'store.json').read_bytes())
        except FileNotFoundError as error:
            raise StoreError(f'{path}: no episode store here (store.json is missing)') from error
        except (OSError, ValueError) as error:
            raise StoreError(f'{path}/store.json: cannot be read: {error}') from error
        if not isinstance(info, dict) or info.pop('dp_store', None) != VERSION:
            raise StoreError(f'{path}/store.json: dp_store must be {VERSION}')
        contract = Contract.from_json(path / 'contract.json')
        lock = _lock(path) if writable else None
        try:
            count = cls._count_episodes(path, clean=writable)
        except BaseException:
            if lock is not None:
                os.close(lock)
            raise
        return cls(path, contract, info, count, lock)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Episode]:
        return (self.read(i) for i in range(len(self)))

    def append(self, episode: Episode) -> int:
        """Write an episode at the end and return its index; on :class:`StoreError` the store is as before."""
        if self._lock is None:
            raise StoreError(f'{self.path}: opened for reading; open it with writable=True')
        path = self._file(self._count)
        episode.check(self.contract, str(path))
        _write(path, episode.to_bytes())
        self._count += 1
        return self._count - 1

    def read(self, index: int) -> Episode:
        """Episode ``index`` in memory; :class:`StoreError` if it is missing, damaged or of another contract."""
        if not 0 <= index < self._count:
            raise StoreError(f'{self.path}: no episode {index}; legal: 0 to {self._count - 1}')
        path = self._file(index)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreError(f'{path}: cannot be read: {error.strerror}') from error
        episode = episode_from_bytes(content, str(path))
        episode.check(self.contract, str(path))
        return episode

    def seeds(self) -> list[int]:
        """Seeds of all episodes in order, from the files' headers alone."""
        out = []
        for index in range(self._count):
            path = self._file(index)
            try:
                with path.open('rb') as file:
                    out.append(int(read_metadata(file.read(_HEADER_BYTES))['seed']))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise StoreError(f'{path}: damaged, its header tells no seed: {error}') from error
        return out

    def close(self) -> None:
        """Let another process write."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> 'EpisodeStore':
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _file(self, index: int) -> Path:
        return self.path / 'episodes' / f'{index:06d}.safetensors'

    @staticmethod
    def _count_episodes(path: Path, clean: bool) -> int:
        try:
            names = sorted(os.listdir(path / 'episodes'))
        except OSError as error:
            raise StoreError(f'{path}/episodes: cannot be listed: {error.strerror}') from error
        kept = []
        for name in names:
            if name.endswith('.part'):
                # Left by a process that was killed while writing; nobody else writes while the lock is held.
                if clean:
                    os.unlink(path / 'episodes' / name)
            else:
                kept.append(name)
        for index, name in enumerate(kept):
            if name != f'{index:06d}.safetensors':
                raise StoreError(f'{path}/episodes: expected {index:06d}.safetensors, found {name!r}')
        return len(kept)


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f'{path}: another process is writing to this store') from error
    return descriptor


def _dump(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=2) + '\n').encode()


def _write(path: Path, content: bytes) -> None:
    with whole_file(path, 'this file of the store') as beside:
        beside.write_bytes(content)
