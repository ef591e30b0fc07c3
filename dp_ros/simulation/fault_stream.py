# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What can go wrong between a sender and a receiver, as pure functions of seeded randomness.

A stream is a sequence of samples. A :class:`FaultLayer` stands between its two ends: samples go in with
:meth:`FaultLayer.push`, whatever the receiver gets comes out of :meth:`FaultLayer.due`. Faults of transport say when
and how often a sample arrives; faults of content say what it then holds (see fault_content.py).
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dp_ros.errors import ConfigError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sample:
    """One message of any stream, as far as faults touch it.

    Attributes:
        stamp_ns: its stamp; all that a clock's sample holds.
        names: names of the columns; empty for clocks and pictures.
        rows: joint states one row, chunks one per point, pictures one flat row; a row may have any length.
        times_ns: time from start of each row of a chunk; empty for others.
        frame_id: id of a chunk, name of a camera.
    """

    stamp_ns: int
    names: tuple[str, ...] = ()
    rows: tuple[Array, ...] = ()
    times_ns: tuple[int, ...] = ()
    frame_id: str = ''


Arrival = tuple[int, Sample]


class StreamFault(Protocol):
    """Turns one sent sample into arrivals; made anew for every use, so it may remember what passed."""

    def __call__(self, now_ns: int, sample: Sample, rng: np.random.Generator) -> list[Arrival]:
        """Arrivals (time, sample), not before ``now_ns``."""
        ...

    def seen(self, sample: Sample) -> None:
        """A sample passed while the fault was not active."""
        ...


class Transport:
    """Base of the faults of transport, which remember nothing unless they say so."""

    def seen(self, sample: Sample) -> None:
        """Nothing to remember."""


class Drop(Transport):
    """Lose samples: each with ``probability``, by a seeded draw, or exactly every n-th where ``every`` is n > 1."""

    def __init__(self, probability: float = 1.0, every: int = 0):
        _require(0.0 < probability <= 1.0, f'probability must lie in (0, 1], got {probability}')
        _require(every == 0 or every > 1, f'every must be 0 or more than 1, got {every}')
        self._probability, self._every, self._count = probability, every, 0

    def __call__(self, now_ns: int, sample: Sample, rng: np.random.Generator) -> list[Arrival]:
        """The sample, or nothing."""
        self._count += 1
        if self._every:
            return [] if self._count % self._every == 0 else [(now_ns, sample)]
        return [] if rng.random() < self._probability else [(now_ns, sample)]


class Delay(Transport):
    """Deliver each sample later by ``by_s`` plus a uniform share of ``jitter_s``; jitter may change the order."""

    def __init__(self, by_s: float = 0.0, jitter_s: float = 0.0):
        _require(
            by_s >= 0 and jitter_s >= 0 and by_s + jitter_s > 0,
            f'delays must be positive, got {by_s}, {jitter_s}',
        )
        self._by_s, self._jitter_s = by_s, jitter_s

    def __call__(self, now_ns: int, sample: Sample, rng: np.random.Generator) -> list[Arrival]:
        """The sample, later."""
        return [(now_ns + round((self._by_s + self._jitter_s * rng.random()) * 1e9), sample)]


class Freeze:
    """Repeat the last sample from before the fault; with ``restamp`` its stamp goes on, as of a live header."""

    def __init__(self, restamp: bool = False):
        self._restamp = restamp
        self._kept: Sample | None = None

    def seen(self, sample: Sample) -> None:
        """The newest healthy sample is the one to repeat."""
        self._kept = sample

    def __call__(self, now_ns: int, sample: Sample, rng: np.random.Generator) -> list[Arrival]:
        """The old sample in place of the new one."""
        if self._kept is None:
            self._kept = sample
        kept = self._kept
        if self._restamp:
            kept = Sample(sample.stamp_ns, kept.names, kept.rows, kept.times_ns, kept.frame_id)
        return [(now_ns, kept)]


class Duplicate(Transport):
    """Deliver each sample ``copies`` times, ``spacing_s`` apart."""

    def __init__(self, copies: int = 2, spacing_s: float = 0.0):
        _require(copies >= 2, f'copies must be at least 2, got {copies}')
        _require(spacing_s >= 0, f'spacing_s must not be negative, got {spacing_s}')
        self._copies, self._spacing_ns = copies, round(spacing_s * 1e9)

    def __call__(self, now_ns: int, sample: Sample, rng: np.random.Generator) -> list[Arrival]:
        """The sample, several times."""
        return [(now_ns + i * self._spacing_ns, sample) for i in range(self._copies)]


class Reorder(Transport):
    """Keep ``depth`` samples back, then deliver them newest first, ``spacing_s`` apart."""

    def __init__(self, depth: int = 2, spacing_s: float = 0.0):
        _require(depth >= 2, f'depth must be at least 2, got {depth}')
        _require(spacing_s >= 0, f'spacing_s must not be negative, got {spacing_s}')
        self._depth, self._spacing_ns = depth, round(spacing_s * 1e9)
        self._kept: list[Sample] = []

    def __call__(self, now_ns: int, sample: Sample, rng: np.random.Generator) -> list[Arrival]:
        """Nothing, or all that was kept, backwards."""
        self._kept.append(sample)
        if len(self._kept) < self._depth:
            return []
        out = [(now_ns + i * self._spacing_ns, kept) for i, kept in enumerate(reversed(self._kept))]
        self._kept.clear()
        return out


class Changed(Transport):
    """A fault of content: every sample arrives at once, as ``change`` makes it; ``first`` limits how many."""

    def __init__(self, change: Callable[[Sample, np.random.Generator], Sample], first: int = 0):
        self._change, self._left = change, first or 2**62

    def __call__(self, now_ns: int, sample: Sample, rng: np.random.Generator) -> list[Arrival]:
        """The sample, changed."""
        self._left -= 1
        return [(now_ns, self._change(sample, rng) if self._left >= 0 else sample)]


TRANSPORT: dict[str, type] = {
    'drop': Drop, 'delay': Delay, 'freeze': Freeze, 'duplicate': Duplicate, 'reorder': Reorder,
}  # fmt: skip


class FaultLayer:
    """Between the two ends of a stream: nothing happens unless a fault is on.

    Equal seeds and equal input give equal output. What is under way when a fault ends still arrives.
    """

    def __init__(self, seed: int = 0):
        self._rng = np.random.default_rng(seed)
        self._faults: Sequence[StreamFault] = ()
        self._waiting: list[tuple[int, int, Sample]] = []
        self._count = 0
        self._newest: Sample | None = None

    @property
    def faulty(self) -> bool:
        """A fault is on."""
        return bool(self._faults)

    def seed(self, seed: int) -> None:
        """Begin a new sequence of random draws, and forget what is under way."""
        self._rng = np.random.default_rng(seed)
        self._waiting.clear()

    def begin(self, *faults: StreamFault) -> None:
        """From the next sample on these faults act, one after the other."""
        self._faults = faults
        if self._newest is not None:
            for fault in faults:
                fault.seen(self._newest)

    def end(self) -> None:
        """The stream is healthy again."""
        self._faults = ()

    def push(self, now_ns: int, sample: Sample) -> None:
        """The sender sends a sample."""
        arrivals: list[Arrival] = [(now_ns, sample)]
        for fault in self._faults:
            arrivals = [later for at_ns, each in arrivals for later in fault(at_ns, each, self._rng)]
        if not self._faults:
            self._newest = sample
        for at_ns, each in arrivals:
            # The count keeps the order of what arrives at one moment.
            heapq.heappush(self._waiting, (at_ns, self._count, each))
            self._count += 1

    def due(self, now_ns: int) -> list[Sample]:
        """What has arrived by ``now_ns``, in the order of arrival; each sample once."""
        out = []
        while self._waiting and self._waiting[0][0] <= now_ns:
            out.append(heapq.heappop(self._waiting)[2])
        return out


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)
