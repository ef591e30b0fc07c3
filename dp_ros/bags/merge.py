# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Many stretches of messages as one, in the order of time, each opened no earlier than its time comes."""

import heapq
from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

from dp_ros.bags.storage import Row, Stretch

Carried = TypeVar('Carried', bound=Collection[int])


def merged(
    sources: Sequence[tuple[Stretch, Carried]], start_ns: int, stop_ns: int
) -> Iterator[tuple[Carried, Row]]:
    """Messages with start <= log time < stop; equal times keep the order of ``sources``.

    Args:
        sources: stretches, each with the channels that are wanted of it.
        start_ns, stop_ns: the span of log times.
    """
    waiting = sorted(
        (stretch.start_ns, order)
        for order, (stretch, carried) in enumerate(sources)
        if carried and stretch.start_ns < stop_ns and stretch.end_ns >= start_ns
    )
    until = [begin for begin, _ in waiting[1:]] + [stop_ns] * bool(waiting)
    opened: list[tuple[int, int, Row, Iterator[Row]]] = []
    for (_, order), next_ns in zip(waiting, until, strict=True):
        stretch, carried = sources[order]
        rows = stretch.rows(carried, start_ns, stop_ns)
        row = next(rows, None)
        if row is not None:
            heapq.heappush(opened, (row[0], order, row, rows))
        while opened and opened[0][0] < next_ns:
            _, order, row, rows = opened[0]
            carried = sources[order][1]
            # Until another stretch has its turn there is nothing to compare.
            turn = min((entry[:2] for entry in opened[1:3]), default=(next_ns, -1))
            turn = min(turn, (next_ns, -1))
            key = (row[0], order)
            while key < turn:
                yield carried, row
                row = next(rows, None)
                if row is None:
                    heapq.heappop(opened)
                    break
                key = (row[0], order)
            else:
                heapq.heapreplace(opened, (row[0], order, row, rows))
