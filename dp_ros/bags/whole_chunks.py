# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""rosbags' MCAP storage with chunks that reach the file whole or are cut off again."""

import os
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from io import SEEK_END, BytesIO, FileIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rosbags.rosbag2 import CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter, PendingChunk, zstd

# As rosbag2's preset zstd_fast: camera images become as small as with the default level, in a quarter of the time.
_ZSTD_LEVEL = 1
_NEVER_NS = 2**63 - 1


@dataclass(frozen=True)
class Whole:
    """How far a file is whole: its bytes, messages by channel, and first and last log time in nanoseconds."""

    size: int
    counts: dict[int, int]
    start_ns: int
    end_ns: int


class WholeChunks(McapWriter):
    """An MCAP file in the making. Methods raise OSError where it cannot grow; :meth:`cut` mends it then.

    Attributes:
        whole: the state after the newest chunk that is in the file.
    """

    def __init__(self, path: Path, compression: CompressionMode):
        super().__init__(path, compression)
        self.bio.close()
        # Without a buffer of Python's: what was written a kill cannot take, and what failed cannot come back later.
        self.bio: Any = _Unbuffered(self.path, 'r+')
        self.bio.seek(0, SEEK_END)
        if self.compression:
            self.compressor = partial(zstd.compress, level=_ZSTD_LEVEL)
        self.whole = self._state()

    def close_chunk(self) -> None:
        """Append the chunk that was being filled."""
        if not self.chunk.msgs:
            self.chunk.message_start_time = 0
        super().close_chunk()
        self.whole = self._state()

    def flush(self) -> None:
        """All messages up to now onto the disk."""
        if self.chunk.msgs:
            self.close_chunk()
        os.fsync(self.bio.fileno())

    def cut(self) -> None:
        """Back to the newest whole chunk; messages after it are lost."""
        self.chunk = PendingChunk(_NEVER_NS, 0, BytesIO(), defaultdict(list))
        self.channel_stats = {**dict.fromkeys(self.channel_stats, 0), **self.whole.counts}
        self.message_start_time, self.message_end_time = self.whole.start_ns, self.whole.end_ns
        self.bio.truncate(self.whole.size)
        self.bio.seek(0, SEEK_END)

    def _state(self) -> Whole:
        return Whole(
            self.bio.tell(), dict(self.channel_stats), self.message_start_time, self.message_end_time
        )


class _Unbuffered(FileIO):
    """A file that writes all of what it is given, or raises OSError."""

    def write(self, data: Any) -> int:
        view = memoryview(data)
        done = 0
        while done < len(view):
            done += super().write(view[done:])
        return done


class WholeChunksWriter(Writer):
    """rosbags' writer on :class:`WholeChunks`."""

    STORAGE_PLUGINS = MappingProxyType({StoragePlugin.MCAP: WholeChunks})
