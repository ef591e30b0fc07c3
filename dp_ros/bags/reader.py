# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Bags: rosbag2 recordings of MCAP and SQLite files, whole, compressed or cut off."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from rosbags.serde import SerdeError

from dp_ros.bags import zstandard
from dp_ros.bags.clock import BACK_NS, Clock
from dp_ros.bags.files import Files
from dp_ros.bags.merge import merged
from dp_ros.bags.message_types import MessageTypes
from dp_ros.bags.repeated_layout import deserializer
from dp_ros.bags.storage import Stamps, at
from dp_ros.errors import BagError

FOREVER_NS = 2**63 - 1
# Few and large: after each a thread waits for its turn with Python.
HASH_BLOCK = 8 << 20


@dataclass(frozen=True)
class TopicInfo:
    """One topic of a bag.

    Attributes:
        type: its message type.
        count: number of messages.
        qos: the offered QoS profiles, as YAML text, as they stand in the bag; empty where it does not say.
        problem: why its messages cannot be read; empty if they can.
    """

    type: str
    count: int
    qos: str
    problem: str = ''


class BagMessage(NamedTuple):
    """One message as it was recorded.

    Attributes:
        topic, type: its topic and type.
        log_ns: when it was recorded.
        raw: the serialized message. A view of a larger block, which lives as long as the view: copy what you keep.
        bag: the bag's name, for errors.
        deserialize: makes the object of ``raw``.
    """

    topic: str
    type: str
    log_ns: int
    raw: bytes | memoryview
    bag: str
    deserialize: Callable[[bytes | memoryview], Any]

    def decode(self) -> Any:
        """The message as an object with the fields of its type; number arrays are numpy views of ``raw``.

        What does not change from message to message, such as names, is shared among them: do not write to it.

        Raises:
            BagError: the bytes are no message of that type.
        """
        try:
            return self.deserialize(self.raw)
        except (SerdeError, ValueError, IndexError, OverflowError, MemoryError) as error:
            raise BagError(
                f'bag {self.bag!r}, topic {self.topic}, message at {at(self.log_ns)}: '
                f'damaged, {len(self.raw)} bytes are no {self.type}: {error}'
            ) from error


class Bag:
    """An open bag; a context manager.

    Attributes:
        path, name: where it is, and what it is called there.
        storage: 'mcap' or 'sqlite3'.
        compression: '' or what is compressed how: 'zstd file', 'zstd message', 'zstd chunk', 'lz4 chunk'.
        start_ns, end_ns: log times of the first and of the last message; both 0 in an empty bag.
        topics: what it carries, by name.
        custom_data: what its recorder wrote into the metadata.
        distribution: the ROS distribution that recorded it; empty if it does not say.
        problems: what is wrong with it. Damage inside is found when it is read, so that the list may grow. Topics that
            cannot be read are not among them.
        clock: where the recorder's clock was set back; complete once the messages concerned are read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = files = Files(path)
        self.name, self.problems = files.name, files.problems
        self.storage, self.custom_data = files.storage, files.custom_data
        self.distribution, self.compression = files.distribution, files.compression
        written = [file for file in files.opened if file.stretches]
        self.start_ns = min((file.start_ns for file in written), default=0)
        self.end_ns = max((file.end_ns for file in written), default=0)
        self._deserializers: dict[int, dict[int, Callable[[bytes | memoryview], Any]]] = {}
        self.topics: Mapping[str, TopicInfo] = self._read_topics()
        self.clock = Clock()
        self._clock_known = False
        if self.problems.disordered or self._chunks_overlap():
            self._examine_clock()

    def __enter__(self) -> 'Bag':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove what was decompressed into temporary files."""
        self._files.close()

    def messages(
        self, topics: Collection[str] | None = None, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[BagMessage]:
        """Messages in the order of their log times; equal times keep the order of the file.

        What was recorded twice, because the recorder's clock was set back, is left out: two times would be mixed.
        At most one chunk of each overlapping stretch of time is in memory, and 128 MiB of those.

        Args:
            topics: absolute names; None: all that can be read.
            start_ns: leave out what was recorded before.
            stop_ns: leave out what was recorded then or later.

        Raises:
            BagError: at once, for topics that the bag does not have or that cannot be read.
        """
        readable = [name for name, info in self.topics.items() if not info.problem]
        wanted = set(readable if topics is None else topics)
        missing = sorted(wanted - set(self.topics))
        if missing:
            raise BagError(f'bag {self.name!r} has no topics {missing}; it has {sorted(self.topics)}')
        for name in sorted(wanted - set(readable)):
            raise BagError(f'bag {self.name!r}, topic {name}: {self.topics[name].problem}')
        return self._messages(wanted, start_ns or 0, FOREVER_NS if stop_ns is None else stop_ns)

    def times(self) -> Iterator[tuple[str, Stamps]]:
        """Blocks of log times of each topic, of later and later stretches; without reading messages where it can.

        Memory holds the times of one stretch: a chunk, or the whole of an SQLite file.
        """
        stretches = [(s.start_ns, i, s) for i, file in enumerate(self._files.opened) for s in file.stretches]
        for _, number, stretch in sorted(stretches, key=itemgetter(0)):
            channels = self._files.opened[number].channels
            for channel, stamps in stretch.times().items():
                if channel in channels:
                    yield channels[channel].topic, stamps

    @property
    def indexed(self) -> bool:
        """Whether an index was enough so far; False: at least a part had to be read to learn what is in it."""
        return self._files.indexed and not self.problems.unindexed

    @property
    def disk_bytes(self) -> int:
        """Size of its storage files."""
        return sum(path.stat().st_size for path in self._files.sources)

    def sha256(self) -> str:
        """Hash (hex) of its storage files, one after the other, as they are on the disk; any thread may call it."""
        digest, block = hashlib.sha256(), memoryview(bytearray(HASH_BLOCK))
        for path in self._files.sources:
            with path.open('rb', buffering=0) as file:
                while size := file.readinto(block):
                    digest.update(block[:size])
        return digest.hexdigest()

    def _messages(self, wanted: set[str], start_ns: int, stop_ns: int) -> Iterator[BagMessage]:
        sources, channels = [], []
        for number, file in enumerate(self._files.opened):
            makers = self._deserializers[number]
            carried = {
                c.id: (c.topic, c.type, makers[c.id])
                for c in file.channels.values()
                if c.topic in wanted and c.id in makers
            }
            sources += [(stretch, carried) for stretch in file.stretches]
            channels.append(carried)
        name, unpack = self.name, self._files.messages_compressed
        problems, twice = self.problems, self.clock.twice
        for carried, (log_ns, channel, raw) in merged(sources, start_ns, stop_ns):
            # A stretch is opened, and found to be disordered, before any message of its time is given.
            if problems.disordered and not self._clock_known:
                self._examine_clock()
                twice = self.clock.twice
            if twice and self.clock.is_twice(log_ns):
                continue
            topic, kind, deserialize = carried[channel]
            if unpack:
                try:
                    raw = zstandard.decompress(raw)
                except zstandard.ZstdError as error:
                    problems.add(f'topic {topic}, message at {at(log_ns)} is damaged: skipped: {error}')
                    continue
            yield BagMessage(topic, kind, log_ns, memoryview(raw), name, deserialize)

    def _read_topics(self) -> dict[str, TopicInfo]:
        types = MessageTypes(self.distribution)
        found: dict[str, TopicInfo] = {}
        for number, file in enumerate(self._files.opened):
            makers = self._deserializers[number] = {}
            for channel in file.channels.values():
                count = file.counts.get(channel.id, 0)
                problem = ''
                try:
                    makers[channel.id] = deserializer(types.store(channel), channel.type)
                except BagError as error:
                    problem = str(error)
                known = found.get(channel.topic)
                if known and known.type != channel.type:
                    self.problems.add(
                        f'topic {channel.topic} has messages of {known.type} and of {channel.type}'
                    )
                found[channel.topic] = TopicInfo(
                    known.type if known else channel.type,
                    count + (known.count if known else 0),
                    (known.qos if known else '') or channel.qos,
                    known.problem and problem if known else problem,
                )
        return dict(sorted(found.items()))

    def _chunks_overlap(self) -> bool:
        """Whether a chunk begins long before an earlier one with a topic of it ends."""
        newest: dict[str, int] = {}
        for file in self._files.opened:
            names = {c.id: c.topic for c in file.channels.values() if file.counts.get(c.id)}
            for stretch in file.stretches:
                # Some tools write one topic after the other: then only chunks with common topics can be compared.
                topics = (
                    [names[c] for c in stretch.carries if c in names] if stretch.carries else names.values()
                )
                for topic in topics:
                    if stretch.start_ns < newest.get(topic, stretch.start_ns) - BACK_NS:
                        return True
                    newest[topic] = max(stretch.end_ns, newest.get(topic, stretch.end_ns))
        return False

    def _examine_clock(self) -> None:
        """Read all times in the order in which they were recorded; only where something is odd, it takes time."""
        self._clock_known = True
        self.clock = Clock(
            (file.channels[channel].topic, log_ns)
            for file in self._files.opened
            for stretch in file.stretches
            for channel, log_ns in stretch.order()
            if channel in file.channels
        )
        for told in self.clock.told:
            self.problems.add(told)


def open_bag(path: Path) -> Bag:
    """Open a bag: its directory, or one .mcap or .db3 file, also with .zstd behind it.

    Raises:
        BagError: nothing of it can be read; says why.
    """
    try:
        return Bag(Path(path))
    except OSError as error:
        raise BagError(f'{path}: cannot be read: {error.strerror or error}') from error
