# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A rosbag2 bag (MCAP, zstd chunks) that survives what ends a recording: a kill, a power cut, a full disk.

Chunks reach the file whole, and :meth:`BagWriter.flush` puts everything up to now on the disk and says so in
metadata.yaml. What comes later may be cut off at any byte: the bag still opens, without the unflushed part.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, WriterError
from rosbags.typesys import Stores, get_typestore

from dp_ros.bags.marks import MARK_TYPE, OUTCOMES_KEY, Mark
from dp_ros.bags.metadata import METADATA_FILE, VERSION, information, metadata, yaml_text
from dp_ros.bags.whole_chunks import WholeChunks, WholeChunksWriter
from dp_ros.errors import BagError
from dp_ros.whole_file import whole_file


def offered_qos(*, reliable: bool = True, latched: bool = False, depth: int = 10) -> Qos:
    """What the publishers of a topic offer, as far as a bag's readers care."""
    forever = QosTime(0, 0)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )


class BagWriter:
    """One new bag; not for more than one thread at a time.

    Args:
        path: the directory to make; refused where it exists.
        custom_data: text by name, for metadata.yaml.

    Raises:
        BagError: the bag cannot be made.
    """

    def __init__(self, path: Path, custom_data: Mapping[str, str]):
        self.path = path
        self._custom = dict(custom_data)
        self._outcomes: dict[str, str] = {}
        self._types = get_typestore(Stores.ROS2_JAZZY)
        self._connections: dict[str, Connection] = {}
        self._refusal = ''
        try:
            self._bag = WholeChunksWriter(path, version=VERSION, storage_plugin=StoragePlugin.MCAP)
            self._bag.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._bag.open()
        except (OSError, WriterError) as error:
            raise BagError(f'{path}: cannot make a bag: {getattr(error, "strerror", "") or error}') from error
        self._file = cast('WholeChunks', self._bag.storage)
        self._write_metadata()

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._file.whole.size

    @property
    def counts(self) -> dict[str, int]:
        """Messages by topic, those that are not flushed yet included; after a failure what was kept."""
        return {topic: self._file.channel_stats[c.id] for topic, c in self._connections.items()}

    def knows(self, kind: str) -> bool:
        """Whether the definition of this message type is at hand."""
        return kind in self._types.types

    def add_topic(self, topic: str, kind: str, qos: Qos | None = None) -> None:
        """Announce an absolute topic and its type, such as 'sensor_msgs/msg/Image'; a second time changes nothing.

        Raises:
            BagError: a type whose definition is not at hand.
        """
        if topic in self._connections:
            return
        if not self.knows(kind):
            raise BagError(f'{self.path}: topic {topic}: no definition of type {kind} is at hand')
        profiles = [offered_qos() if qos is None else qos]
        self._connections[topic] = self._bag.add_connection(
            topic, kind, typestore=self._types, offered_qos_profiles=profiles
        )

    def write(self, topic: str, raw: bytes | memoryview, log_ns: int) -> None:
        """Append one serialized (CDR) message of an announced topic.

        Raises:
            BagError: the file cannot grow; the bag has been closed with all that was whole.
        """
        self._refuse_if_closed()
        try:
            self._bag.write(self._connections[topic], log_ns, raw)
        except OSError as error:
            raise self._give_up(error) from error

    def write_mark(self, topic: str, mark: Mark) -> None:
        """Append a mark at its own stamp, on a topic that is announced where it is new.

        The newest outcome of each episode stands in custom_data as well, under 'outcomes'.

        Raises:
            BagError: see :meth:`write`.
        """
        self.add_topic(topic, MARK_TYPE, offered_qos(latched=True, depth=1))
        message = self._types.types[MARK_TYPE](data=mark.to_json())
        self.write(topic, self._types.serialize_cdr(message, MARK_TYPE), mark.stamp_ns)
        self._outcomes[str(mark.episode)] = mark.outcome
        self._custom[OUTCOMES_KEY] = json.dumps(self._outcomes)

    def flush(self) -> None:
        """Everything up to now onto the disk, and its counts into metadata.yaml.

        Raises:
            BagError: see :meth:`write`.
        """
        self._refuse_if_closed()
        try:
            self._file.flush()
            self._write_metadata()
        except (OSError, BagError) as error:
            raise self._give_up(error) from error

    def close(self) -> None:
        """Flush and write the index; nothing can be written afterwards, and closing again does nothing.

        Raises:
            BagError: see :meth:`write`.
        """
        if self._refusal:
            return
        self.flush()
        try:
            self._file.close(VERSION, information(self._metadata()))
        except OSError as error:
            raise self._give_up(error) from error
        self._refusal = f'{self.path}: the bag is closed'

    def __enter__(self) -> 'BagWriter':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _give_up(self, cause: Exception) -> BagError:
        """Cut off what is half written and close, with the index where there is room for it."""
        wanted = sum(self.counts.values())
        self._file.cut()
        kept = sum(self.counts.values())
        try:
            self._file.close(VERSION, information(self._metadata()))
        except OSError:
            # Readers find the messages without an index.
            self._file.cut()
            self._file.abort()
        with suppress(BagError):
            self._write_metadata()
        why = getattr(cause, 'strerror', None) or cause
        self._refusal = (
            f'{self.path}: {why}: the bag is closed with {kept} messages, the last {wanted - kept} are lost'
        )
        return BagError(self._refusal)

    def _refuse_if_closed(self) -> None:
        if self._refusal:
            raise BagError(self._refusal)

    def _metadata(self) -> dict[str, Any]:
        file = self._file
        topics = [(c, file.channel_stats[c.id]) for c in self._connections.values()]
        return metadata(file.path.name, topics, file.message_start_time, file.message_end_time, self._custom)

    def _write_metadata(self) -> None:
        with whole_file(self.path / METADATA_FILE, 'metadata', BagError) as part:
            part.write_text(yaml_text(self._metadata()), 'utf8')
