# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Files and folders that appear whole or not at all: written beside, flushed to the disk, then renamed."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dp_ros.errors import DpRosError, StoreError


@contextmanager
def whole_file(path: Path, what: str, error: type[DpRosError] = StoreError) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; when the block ends well, it becomes ``path``.

    The folder is made where it is missing. Whatever goes wrong, a full disk included, nothing half written stays
    and an older file is kept.

    Args:
        path: the file to make or to replace.
        what: what it is, for the message.
        error: class of the error that stands for an OSError.
    """
    beside = path.with_name(path.name + '.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        flush(beside)
        os.replace(beside, path)
        flush(path.parent)
    except OSError as cause:
        raise error(
            f'{path}: cannot write {what}, nothing half written is kept: {cause.strerror or cause}'
        ) from cause
    finally:
        with suppress(OSError):
            beside.unlink()


def write_json(path: Path, what: str, data: object, indent: int = 1) -> None:
    """Plain data as JSON, whole or not at all; ``what`` as for :func:`whole_file`."""
    with whole_file(path, what) as beside:
        beside.write_text(json.dumps(data, indent=indent) + '\n')


@contextmanager
def whole_folder(folder: Path, what: str, error: type[DpRosError] = StoreError) -> Iterator[Path]:
    """Yield an empty folder beside ``folder`` to fill; when the block ends well, it becomes ``folder``.

    Whatever goes wrong, nothing half written stays and an older folder is kept; errors of the block that are no OSError
    pass through.

    Args:
        folder: the folder of files to make or to replace.
        what: what it is, for the message.
        error: class of the error that stands for an OSError.
    """
    beside, old = (folder.with_name(f'.{folder.name}.{os.getpid()}.{end}') for end in ('new', 'old'))
    try:
        beside.mkdir(parents=True)
        yield beside
        for path in (*beside.iterdir(), beside):
            flush(path)
        if folder.exists():
            folder.rename(old)
        beside.rename(folder)
    except OSError as cause:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise error(f'{folder}: cannot write {what}: {cause}') from cause
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def flush(path: Path) -> None:
    """Wait until the disk has a file, or the entries of a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
