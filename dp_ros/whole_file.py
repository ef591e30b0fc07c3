# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Files that appear whole or not at all: written beside, flushed to the disk, then renamed."""

import os
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


def flush(path: Path) -> None:
    """Wait until the disk has a file, or the entries of a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
