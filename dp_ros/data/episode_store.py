# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A directory of episodes that belong to one contract.

``contract.json``, ``store.json`` (which episodes, and where they come from) and one safetensors file an episode in
``episodes/``. Episodes are written first; they belong to the store once ``store.json`` names them, which is replaced at
once. So a reader sees all episodes of a bag or none, and whatever a killed writer left is no part of the store.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.data.episode_file import check_new_file, read_episode, read_metadata, write_episode
from dp_ros.data.store_index import StoreIndex
from dp_ros.errors import StoreError
from dp_ros.whole_file import flush, whole_file

_FILE_NAME = re.compile(r'(\d{6,})\.safetensors(\.part)?')


class EpisodeStore:
    """Episodes on disk; read by index, append at the end. One process may write at a time, any number may read.

    Attributes:
        path: the directory.
        contract: what every episode satisfies.
    """

    def __init__(self, path: Path, contract: Contract, index: StoreIndex, lock: int | None):
        self.path, self.contract = path, contract
        self._index, self._lock = index, lock

    @classmethod
    def create(cls, path: Path, contract: Contract, info: dict[str, Any]) -> 'EpisodeStore':
        """Make an empty store, open for writing; :class:`StoreError` if one is there or it cannot be written.

        Args:
            path: its directory, which is made where it is missing.
            contract: what its episodes shall satisfy.
            info: how it came about, as JSON can say it: task, settings, versions.
        """
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
            with whole_file(path / 'contract.json', 'the contract of the store') as beside:
                beside.write_text(contract.to_json())
            # store.json goes last: a directory without it is no store.
            index = StoreIndex(_plain(info, f'{path}: info'))
            index.write(path)
        except BaseException:
            os.close(lock)
            raise
        return cls(path, contract, index, lock)

    @classmethod
    def open(cls, path: Path, writable: bool = False) -> 'EpisodeStore':
        """Open a store; :class:`StoreError` if it is missing, damaged, or written by another process.

        A store of version 1 opens for reading only.
        """
        path = Path(path)
        lock = _lock(path) if writable and path.is_dir() else None
        try:
            index = StoreIndex.read(path)
            contract = Contract.from_json(path / 'contract.json')
            if index.version == 1:
                if writable:
                    raise StoreError(
                        f'{path}: a store of version 1 is read as it is but not written any more; '
                        'choose another directory for new episodes'
                    )
                index = replace(index, numbers=_numbers_of_version_1(path))
            store = cls(path, contract, index, lock)
            store._require_files()
            if writable:
                store._remove_leftovers()
        except BaseException:
            if lock is not None:
                os.close(lock)
            raise
        return store

    @property
    def version(self) -> int:
        """Of the form on disk."""
        return self._index.version

    @property
    def info(self) -> dict[str, Any]:
        """As given to :meth:`create`."""
        return self._index.info

    @property
    def sources(self) -> tuple[dict[str, Any], ...]:
        """The bags whose episodes are here: name, sha256, when, episodes (numbers of their files), settings."""
        return self._index.sources

    @property
    def files(self) -> tuple[Path, ...]:
        """Of the episodes, in their order."""
        return tuple(self._file(number) for number in self._index.numbers)

    def __len__(self) -> int:
        return len(self._index.numbers)

    def __iter__(self) -> Iterator[Episode]:
        return (self.read(i) for i in range(len(self)))

    def staging(self) -> Path:
        """A folder on the same disk, for files of :func:`write_episode` that :meth:`append_all` shall take.

        It is emptied when a writer opens or closes the store.
        """
        folder = self.path / 'staging'
        folder.mkdir(exist_ok=True)
        return folder

    def append(self, episode: Episode) -> int:
        """Write an episode at the end and return its index; on :class:`StoreError` the store is as before."""
        return self._append([episode], None)[0]

    def append_all(
        self, episodes: Iterable[Episode | Path], source: dict[str, Any], replace: bool = False
    ) -> range:
        """Write all episodes of one bag at the end, or none of them.

        Args:
            episodes: or files in :meth:`staging`, which are checked and moved. They are taken one by one; what their
                making raises comes through, and the store is as before.
            source: where they come from, as JSON can say it: ``name``, ``sha256`` and whatever else is known. The time
                ``when`` is added.
            replace: take the place of an earlier import of the same source.

        Returns:
            their indices.

        Raises:
            StoreError: the source is here already, an episode does not satisfy the contract, no episodes, no space.
        """
        return self._append(episodes, self._checked_source(source, replace))

    def read(self, index: int) -> Episode:
        """Episode ``index``, mapped; :class:`StoreError` if it is missing, damaged or of another contract."""
        if not 0 <= index < len(self):
            raise StoreError(f'{self.path}: no episode {index}; legal: 0 to {len(self) - 1}')
        return read_episode(self._file(self._index.numbers[index]), self.contract)

    def seeds(self) -> list[int]:
        """Seeds of all episodes in order, from the files' headers alone."""
        out = []
        for number, metadata in zip(self._index.numbers, self.metadata(), strict=True):
            try:
                out.append(int(metadata['seed']))
            except (KeyError, ValueError) as error:
                raise StoreError(f'{self._file(number)}: its header tells no seed: {error}') from error
        return out

    def metadata(self) -> list[dict[str, str]]:
        """Metadata of all episodes in order, from the files' headers alone."""
        return [read_metadata(self._file(number)) for number in self._index.numbers]

    def remove_if_empty(self) -> bool:
        """Take :meth:`create` back, as long as no episode has come; whatever else lies in the directory stays."""
        if self._lock is None or self._index.numbers:
            return False
        for name in ('store.json', 'contract.json'):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / 'staging', ignore_errors=True)
        for folder in (self.path / 'episodes', self.path):
            with suppress(OSError):
                folder.rmdir()
        self.close()
        return True

    def close(self) -> None:
        """Let another process write."""
        if self._lock is not None:
            shutil.rmtree(self.path / 'staging', ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> 'EpisodeStore':
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _append(self, episodes: Iterable[Episode | Path], source: dict[str, Any] | None) -> range:
        if self._lock is None:
            raise StoreError(f'{self.path}: opened for reading; open it with writable=True')
        before = self._index
        first = max(before.numbers, default=-1) + 1
        numbers: list[int] = []
        try:
            for number, episode in enumerate(episodes, first):
                numbers.append(number)
                self._put(episode, self._file(number))
            if not numbers:
                raise StoreError(f'{self.path}: no episodes given')
            after = before.extended(numbers, source)
            after.write(self.path)
        except BaseException:
            # What store.json says holds: it may have been replaced although the flush after it failed.
            with suppress(StoreError):
                self._index = StoreIndex.read(self.path)
            self._unlink(set(numbers) - set(self._index.numbers))
            raise
        self._index = after
        self._unlink(set(before.numbers) - set(after.numbers))
        return range(len(after.numbers) - len(numbers), len(after.numbers))

    def _put(self, episode: Episode | Path, path: Path) -> None:
        if isinstance(episode, Episode):
            episode.check(self.contract, str(path))
            write_episode(episode, path)
            return
        check_new_file(episode, self.contract)
        try:
            os.replace(episode, path)
            flush(path.parent)
        except OSError as error:
            raise StoreError(f'{path}: cannot take {episode}: {error.strerror}') from error

    def _checked_source(self, source: dict[str, Any], replace: bool) -> dict[str, Any]:
        source = _plain(source, f'{self.path}: source')
        for key in ('name', 'sha256'):
            if not isinstance(source.get(key), str) or not source[key]:
                raise StoreError(f'{self.path}: a source needs {key!r} as text, got {source.get(key)!r}')
        known = self._index.source(source['sha256'])
        if known and not replace:
            raise StoreError(
                f'{self.path}: {source["name"]} is here already, imported {known["when"]} as {known["name"]!r} '
                f'(sha256 {source["sha256"][:12]}); replace it, or leave it out'
            )
        return source

    def _file(self, number: int) -> Path:
        return self.path / 'episodes' / f'{number:06d}.safetensors'

    def _require_files(self) -> None:
        try:
            present = set(os.listdir(self.path / 'episodes'))
        except OSError as error:
            raise StoreError(f'{self.path}/episodes: cannot be listed: {error.strerror}') from error
        missing = [n for n in self._index.numbers if self._file(n).name not in present]
        if missing:
            raise StoreError(
                f'{self.path}/episodes: {self._file(missing[0]).name} is missing ({len(missing)} of {len(self)})'
            )

    def _remove_leftovers(self) -> None:
        """Files of a writer that was killed before its commit; nobody else writes while the lock is held."""
        ours = {self._file(number).name for number in self._index.numbers}
        for name in os.listdir(self.path / 'episodes'):
            if _FILE_NAME.fullmatch(name) and name not in ours:
                os.unlink(self.path / 'episodes' / name)
        shutil.rmtree(self.path / 'staging', ignore_errors=True)

    def _unlink(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            with suppress(OSError):
                self._file(number).unlink()


def _numbers_of_version_1(path: Path) -> tuple[int, ...]:
    """Version 1 numbers its files without gaps and renames each when it is whole."""
    try:
        names = sorted(name for name in os.listdir(path / 'episodes') if not name.endswith('.part'))
    except OSError as error:
        raise StoreError(f'{path}/episodes: cannot be listed: {error.strerror}') from error
    for number, name in enumerate(names):
        if name != f'{number:06d}.safetensors':
            raise StoreError(f'{path}/episodes: expected {number:06d}.safetensors, found {name!r}')
    return tuple(range(len(names)))


def _plain(data: dict[str, Any], where: str) -> dict[str, Any]:
    """As it will be read back."""
    try:
        return json.loads(json.dumps(data))
    except (TypeError, ValueError) as error:
        raise StoreError(f'{where}: JSON cannot say it: {error}') from error


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f'{path}: another process is writing to this store') from error
    return descriptor
