# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Rate and gaps of one stream of messages, in memory that does not grow with their number."""

from array import array
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Stamps = npt.NDArray[np.int64]

# Gaps are counted in bins that are this much wider than the one before, from a microsecond to a day.
BIN_RATIO = 1.02
# Times that are kept before they are counted.
BLOCK = 4096
_EDGES_NS = 1_000.0 * BIN_RATIO ** np.arange(1 + np.ceil(np.log(86_400e6) / np.log(BIN_RATIO)))


@dataclass
class TimeStatistics:
    """Times of messages, added block by block.

    Attributes:
        count: messages.
        first_ns, last_ns: the earliest and the latest time; None before the first message.
        largest_ns: longest time between two that follow each other; 0 while there are no two.
        largest_at_ns: when it began.
        gaps, span_ns: number and sum of the times between two.
    """

    count: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    largest_ns: int = 0
    largest_at_ns: int = 0
    gaps: int = 0
    span_ns: int = 0
    _bins: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_EDGES_NS) + 1, np.int64))
    _before: int | None = None

    def add(self, times_ns: Stamps) -> None:
        """Take the next block, in any order within itself; one that begins before the last one ended overlaps it."""
        if not len(times_ns):
            return
        times = np.sort(times_ns)
        self.count += len(times)
        first, last = int(times[0]), int(times[-1])
        self.first_ns = first if self.first_ns is None else min(first, self.first_ns)
        self.last_ns = last if self.last_ns is None else max(last, self.last_ns)
        if self._before is not None:
            # What overtook the end of the block before left no gap.
            times = np.concatenate([[self._before], np.maximum(times, self._before)])
        self._before = int(times[-1])
        steps = np.diff(times)
        if not len(steps):
            return
        self.gaps += len(steps)
        self.span_ns += int(steps.sum())
        self._bins += np.bincount(np.searchsorted(_EDGES_NS, steps), minlength=len(self._bins))
        longest = int(steps.argmax())
        if steps[longest] > self.largest_ns:
            self.largest_ns, self.largest_at_ns = int(steps[longest]), int(times[longest])

    def pause(self) -> None:
        """What comes next does not follow what came: no gap lies between, as between two episodes."""
        self._before = None

    def merge(self, other: 'TimeStatistics') -> None:
        """Count another stretch of the same stream."""
        self.count, self.gaps = self.count + other.count, self.gaps + other.gaps
        self.span_ns += other.span_ns
        known = [t for t in (self.first_ns, other.first_ns) if t is not None]
        self.first_ns = min(known, default=None)
        known = [t for t in (self.last_ns, other.last_ns) if t is not None]
        self.last_ns = max(known, default=None)
        if other.largest_ns > self.largest_ns:
            self.largest_ns, self.largest_at_ns = other.largest_ns, other.largest_at_ns
        self._bins += other._bins

    @property
    def rate_hz(self) -> float:
        """Messages a second where there are any; 0 while there are no two."""
        return self.gaps / self.span_ns * 1e9 if self.span_ns else 0.0

    def gap_ns(self, share: float) -> float:
        """The gap that this share of gaps does not exceed, 2 % at most too long; 0 while there are no two."""
        if not self.gaps:
            return 0.0
        place = int(np.searchsorted(np.cumsum(self._bins), share * self.gaps))
        return min(float(_EDGES_NS[min(place, len(_EDGES_NS) - 1)]), float(self.largest_ns))

    def figures(self) -> dict[str, float | int]:
        """For reports: messages, mean rate, gaps in milliseconds."""
        return {
            'messages': self.count,
            'rate_hz': round(self.rate_hz, 3),
            'p99_gap_ms': round(self.gap_ns(0.99) / 1e6, 3),
            'largest_gap_ms': round(self.largest_ns / 1e6, 3),
            'largest_gap_at_ns': self.largest_at_ns,
        }


class TopicRates:
    """Statistics of all topics of a stretch of messages, such as an episode, that are given in small pieces."""

    def __init__(self) -> None:
        self._waiting: dict[str, array[int]] = {}
        self._statistics: dict[str, TimeStatistics] = {}

    def add(self, topic: str, log_ns: int) -> None:
        """Take a message."""
        waiting = self._waiting.get(topic)
        if waiting is None:
            waiting = self._waiting[topic] = array('q')
        waiting.append(log_ns)
        if len(waiting) >= BLOCK:
            self._count(topic)

    def add_block(self, topic: str, times_ns: Stamps) -> None:
        """Take many messages of a topic at once."""
        waiting = self._waiting.setdefault(topic, array('q'))
        waiting.frombytes(np.ascontiguousarray(times_ns, np.int64).tobytes())
        if len(waiting) >= BLOCK:
            self._count(topic)

    def finish(self) -> dict[str, TimeStatistics]:
        """Statistics by topic; what comes then begins anew."""
        for topic in self._waiting:
            self._count(topic)
        done, self._waiting, self._statistics = self._statistics, {}, {}
        return done

    def _count(self, topic: str) -> None:
        statistics = self._statistics.setdefault(topic, TimeStatistics())
        statistics.add(np.array(self._waiting[topic], np.int64))
        self._waiting[topic] = array('q')
