# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A run record as one self-contained HTML page: no script, no font, no file beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dp_ros.evaluation.pages import render_page
from dp_ros.evaluation.plots import Trace, panel
from dp_ros.evaluation.record import EpisodeRecord, RunRecord
from dp_ros.evaluation.statistics import percentiles, wilson_interval
from dp_ros.whole_file import whole_file

# A plot of every episode of a long run would make a page that no browser likes.
MAX_DETAILED = 12
MAX_CHUNKS = 40
# Smallest heights of a plot's axis, by unit: a still joint shows as a flat line.
LEAST_SPAN = {'rad': 0.1, 'm': 0.005, '1': 0.1}


def write_report(path: Path, record: RunRecord, video: Path | None = None) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the .html file.
        record: the run.
        video: a file that the page names; it is linked relative to the page, not embedded.

    Raises:
        StoreError: the page cannot be written.
    """
    path = Path(path)
    text = render_report(record, video.name if video is not None else None)
    with whole_file(path, 'the report') as beside:
        beside.write_text(text, encoding='utf-8')


def render_report(record: RunRecord, video_name: str | None = None) -> str:
    """The page as text."""
    shown = detailed_episodes(record.episodes)
    return render_page(
        'report.html.jinja',
        record=record,
        video_name=video_name,
        rates=[
            _rate('success', record.successes, len(record.episodes)),
            _rate('strict success', record.strict_successes, len(record.episodes)),
        ],
        target=_target(record),
        rows=[_row(record, episode) for episode in record.episodes],
        latency=_latency(record),
        details=[_detail(record, record.episodes[i], opened=i == shown[0]) for i in sorted(shown)],
        counter_names=sorted({name for e in record.episodes for name in e.counters}),
    )


def detailed_episodes(episodes: list[EpisodeRecord]) -> list[int]:
    """Indices of the episodes that get plots: failures first, then successes, in the order of the run."""
    order = sorted(range(len(episodes)), key=lambda i: (episodes[i].success, i))
    return order[:MAX_DETAILED]


@dataclass(frozen=True)
class _Rate:
    name: str
    count: int
    trials: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.count / self.trials if self.trials else 0.0


def _rate(name: str, count: int, trials: int) -> _Rate:
    return _Rate(name, count, trials, *wilson_interval(count, trials))


def _target(record: RunRecord) -> dict[str, Any] | None:
    if record.success_target is None or not record.episodes:
        return None
    met = record.successes / len(record.episodes) >= record.success_target
    return {'share': record.success_target, 'met': met}


def _row(record: RunRecord, episode: EpisodeRecord) -> dict[str, Any]:
    """Figures of one episode; the tracking error is the arms' (rad), grippers in metres aside."""
    arms = [i for i, unit in enumerate(record.joint_units) if unit == 'rad']
    error = (episode.commanded - episode.measured)[:, arms]
    seconds = float(episode.times_ns[-1] - episode.times_ns[0]) / 1e9 if len(episode.times_ns) else 0.0
    return {
        'episode': episode,
        'seconds': seconds,
        'rms': float(np.sqrt(np.mean(error**2))) if error.size else None,
        'largest': float(np.abs(error).max()) if error.size else None,
    }


def _latency(record: RunRecord) -> list[dict[str, Any]]:
    stages = {stage: percentiles(values) for stage, values in record.latency_ms().items() if values}
    longest = max((figures.p99 for figures in stages.values()), default=0.0) or 1.0
    return [
        {
            'stage': stage,
            'figures': figures,
            'bars': {p: 100.0 * getattr(figures, p) / longest for p in ('p50', 'p95', 'p99')},
        }
        for stage, figures in stages.items()
    ]


def _detail(record: RunRecord, episode: EpisodeRecord, opened: bool) -> dict[str, Any]:
    if len(episode.times_ns) == 0:
        return {
            'episode': episode,
            'opened': opened,
            'tracking': [],
            'chunks': [],
            'thinned': '',
            'states': [],
        }
    start = int(episode.times_ns[0])
    seconds = (episode.times_ns - start) / 1e9
    every = -(-len(episode.chunks) // MAX_CHUNKS) or 1
    chunks = episode.chunks[::every]
    tracking, fans = [], []
    for j, (name, unit) in enumerate(zip(record.joint_names, record.joint_units, strict=True)):
        commanded = Trace(seconds, episode.commanded[:, j], 'commanded')
        measured = Trace(seconds, episode.measured[:, j], 'measured')
        tracking.append(panel(name, unit, [commanded, measured], LEAST_SPAN[unit]))
        if chunks:
            fan = [
                Trace(
                    (chunk.stamp_ns - start + record.period_ns * np.arange(len(chunk.positions))) / 1e9,
                    chunk.positions[:, j],
                    'chunk',
                )
                for chunk in chunks
            ]
            fans.append(panel(name, unit, [*fan, commanded], LEAST_SPAN[unit]))
    return {
        'episode': episode,
        'opened': opened,
        'tracking': tracking,
        'chunks': fans,
        'thinned': f'one in {every} of {len(episode.chunks)}' if every > 1 else f'all {len(episode.chunks)}',
        'states': [(f'{(stamp - start) / 1e9:.2f}', text) for stamp, text in episode.states],
    }
