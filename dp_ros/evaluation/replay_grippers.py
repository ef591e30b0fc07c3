# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""When a gripper opens and closes: predicted against recorded. The moments decide about a grasp, not the metres."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dp_ros.evaluation.replay_metrics import Ticks, executed
from dp_ros.evaluation.replay_record import Floats, ReplayRecord, Stamps

# A gripper that moves less than this, by unit, has no events.
LEAST_TRAVEL = {'rad': 0.1, 'm': 0.005, '1': 0.1}
# Hysteresis: it counts as open above the upper share of its travel, as closed below the lower one.
LOWER, UPPER = 0.35, 0.65
WINDOW_NS = 500_000_000


@dataclass(frozen=True)
class Event:
    """The moment at which a gripper passes the middle of its travel."""

    stamp_ns: int
    opens: bool


@dataclass(frozen=True)
class GripperFigures:
    """Events of one gripper.

    Attributes:
        name: of the joint.
        recorded: events in what was commanded.
        hits: (recorded event, predicted minus recorded time in seconds) of those that were predicted as well.
        extra: predicted events that were not recorded.
    """

    name: str
    recorded: int
    hits: list[tuple[Event, float]] = field(default_factory=list)
    extra: int = 0

    @property
    def median_s(self) -> float:
        """Median of |predicted - recorded| in seconds; NaN without a hit."""
        return float(np.median([abs(dt) for _, dt in self.hits])) if self.hits else float('nan')

    @property
    def bias_s(self) -> float:
        """Median of predicted - recorded: positive is late."""
        return float(np.median([dt for _, dt in self.hits])) if self.hits else float('nan')


def grippers(record: ReplayRecord) -> list[GripperFigures]:
    """One entry a gripper, by what would be executed if every chunk were followed until the next one.

    Only events within the time of such runs count, in the prediction and in the recording alike.
    """
    runs = executed(Ticks.of(record))
    out = []
    for name in record.grippers:
        j = record.joint_names.index(name)
        commanded = record.curves.commanded[:, j]
        known = commanded[np.isfinite(commanded)]
        least = LEAST_TRAVEL[record.joint_units[j]]
        if not len(known) or float(np.ptp(known)) < least:
            out.append(GripperFigures(name, 0))
            continue
        low, high = float(known.min()), float(known.max())
        hits: list[tuple[Event, float]] = []
        count = extra = 0
        for _, stamps, rows in runs:
            inside = (record.curves.stamps_ns >= stamps[0]) & (record.curves.stamps_ns <= stamps[-1])
            was = events(record.curves.stamps_ns[inside], commanded[inside], low, high)
            found = events(stamps, rows[:, j], low, high)
            pairs = matched(was, found)
            hits += [(was[a], (found[b].stamp_ns - was[a].stamp_ns) / 1e9) for a, b in pairs]
            count += len(was)
            extra += len(found) - len(pairs)
        out.append(GripperFigures(name, count, hits, extra))
    return out


def events(stamps_ns: Stamps, values: Floats, low: float, high: float) -> list[Event]:
    """Passages through the middle of [low, high] that go on until the other side is reached."""
    good = np.isfinite(values)
    stamps_ns, values = stamps_ns[good], values[good]
    middle, lower, upper = (low + share * (high - low) for share in (0.5, LOWER, UPPER))
    out: list[Event] = []
    opened: bool | None = None
    for i, value in enumerate(values):
        side = True if value > upper else False if value < lower else opened
        if opened is not None and side != opened:
            out.append(Event(_passage(stamps_ns, values, i, middle), bool(side)))
        opened = side
    return out


def matched(recorded: Sequence[Event], predicted: Sequence[Event]) -> list[tuple[int, int]]:
    """Pairs of indices of events in one direction within half a second, the closest pairs first, each used once."""
    pairs = sorted(
        (abs(p.stamp_ns - r.stamp_ns), a, b)
        for a, r in enumerate(recorded)
        for b, p in enumerate(predicted)
        if p.opens == r.opens and abs(p.stamp_ns - r.stamp_ns) <= WINDOW_NS
    )
    out: list[tuple[int, int]] = []
    for _, a, b in pairs:
        if all(a != x and b != y for x, y in out):
            out.append((a, b))
    return sorted(out)


def _passage(stamps_ns: Stamps, values: Floats, i: int, middle: float) -> int:
    """When the values last passed the middle, at or before index i."""
    above = values[i] > middle
    k = i
    while k > 0 and (values[k - 1] > middle) == above:
        k -= 1
    if k == 0:
        return int(stamps_ns[0])
    share = (middle - values[k - 1]) / (values[k] - values[k - 1])
    return int(stamps_ns[k - 1] + round(float(share) * float(stamps_ns[k] - stamps_ns[k - 1])))
