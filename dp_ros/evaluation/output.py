# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Result files: whole or not at all."""

from pathlib import Path

from dp_ros.errors import StoreError


def write_text(path: Path, text: str) -> None:
    """Write beside and rename; :class:`StoreError` names the file that could not be written."""
    part = path.with_name(path.name + '.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(f'{path}: cannot be written: {error.strerror}') from error
