# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What the storage formats have in common: channels, and stretches of a file that hold messages."""

from array import array
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

SECOND_NS = 1_000_000_000

# log_ns, channel, payload
Row = tuple[int, int, 'bytes | memoryview']
Stamps = npt.NDArray[np.int64]


class Channel(NamedTuple):
    """One topic of one file: its type, with the definition that the file holds, empty if none."""

    id: int
    topic: str
    type: str
    definition: str
    definition_format: str
    serialization: str
    qos: str


def topic_name(name: str) -> str:
    """A topic as ROS resolves it: nodes that write bags themselves leave out the slash in front."""
    return name if name.startswith('/') else f'/{name}'


def type_name(name: str) -> str:
    """A message type as it is called today; the oldest bags, and tools, say ``sensor_msgs/Image``."""
    return name.replace('/', '/msg/') if name.count('/') == 1 else name


def by_channel(order: Iterable[tuple[int, int]]) -> dict[int, Stamps]:
    """Log times of each channel, from channel and log time of each message."""
    out: dict[int, array[int]] = {}
    for channel, log_ns in order:
        out.setdefault(channel, array('q')).append(log_ns)
    return {channel: np.frombuffer(stamps, np.int64) for channel, stamps in out.items()}


class Problems(list[str]):
    """What is wrong with a bag, each thing once however often the bag is read.

    Attributes:
        disordered: whether a stretch was found in which the clock was set back.
        unindexed: whether messages had to be read to learn their times.
    """

    disordered = False
    unindexed = False

    def add(self, problem: str) -> None:
        """Note a problem, unless it is known."""
        if problem not in self:
            self.append(problem)


class Stretch(Protocol):
    """A part of a file that can be read on its own.

    Attributes:
        start_ns, end_ns: log times of its first and its last message.
        carries: the channels of its messages; empty where that is not known.
    """

    start_ns: int
    end_ns: int
    carries: frozenset[int]

    def rows(self, channels: Collection[int], start_ns: int, stop_ns: int) -> Iterator[Row]:
        """Messages of these channels with start <= log time < stop, sorted by log time."""

    def order(self) -> Iterator[tuple[int, int]]:
        """Channel and log time of each message, in the order in which they were recorded."""

    def times(self) -> dict[int, Stamps]:
        """Log times by channel, in any order; without reading the messages where there is an index."""


@dataclass
class StorageFile:
    """What a storage file says about itself.

    Attributes:
        path: the file that is read; of a compressed file the decompressed copy.
        channels: by number.
        counts: messages of each channel.
        stretches: in the order of the file.
        start_ns, end_ns: log times of the first and the last message; 0 where there is none.
        metadata: text of the rosbag2 metadata that the file itself holds; empty if none.
        compression: of the file's own chunks.
        indexed: whether all that stood in an index; False: the file had to be read through.
    """

    path: Path
    channels: dict[int, Channel] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    stretches: list[Stretch] = field(default_factory=list)
    start_ns: int = 0
    end_ns: int = 0
    metadata: str = ''
    compression: str = ''
    indexed: bool = True


def at(log_ns: int) -> str:
    """A time of a message, for people: ``1700000000.250000000``."""
    return f'{log_ns // SECOND_NS}.{log_ns % SECOND_NS:09d}'
