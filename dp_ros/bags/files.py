# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The storage files of a bag, with or without the metadata.yaml that should list them."""

import shutil
import tempfile
from pathlib import Path, PurePath
from typing import Any

import yaml

from dp_ros.bags import zstandard
from dp_ros.bags.mcap_file import open_mcap
from dp_ros.bags.sqlite_file import SIDE_FILES, open_sqlite
from dp_ros.bags.storage import Problems, StorageFile
from dp_ros.errors import BagError

METADATA = 'metadata.yaml'
ZSTD = '.zstd'
STORAGES = {'.mcap': ('mcap', open_mcap), '.db3': ('sqlite3', open_sqlite)}
LEGAL = 'a directory with .mcap or .db3 files, or one such file, also with .zstd behind it'
NEWEST_VERSION = 9


class Files:
    """The files of one bag, opened.

    Attributes:
        name: of the bag.
        sources: its storage files on the disk, in their order.
        opened: what each of them says about itself; files that cannot be read are left out, and a problem.
        problems: what is wrong so far.
        storage: 'mcap' or 'sqlite3'.
        compression: see Bag.
        messages_compressed: whether each message is compressed by itself.
        custom_data, distribution, indexed: see Bag.

    Raises:
        BagError: nothing can be read.
    """

    def __init__(self, path: Path) -> None:
        self.problems = Problems()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        metadata: dict[str, Any] = {}
        if path.is_dir():
            self.name = path.resolve().name
            metadata = self._metadata_yaml(path)
            self.sources = self._listed(path, metadata)
        elif path.is_file() and _storage(path):
            self.name = path.name.removesuffix(ZSTD).rsplit('.', 1)[0]
            self.sources = [path]
        else:
            what = 'is no bag' if path.exists() else 'does not exist'
            raise BagError(f'{path}: {what}; a bag is {LEGAL}')
        try:
            self.opened = self._opened()
        except BaseException:
            self.close()
            raise
        kinds = sorted({_storage(source) for source in self.sources})
        self.storage = '+'.join(kinds)
        metadata = metadata or self._own_metadata()
        custom = metadata.get('custom_data')
        self.custom_data = {str(k): str(v) for k, v in custom.items()} if isinstance(custom, dict) else {}
        self.distribution = str(metadata.get('ros_distro') or '')
        mode = str(metadata.get('compression_mode') or '').lower()
        self.messages_compressed = mode == 'message' if metadata else self._begins_compressed()
        self.compression = self._compression()
        compressed = any(source.suffix == ZSTD for source in self.sources)
        self.indexed = not compressed and all(file.indexed for file in self.opened)

    def close(self) -> None:
        """Remove decompressed copies."""
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _metadata_yaml(self, path: Path) -> dict[str, Any]:
        file = path / METADATA
        if not file.exists():
            self.problems.add(f'{METADATA} is missing: the files of the directory are read')
            return {}
        try:
            found = _information(file.read_text(encoding='utf-8'))
        except (OSError, ValueError, yaml.YAMLError) as error:
            why = ' '.join(str(error).split())
            self.problems.add(f'{METADATA} cannot be read: {why}: the files of the directory are read')
            return {}
        if found['version'] > NEWEST_VERSION:
            self.problems.add(f'{METADATA} is of version {found["version"]}, known up to {NEWEST_VERSION}')
        return found

    def _listed(self, path: Path, metadata: dict[str, Any]) -> list[Path]:
        """The files that the metadata lists, and those that it forgot; in their order."""
        there = sorted((file for file in path.iterdir() if file.is_file() and _storage(file)), key=_natural)
        names = [PurePath(str(name)).name for name in metadata.get('relative_file_paths') or []]
        listed = [path / name for name in names]
        for file in listed:
            if file not in there:
                self.problems.add(f'{file.name} is listed in {METADATA} but missing')
        found = [file for file in listed if file in there]
        for file in there:
            if file not in found:
                if metadata:
                    self.problems.add(f'{file.name} is not listed in {METADATA}: read all the same')
                found.append(file)
        if not found:
            raise BagError(f'{path}: is no bag: no storage file in it; a bag is {LEGAL}')
        return found

    def _opened(self) -> list[StorageFile]:
        opened, reasons = [], []
        for source in self.sources:
            try:
                local = self._local(source)
                opened.append(STORAGES[local.suffix][1](local, self.problems))
            except BagError as error:
                reasons.append(str(error))
            except OSError as error:
                reasons.append(f'{source}: cannot be read: {error.strerror or error}')
        if not opened:
            raise BagError('; '.join(reasons))
        for reason in reasons:
            self.problems.add(f'{reason}: skipped')
        return opened

    def _local(self, source: Path) -> Path:
        """The file itself, or a copy where it must be decompressed, or mended after a writer that was killed."""
        side = [source.with_name(source.name + suffix) for suffix in SIDE_FILES]
        left = [file for file in side if file.exists() and file.stat().st_size]
        if source.suffix != ZSTD and not left:
            return source
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix='dp_ros_bag_')
        folder = Path(self._temporary.name)
        local = folder / source.name.removesuffix(ZSTD)
        if left:
            for file in (source, *left):
                shutil.copy(file, folder)
            self.problems.add(f'{source.name} was not closed: what stands in {left[0].name} is read as well')
            return local
        with local.open('wb') as out:
            trouble = zstandard.decompress_file(source, out)
        if trouble:
            self.problems.add(f'{source.name}: {trouble}')
        return local

    def _own_metadata(self) -> dict[str, Any]:
        """What the storage files hold of the metadata."""
        for file in self.opened:
            if file.metadata:
                try:
                    return _information(file.metadata)
                except (ValueError, yaml.YAMLError):
                    continue
        return {}

    def _begins_compressed(self) -> bool:
        for file in self.opened:
            for stretch in file.stretches:
                for _, _, raw in stretch.rows(file.channels, 0, 2**63 - 1):
                    return bytes(raw[:4]) == zstandard.MAGIC
        return False

    def _compression(self) -> str:
        if self.messages_compressed:
            return 'zstd message'
        if any(source.suffix == ZSTD for source in self.sources):
            return 'zstd file'
        chunks = {file.compression for file in self.opened} - {''}
        return f'{min(chunks)} chunk' if chunks else ''


def _information(text: str) -> dict[str, Any]:
    """The metadata of a bag, with or without the key around it that the file has.

    Raises:
        ValueError: it is something else.
    """
    data = yaml.safe_load(text)
    found = data.get('rosbag2_bagfile_information', data) if isinstance(data, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get('version'), int):
        raise ValueError('it holds no rosbag2_bagfile_information')
    return found


def _storage(path: Path) -> str:
    """The storage of a file by its name; empty for other files."""
    return STORAGES.get(Path(path.name.removesuffix(ZSTD)).suffix, ('',))[0]


def _natural(path: Path) -> tuple[int, str]:
    """rosbag2 numbers its files without leading zeros: _10 comes after _9."""
    number = path.name.split('.')[0].rsplit('_', 1)[-1]
    return (int(number) if number.isdigit() else -1, path.name)
