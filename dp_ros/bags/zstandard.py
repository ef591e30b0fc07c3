# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Zstandard, from the standard library where it is there, else from the package that `rosbags` brings."""

import sys
from pathlib import Path
from typing import BinaryIO

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b'\x28\xb5\x2f\xfd'
BLOCK = 1 << 20

decompress = zstd.decompress
ZstdError = zstd.ZstdError


def decompress_file(source: Path, out: BinaryIO) -> str:
    """Write the decompressed content of a file, as far as it is whole.

    Returns:
        What is wrong with the source; empty if nothing is.
    """
    with zstd.open(source, 'rb') as file:
        while True:
            try:
                block = file.read(BLOCK)
            except EOFError:
                return 'the compressed file is cut off'
            except ZstdError as error:
                return f'the compressed file is damaged: {error}'
            if not block:
                return ''
            out.write(block)
