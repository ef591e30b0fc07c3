# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A short memory of one stream, keyed by stamp."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Generic, TypeVar

T = TypeVar('T')


class Pushed(IntEnum):
    """What became of a sample; ordered by how unusual it is."""

    NEWEST = 0
    DUPLICATE = 1
    OUT_OF_ORDER = 2
    BACKWARD_JUMP = 3


class StreamBuffer(Generic[T]):
    """Samples of the last ``horizon_ns``, sorted by stamp.

    Args:
        horizon_ns: samples older than the newest one by more than this are forgotten.
        backward_jump_ns: a sample older than the newest one by more than this means that the clock was set
            back.

    Attributes:
        repeats: how many messages repeated the newest stamp; a driver that hangs does that.
    """

    def __init__(self, horizon_ns: int, backward_jump_ns: int) -> None:
        self._horizon_ns = horizon_ns
        self._backward_jump_ns = backward_jump_ns
        self._stamps: list[int] = []
        self._values: dict[int, T] = {}
        self.repeats = 0

    def __len__(self) -> int:
        return len(self._stamps)

    def __iter__(self) -> Iterator[tuple[int, T]]:
        return ((stamp, self._values[stamp]) for stamp in self._stamps)

    def push(self, stamp_ns: int, value: T) -> Pushed:
        """Store a sample and say how it came.

        A duplicate (same stamp) and a backward jump are not stored; after a jump it is the caller's turn to
        clear this and all other streams, because stamps from before and after the jump cannot be compared.
        """
        if not self._stamps or stamp_ns > self._stamps[-1]:
            outcome, self.repeats = Pushed.NEWEST, 0
            self._stamps.append(stamp_ns)
        elif stamp_ns in self._values:
            self.repeats += stamp_ns == self._stamps[-1]
            return Pushed.DUPLICATE
        elif stamp_ns < self._stamps[-1] - self._backward_jump_ns:
            return Pushed.BACKWARD_JUMP
        else:
            outcome = Pushed.OUT_OF_ORDER
            insort(self._stamps, stamp_ns)
        self._values[stamp_ns] = value
        if self._stamps[0] < self._stamps[-1] - self._horizon_ns:
            old = bisect_left(self._stamps, self._stamps[-1] - self._horizon_ns)
            for stamp in self._stamps[:old]:
                del self._values[stamp]
            del self._stamps[:old]
        return outcome

    def map(self, change: Callable[[T], T]) -> 'StreamBuffer[T]':
        """Another stream that is as this one, with its values changed."""
        other = StreamBuffer[T](self._horizon_ns, self._backward_jump_ns)
        other._stamps, other.repeats = list(self._stamps), self.repeats
        other._values = {stamp: change(value) for stamp, value in self._values.items()}
        return other

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the newest sample, or None."""
        return self._stamps[-1] if self._stamps else None

    @property
    def oldest_ns(self) -> int | None:
        """Stamp of the oldest sample that is still remembered, or None."""
        return self._stamps[0] if self._stamps else None

    def nearest(self, stamp_ns: int, tolerance_ns: int) -> tuple[int, T] | None:
        """The sample nearest to a time, the older one of two equally near; None if none is within
        tolerance."""
        i = bisect_left(self._stamps, stamp_ns)
        near = self._stamps[max(i - 1, 0) : i + 1]
        if not near:
            return None
        best = min(near, key=lambda stamp: (abs(stamp - stamp_ns), stamp))
        return (best, self._values[best]) if abs(best - stamp_ns) <= tolerance_ns else None

    def bracket(self, stamp_ns: int) -> tuple[tuple[int, T], tuple[int, T]] | None:
        """The samples at or before and at or after a time (the same one twice if it stands there), or
        None."""
        i = bisect_right(self._stamps, stamp_ns) - 1
        if i < 0 or (i == len(self._stamps) - 1 and self._stamps[i] < stamp_ns):
            return None
        before = self._stamps[i]
        after = before if before == stamp_ns else self._stamps[i + 1]
        return (before, self._values[before]), (after, self._values[after])

    def held(self, stamp_ns: int) -> tuple[int, T] | None:
        """The newest sample at or before a time; None if all are younger."""
        i = bisect_right(self._stamps, stamp_ns) - 1
        return None if i < 0 else (self._stamps[i], self._values[self._stamps[i]])

    def discard(self, stamp_ns: int) -> None:
        """Forget one sample, if it is there."""
        if self._values.pop(stamp_ns, None) is not None:
            self._stamps.remove(stamp_ns)

    def clear(self) -> None:
        """Forget everything."""
        self._stamps.clear()
        self._values.clear()
        self.repeats = 0
