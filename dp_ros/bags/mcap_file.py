# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One MCAP file: through its index where it has one, else record by record as far as it is whole.

`rosbags` reads whole files only: without a footer it does not open one, and one damaged chunk ends its iteration.
Here each chunk stands for itself. The format is described at https://mcap.dev/spec.
"""

import struct
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from dp_ros.bags.mcap_records import (
    CHANNEL,
    CHUNK,
    CHUNK_INDEX,
    FOOTER,
    HEAD,
    HIGHEST_OP,
    MAGIC,
    MESSAGE,
    METADATA,
    METADATA_INDEX,
    SCHEMA,
    STATISTICS,
    Fields,
    Schema,
    read_channel,
    read_schema,
    records,
)
from dp_ros.bags.mcap_stretches import Chunk, LooseMessages, Room
from dp_ros.bags.storage import Problems, StorageFile, at
from dp_ros.errors import BagError

FOOTER_BYTES = HEAD.size + 20 + len(MAGIC)


def open_mcap(path: Path, problems: Problems) -> StorageFile:
    """Read what the file says about itself.

    A file without an index (its writer was killed) is read through once, to find its channels and what is whole.

    Args:
        path: the file.
        problems: takes what is wrong, now and when its chunks are read later.

    Raises:
        BagError: this is no MCAP file.
    """
    size = path.stat().st_size
    with path.open('rb') as file:
        magic = file.read(len(MAGIC))
        if magic != MAGIC:
            what = 'is empty' if not magic else f'is no MCAP file: it begins with {magic!r}'
            raise BagError(f'{path}: {what}')
        summary = _summary_start(file, size)
        if summary is None:
            found = _scanned(file, path, size, problems, cut=True)
        else:
            try:
                found = _indexed(file, path, summary, size - FOOTER_BYTES, problems)
            except Exception as error:
                problems.add(f'{path.name}: its index is damaged ({error}): read record by record')
                found = _scanned(file, path, size, problems, cut=False)
    return found


def _summary_start(file: BinaryIO, size: int) -> int | None:
    """Where the index begins, 0 where there is none; None for a file without an end."""
    if size < len(MAGIC) + FOOTER_BYTES:
        return None
    file.seek(size - FOOTER_BYTES)
    end = file.read(FOOTER_BYTES)
    if not end.endswith(MAGIC) or HEAD.unpack_from(end) != (FOOTER, 20):
        return None
    return Fields(memoryview(end)[HEAD.size :]).u64()


def _indexed(file: BinaryIO, path: Path, start: int, stop: int, problems: Problems) -> StorageFile:
    """Through the index; record by record where it is not there or lacks something."""
    if not start:
        return _scanned(file, path, stop + FOOTER_BYTES, problems, cut=False)
    if not len(MAGIC) < start <= stop:
        raise ValueError(f'it should begin at byte {start} of {stop}')
    file.seek(start)
    found, room = StorageFile(path), Room()
    schemas: dict[int, Schema] = {}
    messages = -1
    for op, _, body in records(memoryview(file.read(stop - start))):
        fields = Fields(body)
        if op == SCHEMA:
            schema = read_schema(fields)
            schemas[schema.id] = schema
        elif op == CHANNEL:
            channel = read_channel(fields, schemas)
            found.channels[channel.id] = channel
        elif op == CHUNK_INDEX:
            begin, end, offset, length = (fields.u64() for _ in range(4))
            carries = frozenset(struct.unpack_from('<H', entry)[0] for entry in fields.entries(10))
            fields.u64()
            found.compression = fields.text()
            found.stretches.append(Chunk(path, offset, length, begin, end, carries, problems, room))
        elif op == STATISTICS:
            messages = fields.u64()
            fields.skip(2 + 4 + 4 + 4 + 4)
            found.start_ns, found.end_ns = fields.u64(), fields.u64()
            found.counts = dict(struct.unpack('<HQ', entry) for entry in fields.entries(10))
        elif op == METADATA_INDEX:
            offset, length = fields.u64(), fields.u64()
            file.seek(offset + HEAD.size)
            found.metadata = _metadata(file.read(length - HEAD.size)) or found.metadata
    if messages < 0 or (messages and not (found.stretches and found.channels)):
        return _scanned(file, path, stop + FOOTER_BYTES, problems, cut=False)
    if not messages:
        found.start_ns = found.end_ns = 0
    return found


def _scanned(file: BinaryIO, path: Path, size: int, problems: Problems, cut: bool) -> StorageFile:
    """Record by record, up to the end or to the first record that is not whole."""
    found, room = StorageFile(path, indexed=False), Room()
    loose = LooseMessages(path, problems)
    schemas: dict[int, Schema] = {}
    counts: Counter[int] = Counter()
    position, trouble = len(MAGIC), 'its end is missing' if cut else ''
    while position < size:
        file.seek(position)
        head = file.read(HEAD.size)
        if len(head) < HEAD.size:
            trouble = f'cut off at byte {position}'
            break
        op, length = HEAD.unpack(head)
        after = position + HEAD.size + length
        if not 0 < op <= HIGHEST_OP:
            trouble = f'damaged at byte {position}'
            break
        if after > size:
            trouble = f'cut off in a record at byte {position}'
            if op == CHUNK and size - position - HEAD.size >= 16:
                begin, end = struct.unpack('<QQ', file.read(16))
                trouble = f'cut off in a chunk at byte {position} ({at(begin)} to {at(end)})'
            break
        if op == SCHEMA:
            schema = read_schema(Fields(memoryview(file.read(length))))
            schemas[schema.id] = schema
        elif op == CHANNEL:
            channel = read_channel(Fields(memoryview(file.read(length))), schemas)
            found.channels[channel.id] = channel
        elif op == MESSAGE:
            channel_id, _, log_ns = struct.unpack('<HIQ', file.read(14))
            loose.add(log_ns, channel_id, position)
            counts[channel_id] += 1
        elif op == METADATA:
            found.metadata = _metadata(file.read(length)) or found.metadata
        elif op == CHUNK:
            chunk = Chunk.at_offset(file, path, position, after - position, problems, room)
            if chunk.survey(schemas, found.channels, counts):
                found.stretches.append(chunk)
                found.compression = chunk.compression
        elif op == FOOTER:
            break
        position = after
    if loose:
        found.stretches.append(loose.sorted())
    found.counts = dict(counts)
    found.start_ns = min((s.start_ns for s in found.stretches), default=0)
    found.end_ns = max((s.end_ns for s in found.stretches), default=0)
    if trouble:
        messages = sum(counts.values())
        till = f' up to {at(found.end_ns)}' if messages else ''
        problems.add(f'{path.name}: {trouble}: recovered {messages} messages{till}')
    return found


def _metadata(record: bytes) -> str:
    """The text of the bag's metadata; empty for a METADATA record of something else."""
    fields = Fields(memoryview(record))
    return fields.mapping().get('serialized_metadata', '') if fields.text() == 'rosbag2' else ''
