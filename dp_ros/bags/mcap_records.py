# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Records of an MCAP file, as far as a rosbag2 recording has them."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from dp_ros.bags.storage import Channel, topic_name, type_name

MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 0x02, 0x03, 0x04, 0x05, 0x06
MESSAGE_INDEX, CHUNK_INDEX = 0x07, 0x08
STATISTICS, METADATA, METADATA_INDEX = 0x0B, 0x0C, 0x0D
HIGHEST_OP = 0x0F

HEAD = struct.Struct('<BQ')
_U16, _U32, _U64 = struct.Struct('<H'), struct.Struct('<I'), struct.Struct('<Q')


class Schema(NamedTuple):
    """A type and its definition."""

    id: int
    name: str
    format: str
    definition: str


class Fields:
    """The fields of one record, in their order.

    Raises:
        ValueError: a field reaches beyond the record.
    """

    def __init__(self, data: memoryview) -> None:
        self.rest = data

    def take(self, size: int) -> memoryview:
        """The next bytes."""
        if size > len(self.rest):
            raise ValueError(f'a field of {size} bytes where {len(self.rest)} are left')
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def skip(self, size: int) -> None:
        """Leave bytes out."""
        self.take(size)

    def u16(self) -> int:
        """An unsigned number of two bytes."""
        return int(_U16.unpack(self.take(2))[0])

    def u32(self) -> int:
        """An unsigned number of four bytes."""
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        """An unsigned number of eight bytes."""
        return int(_U64.unpack(self.take(8))[0])

    def text(self) -> str:
        """A text with its length before it."""
        return bytes(self.take(self.u32())).decode()

    def entries(self, size: int) -> Iterator[memoryview]:
        """The entries of a list, each of so many bytes."""
        data = self.take(self.u32())
        for begin in range(0, len(data) - size + 1, size):
            yield data[begin : begin + size]

    def mapping(self) -> dict[str, str]:
        """A mapping of texts."""
        inner, out = Fields(self.take(self.u32())), {}
        while inner.rest:
            key = inner.text()
            out[key] = inner.text()
        return out


def records(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Op code, place and content of each record.

    Raises:
        ValueError: a record reaches beyond the data.
    """
    position, size = 0, len(data)
    while position < size:
        if position + HEAD.size > size:
            raise ValueError(f'a record begins {size - position} bytes before the end')
        op, length = HEAD.unpack_from(data, position)
        begin = position + HEAD.size
        if begin + length > size:
            raise ValueError(f'a record of {length} bytes where {size - begin} are left')
        yield op, position, data[begin : begin + length]
        position = begin + length


def read_schema(fields: Fields) -> Schema:
    """A SCHEMA record."""
    return Schema(fields.u16(), fields.text(), fields.text(), fields.text())


def read_channel(fields: Fields, schemas: dict[int, Schema]) -> Channel:
    """A CHANNEL record."""
    number, schema_id = fields.u16(), fields.u16()
    schema = schemas.get(schema_id, Schema(0, '', '', ''))
    topic, serialization = fields.text(), fields.text()
    qos = fields.mapping().get('offered_qos_profiles', '')
    return Channel(
        number,
        topic_name(topic),
        type_name(schema.name),
        schema.definition,
        schema.format,
        serialization,
        qos,
    )
