# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The parts of an MCAP file that hold messages: chunks, and messages outside of chunks."""

import os
import struct
from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from rosbags.rosbag2.storage_mcap import decompress

from dp_ros.bags.clock import BACK_NS, goes_back
from dp_ros.bags.mcap_records import (
    CHANNEL,
    HEAD,
    MESSAGE,
    MESSAGE_INDEX,
    SCHEMA,
    Fields,
    Schema,
    read_channel,
    read_schema,
)
from dp_ros.bags.storage import Channel, Problems, Row, Stamps, at, by_channel

# Decompressed chunks that wait for their turn where chunks overlap in time.
ROOM_BYTES = 128 << 20
KEPT_BYTES = 16 << 20

_MESSAGE = struct.Struct('<BQHIQQ')
_LENGTH = struct.Struct('<Q')
_INDEX_ENTRY = 16


class _Content:
    """A decompressed chunk, or None while it had to make room."""

    __slots__ = ('data',)

    def __init__(self, data: memoryview) -> None:
        self.data: memoryview | None = data


def _keep_freed_blocks() -> None:
    """Let the C library keep the memory of one chunk for the next.

    glibc gives blocks of more than 128 KiB back to the system, to be handed out again page by page, until one as large
    as this was freed. Those pages cost three times as much as reading a file that is in the system's cache.
    """
    bytes(KEPT_BYTES)


class Room:
    """Bounds the memory of all chunks that are open at once: the one that was read first makes room."""

    def __init__(self, limit: int = ROOM_BYTES) -> None:
        self._limit = limit
        self._held: list[tuple[_Content, int]] = []
        _keep_freed_blocks()

    def hold(self, content: _Content, size: int) -> None:
        """Count a chunk that was read."""
        self._held.append((content, size))
        while len(self._held) > 1 and sum(size for _, size in self._held) > self._limit:
            self._held.pop(0)[0].data = None

    def release(self, content: _Content) -> None:
        """Forget a chunk whose messages have all been given."""
        self._held = [entry for entry in self._held if entry[0] is not content]


class Chunk:
    """One chunk; see :class:`dp_ros.bags.storage.Stretch`. A damaged one is a problem, and has no messages.

    Attributes:
        start_ns, end_ns, carries: see Stretch.
        compression: '', 'lz4' or 'zstd'; known once it was read.
    """

    def __init__(
        self,
        path: Path,
        offset: int,
        length: int,
        start_ns: int,
        end_ns: int,
        carries: frozenset[int],
        problems: Problems,
        room: Room,
    ) -> None:
        self.start_ns, self.end_ns, self.compression = start_ns, end_ns, ''
        self._path, self._offset, self._length = path, offset, length
        self.carries, self._problems, self._room = carries, problems, room

    @classmethod
    def at_offset(
        cls, file: BinaryIO, path: Path, offset: int, length: int, problems: Problems, room: Room
    ) -> 'Chunk':
        """A chunk that no index tells of."""
        file.seek(offset + HEAD.size)
        begin, end = struct.unpack('<QQ', file.read(16))
        return cls(path, offset, length, begin, end, frozenset(), problems, room)

    def survey(self, schemas: dict[int, Schema], channels: dict[int, Channel], counts: Counter[int]) -> bool:
        """Take what it says about channels, and count its messages. False if it is damaged or has none."""
        found: Counter[int] = Counter()
        times: list[int] = []
        try:
            data = self._content()
            position = 0
            while position < len(data):
                op, length = HEAD.unpack_from(data, position)
                body = position + HEAD.size
                if body + length > len(data):
                    raise ValueError(f'a record of {length} bytes where {len(data) - body} are left')
                if op == SCHEMA:
                    schema = read_schema(Fields(data[body : body + length]))
                    schemas[schema.id] = schema
                elif op == CHANNEL:
                    channel = read_channel(Fields(data[body : body + length]), schemas)
                    channels[channel.id] = channel
                elif op == MESSAGE:
                    _, _, number, _, log_ns, _ = _MESSAGE.unpack_from(data, position)
                    found[number] += 1
                    times.append(log_ns)
                position = body + length
        except Exception as error:  # the decompressors' errors have no other base in common
            self._damaged(error)
            return False
        if not times:
            return False
        self.start_ns, self.end_ns, self.carries = min(times), max(times), frozenset(found)
        counts.update(found)
        return True

    def rows(self, channels: Collection[int], start_ns: int, stop_ns: int) -> Iterator[Row]:
        """Its messages, sorted by log time."""
        if self.carries and self.carries.isdisjoint(channels):
            return
        try:
            data = self._content()
            found = self._found(data, channels, start_ns, stop_ns)
        except Exception as error:
            self._damaged(error)
            return
        content = _Content(data)
        self._room.hold(content, len(data))
        del data
        try:
            for log_ns, _, number, begin, end in found:
                view = content.data
                if view is None:
                    view = content.data = self._content()
                    self._room.hold(content, len(view))
                yield log_ns, number, view[begin:end]
        finally:
            self._room.release(content)

    def times(self) -> dict[int, Stamps]:
        """Log times by channel: from the index behind the chunk, or else from the chunk itself."""
        found = self._indexed_times()
        if not found:
            self._problems.unindexed = True
            found = by_channel(self.order())
        return found

    def _indexed_times(self) -> dict[int, Stamps]:
        """From the index that a writer may put behind a chunk; empty where it is missing or not whole."""
        out: dict[int, Stamps] = {}
        with self._path.open('rb') as file:
            if hasattr(os, 'posix_fadvise'):  # what lies behind is the next chunk, which nobody asked for
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            file.seek(self._offset + self._length)
            while len(head := file.read(HEAD.size)) == HEAD.size:
                op, length = HEAD.unpack(head)
                if op != MESSAGE_INDEX:
                    break
                body = file.read(length)
                if len(body) < max(length, 6) or (length - 6) % _INDEX_ENTRY:
                    return {}
                (channel,) = struct.unpack_from('<H', body)
                if length > 6:
                    out[channel] = np.frombuffer(body, '<i8', offset=6)[::2]
        right = all(self.start_ns <= t.min() and t.max() <= self.end_ns for t in out.values())
        return out if right and self.carries <= set(out) else {}

    def order(self) -> Iterator[tuple[int, int]]:
        """Channel and log time of its messages, in the order in which they were recorded."""
        try:
            data, position = self._content(), 0
            while position < len(data):
                op, length = HEAD.unpack_from(data, position)
                if op == MESSAGE:
                    _, _, number, _, log_ns, _ = _MESSAGE.unpack_from(data, position)
                    yield number, log_ns
                position += HEAD.size + length
        except Exception as error:
            self._damaged(error)

    def _found(
        self, data: memoryview, channels: Collection[int], start_ns: int, stop_ns: int
    ) -> list[tuple[int, int, int, int, int]]:
        """Log time, place, channel, begin and end of each message."""
        found, position, size, ordered, last = [], 0, len(data), True, 0
        unpack = _MESSAGE.unpack_from
        while position < size:
            if data[position] == MESSAGE:
                _, length, number, _, log_ns, _ = unpack(data, position)
                after = position + 9 + length
                if length < 22 or after > size:
                    raise ValueError(f'a message of {length} bytes where {size - position - 9} are left')
                if number in channels and start_ns <= log_ns < stop_ns:
                    found.append((log_ns, position, number, position + 31, after))
                    ordered = ordered and log_ns >= last
                    last = log_ns
            else:
                after = position + 9 + _LENGTH.unpack_from(data, position + 1)[0]
                if after > size:
                    raise ValueError(f'a record that ends {after - size} bytes too late')
            position = after
        if not ordered:
            if goes_back((row[2], row[0]) for row in found):
                self._problems.disordered = True
            found.sort()
        return found

    def _content(self) -> memoryview:
        with self._path.open('rb') as file:
            file.seek(self._offset + HEAD.size)
            fields = Fields(memoryview(file.read(self._length - HEAD.size)))
        fields.skip(16)
        size, checksum = fields.u64(), fields.u32()
        self.compression = fields.text()
        packed = fields.take(fields.u64())
        return memoryview(decompress(packed, self.compression, size, checksum))  # type: ignore[arg-type]

    def _damaged(self, error: Exception) -> None:
        self._problems.add(
            f'{self._path.name}: chunk at byte {self._offset} ({at(self.start_ns)} to {at(self.end_ns)}) '
            f'is damaged: skipped: {error}'
        )


class LooseMessages:
    """All messages of a file that stand outside of chunks; see :class:`dp_ros.bags.storage.Stretch`."""

    carries: frozenset[int] = frozenset()

    def __init__(self, path: Path, problems: Problems) -> None:
        self.start_ns, self.end_ns = 0, 0
        self._problems = problems
        self._path = path
        self._rows = array('q')
        self._index = np.zeros((0, 3), np.int64)

    def __len__(self) -> int:
        return len(self._rows) // 3

    def add(self, log_ns: int, channel: int, offset: int) -> None:
        """Note a message whose record begins at a byte of the file."""
        self._rows.extend((log_ns, channel, offset))

    def sorted(self) -> 'LooseMessages':
        """Itself, when no more is added: 24 bytes of memory for a message."""
        index = np.frombuffer(self._rows, np.int64).reshape(-1, 3)
        if (np.diff(index[:, 0]) < -BACK_NS).any():
            self._problems.disordered = True
        self._index = index[np.argsort(index[:, 0], kind='stable')]
        self._rows = array('q')
        self.start_ns, self.end_ns = int(self._index[0, 0]), int(self._index[-1, 0])
        return self

    def order(self) -> Iterator[tuple[int, int]]:
        """Channel and log time of each message, in the order in which they were recorded."""
        yield from ((row[1], row[0]) for row in self._index[np.argsort(self._index[:, 2])].tolist())

    def times(self) -> dict[int, Stamps]:
        """Log times by channel."""
        channels = self._index[:, 1]
        return {int(c): self._index[channels == c, 0] for c in np.unique(channels)}

    def rows(self, channels: Collection[int], start_ns: int, stop_ns: int) -> Iterator[Row]:
        """The messages, sorted by log time."""
        first, last = np.searchsorted(self._index[:, 0], [start_ns, stop_ns])
        with self._path.open('rb') as file:
            for i in range(int(first), int(last)):
                log_ns, channel, offset = self._index[i].tolist()
                if channel in channels:
                    file.seek(offset)
                    length = _MESSAGE.unpack(file.read(_MESSAGE.size))[1]
                    yield log_ns, channel, memoryview(file.read(length - 22))
