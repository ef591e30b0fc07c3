# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a tick takes through the ROS graph, from the moments at which its messages were published. Knows no ROS.

'Added' is the way from the camera's stamp to the controllers' message less what the policy itself computed: all that
ROS, Python, the motion plan and the scheduling of the processes cost.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from dp_ros.errors import ConfigError
from dp_ros.evaluation.statistics import percentiles

TICK_STAGES = ('encode', 'network')
MS = 1e6


@dataclass(frozen=True)
class Tick:
    """One chunk on its way, wall clock in nanoseconds.

    Attributes:
        stamp_ns: when its pictures were taken.
        chunk_ns: when the chunk was published.
        window_ns: when the last arm's controller was sent the first window that follows it; None where none was.
        stage_ms: where the time inside policy_node went.
        sent_ns: when the cameras had sent all its pictures; None where they do not say.
    """

    stamp_ns: int
    chunk_ns: int
    window_ns: int | None
    stage_ms: Mapping[str, float]
    sent_ns: int | None = None

    @property
    def network_ms(self) -> float:
        """The tick itself: encoders and network."""
        return sum(self.stage_ms[stage] for stage in TICK_STAGES)


def ticks_of(record: Mapping[str, Any]) -> list[Tick]:
    """The ticks of a record of nodes/graph_probe.py, those without stages left out.

    Where the record has a /clock, stamps are simulated and turn into the wall clock of their /clock message.

    Raises:
        ConfigError: a stamp of no /clock message.
    """
    stages = sorted((int(at), values) for at, values in record['stages'])
    published = [at for at, _ in stages]
    clock = {int(stamp): int(at) for stamp, at in record['clock']}
    arms = record['windows'].values()
    sent = {int(stamp): int(at) for stamp, at in record.get('pictures', ())}
    chunks = sorted(record['chunks'], key=lambda chunk: int(chunk[1]))
    ends = [*(int(chunk[1]) for chunk in chunks), 2**63][1:] if chunks else []
    out = []
    for (stamp, at, name), end in zip(chunks, ends, strict=True):
        if clock and int(stamp) not in clock:
            # Heard before the record began: one tick, at its start.
            if int(stamp) < min(clock):
                continue
            raise ConfigError(f'a chunk is stamped {stamp} ns, which /clock never said')
        # The stages of a tick are published right after its chunk.
        i = bisect_right(published, int(at))
        if i == len(published) or published[i] >= end:
            continue
        first = [int(windows[name]) for windows in arms if name in windows]
        window = max(first) if len(first) == len(arms) else None
        out.append(
            Tick(clock.get(int(stamp), int(stamp)), int(at), window, stages[i][1], sent.get(int(stamp)))
        )
    return out


def graph_figures(ticks: Sequence[Tick], expected_ns: int) -> dict[str, Any]:
    """Percentiles in milliseconds, and how many ticks came late or not at all.

    Args:
        ticks: in order.
        expected_ns: between two ticks; a chunk that is published later after its stamp is late.

    Returns:
        'ticks', 'seconds', 'rate_hz', 'late', 'skipped' (observations that were due and got no chunk), 'unfollowed'
        (chunks without a window at every controller) and 'ms': name to percentiles.
    """
    followed = [(tick, tick.window_ns) for tick in ticks if tick.window_ns is not None]
    rows: dict[str, list[float]] = {
        'stamp to controller': [(window - tick.stamp_ns) / MS for tick, window in followed],
        'tick (encode, network)': [tick.network_ms for tick in ticks],
        'added': [(window - tick.stamp_ns) / MS - tick.network_ms for tick, window in followed],
        'stamp to pictures sent': [(t.sent_ns - t.stamp_ns) / MS for t in ticks if t.sent_ns is not None],
        'stamp to chunk': [(tick.chunk_ns - tick.stamp_ns) / MS for tick in ticks],
        'chunk to controller': [(window - tick.chunk_ns) / MS for tick, window in followed],
    }
    if not rows['stamp to pictures sent']:
        del rows['stamp to pictures sent']
    for stage in dict.fromkeys(stage for tick in ticks for stage in tick.stage_ms):
        rows[f'policy_node: {stage}'] = [tick.stage_ms[stage] for tick in ticks if stage in tick.stage_ms]
    gaps = [after.stamp_ns - before.stamp_ns for before, after in pairwise(ticks)]
    seconds = sum(gaps) * 1e-9
    return {
        'ticks': len(ticks),
        'seconds': seconds,
        'rate_hz': len(gaps) / seconds if seconds else 0.0,
        'expected_hz': 1e9 / expected_ns,
        'late': sum(tick.chunk_ns - tick.stamp_ns > expected_ns for tick in ticks),
        'skipped': sum(max(0, round(gap / expected_ns) - 1) for gap in gaps),
        'unfollowed': len(ticks) - len(followed),
        'ms': {name: asdict(percentiles(values)) for name, values in rows.items()},
    }
