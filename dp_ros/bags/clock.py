# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A recorder's clock that was set back: the same log times twice, which by their order alone would be mixed."""

from collections.abc import Iterable

from dp_ros.bags.storage import at

# Messages of one topic, and chunks of one topic, overtake each other by less.
BACK_NS = 100_000_000
MOST_TOLD = 5


def goes_back(times: Iterable[tuple[int | str, int]]) -> bool:
    """Whether the clock was set back between two messages of a topic.

    Args:
        times: topic, or channel, and log time of each message, in the order in which they were recorded.
    """
    newest: dict[int | str, int] = {}
    for topic, log_ns in times:
        if log_ns < newest.get(topic, log_ns) - BACK_NS:
            return True
        newest[topic] = max(log_ns, newest.get(topic, log_ns))
    return False


class Clock:
    """The eras of a recording: each ends where the clock is set back.

    Args:
        times: see :func:`goes_back`.

    Attributes:
        starts: the first log time of each era, sorted: what comes before and what comes after do not hang together.
        twice: spans of log time, both ends included, that lie in more than one era; sorted, apart.
        told: what happened, for people; empty if the clock was never set back.
    """

    def __init__(self, times: Iterable[tuple[str, int]] = ()) -> None:
        eras: list[tuple[int, int]] = []
        steps: list[tuple[int, int]] = []
        newest: dict[str, int] = {}
        first = last = None
        for topic, log_ns in times:
            if first is None or last is None:
                first = last = log_ns
            elif log_ns < newest.get(topic, log_ns) - BACK_NS:
                eras.append((first, last))
                steps.append((newest[topic], log_ns))
                newest, first, last = {}, log_ns, log_ns
            newest[topic] = max(log_ns, newest.get(topic, log_ns))
            first, last = min(first, log_ns), max(last, log_ns)
        if steps and first is not None and last is not None:
            eras.append((first, last))
        eras.sort()
        self.starts = [begin for begin, _ in eras]
        self.twice = _shared(eras)
        self.told = [
            f'the clock was set back by {(before - after) / 1e9:.3f} s, from {at(before)} to {at(after)}'
            for before, after in steps[:MOST_TOLD]
        ]
        if len(steps) > MOST_TOLD:
            self.told.append(f'the clock was set back {len(steps) - MOST_TOLD} times more')
        self.told += [
            f'recorded twice, and left out: {at(begin)} to {at(end)}' for begin, end in self.twice[:MOST_TOLD]
        ]

    def is_twice(self, log_ns: int) -> bool:
        """Whether this time was recorded more than once."""
        return any(begin <= log_ns <= end for begin, end in self.twice)

    def breaks(self, before_ns: int, after_ns: int) -> bool:
        """Whether an era begins between two messages, or with the second of them."""
        return any(before_ns < start <= after_ns for start in self.starts)


def _shared(eras: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where sorted spans overlap, and a little longer."""
    out: list[tuple[int, int]] = []
    reach: int | None = None
    for begin, end in eras:
        if reach is not None and begin <= reach:
            # A last message of the old clock may come behind the first of the new one.
            shared = (begin, min(end, reach) + BACK_NS)
            if out and shared[0] <= out[-1][1]:
                out[-1] = (out[-1][0], max(out[-1][1], shared[1]))
            else:
                out.append(shared)
        reach = end if reach is None else max(reach, end)
    return out
