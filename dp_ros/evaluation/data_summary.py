# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What many episodes have in common, and what is odd about them; few of them are kept."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dp_ros.bags.time_statistics import TimeStatistics
from dp_ros.contract import Contract
from dp_ros.observation.limits import ObservationLimits

# Episodes that get a row and pictures in the page; odd ones first.
MOST_ROWS, MOST_PICTURED = 200, 24
MOST_EXAMPLES = 6
# What is told: seconds, shares, milliseconds, levels of 255.
LONG_STILL_S, STILL_SHARE = 1.0, 0.5
EARLY_MS, LATE_MS = -20.0, 300.0
LEAST_CONTRAST = 3.0


@dataclass
class Moments:
    """Count, mean, variance, extremes and limits of a quantity, of all episodes together."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = float('inf')
    high: float = float('-inf')
    outside: float = 0.0
    at_limit: float = 0.0

    def add(self, figures: Mapping[str, Any]) -> None:
        """Count what :func:`dp_ros.data.episode_facts.statistics` says of an episode."""
        count = int(figures['count'])
        if not count:
            return
        total, step = self.count + count, figures['mean'] - self.mean
        self.squares += figures['std'] ** 2 * count + step**2 * self.count * count / total
        self.mean += step * count / total
        self.count = total
        self.low, self.high = min(self.low, figures['min']), max(self.high, figures['max'])
        self.outside += count * (figures.get('outside') or 0.0)
        self.at_limit += count * (figures.get('at_limit') or 0.0)

    def figures(self) -> dict[str, Any]:
        """As they came; the shares only where limits are known to whoever reads them."""
        if not self.count:
            return {'count': 0}
        return {
            'count': self.count,
            'mean': round(self.mean, 6),
            'std': round((self.squares / self.count) ** 0.5, 6),
            'min': self.low,
            'max': self.high,
            'outside': round(self.outside / self.count, 6),
            'at_limit': round(self.at_limit / self.count, 6),
        }


@dataclass
class JointSummary:
    """One joint; lags in ms and tracking errors are those of the episodes, for their medians."""

    name: str
    unit: str
    limits: list[float] | None = None
    measured: Moments = field(default_factory=Moments)
    commanded: Moments = field(default_factory=Moments)
    lags_ms: 'array[float]' = field(default_factory=lambda: array('f'))
    rms: 'array[float]' = field(default_factory=lambda: array('f'))
    rms_at_lag: 'array[float]' = field(default_factory=lambda: array('f'))

    def add(self, facts: Mapping[str, Any]) -> None:
        """Count an episode."""
        self.limits = self.limits or facts['limits']
        self.measured.add(facts['measured'])
        self.commanded.add(facts['commanded'])
        for kept, name in ((self.lags_ms, 'lag_ms'), (self.rms, 'rms'), (self.rms_at_lag, 'rms_at_lag')):
            if facts[name] is not None:
                kept.append(facts[name])

    def figures(self) -> dict[str, Any]:
        """For JSON and page."""
        return {
            'name': self.name,
            'unit': self.unit,
            'limits': self.limits,
            'measured': self.measured.figures(),
            'commanded': self.commanded.figures(),
            'median_lag_ms': _median(self.lags_ms, 1),
            'median_rms': _median(self.rms, 6),
            'median_rms_at_lag': _median(self.rms_at_lag, 6),
        }


@dataclass
class Finding:
    """Something odd, with how many episodes show it, a few of them, and the worst value."""

    what: str
    unit: str
    count: int = 0
    worst: float = 0.0
    examples: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """For JSON and page."""
        return {
            'what': self.what,
            'episodes': self.count,
            'worst': round(self.worst, 6),
            'unit': self.unit,
            'examples': self.examples,
        }


class DataSummary:
    """Takes the facts of episodes one after the other.

    Attributes:
        rows, pictured: facts of the episodes that a page shows: odd ones first, at most MOST_ROWS and MOST_PICTURED.
        lengths_s, still_shares, gaps_ms, errors: one figure an episode, for plots; errors are the RMS of the tracking
            error over the joints in rad.
    """

    def __init__(self, contract: Contract, limits: ObservationLimits | None = None) -> None:
        self._contract, self._limits = contract, limits or ObservationLimits()
        self.joints = [JointSummary(joint.name, joint.unit) for joint in contract.embodiment.joints]
        self.vectors = {v.name: [Moments() for _ in range(v.dim)] for v in contract.vectors}
        self.streams: dict[str, tuple[str, TimeStatistics]] = {}
        self.frames: Counter[str] = Counter()
        self.episodes = self.observations = self.odd = 0
        self.seconds = self.still_s = 0.0
        self.outcomes: Counter[str] = Counter()
        self.lengths_s, self.still_shares = array('f'), array('f')
        self.gaps_ms, self.errors = array('f'), array('f')
        self._findings: dict[tuple[str, ...], Finding] = {}
        self._kept: dict[bool, list[dict[str, Any]]] = {True: [], False: []}

    def add_streams(self, streams: Mapping[str, tuple[str, TimeStatistics]]) -> None:
        """Count field and times of each topic of a bag."""
        for topic, (name, times) in streams.items():
            self.streams.setdefault(topic, (name, TimeStatistics()))[1].merge(times)

    def add(self, label: str, facts: dict[str, Any]) -> None:
        """Count an episode.

        Args:
            label: what the page calls it.
            facts: summary and :func:`dp_ros.data.episode_facts.episode_facts`.
        """
        self.episodes += 1
        self.observations += facts['observations']
        self.seconds += facts['seconds']
        self.still_s += facts['still']['share'] * facts['seconds']
        self.outcomes[facts.get('outcome', '')] += 1
        for summary, joint in zip(self.joints, facts['joints'], strict=True):
            summary.add(joint)
        for name, columns in facts['vectors'].items():
            for moments, figures in zip(self.vectors[name], columns, strict=True):
                moments.add(figures)
        for name, camera in facts['cameras'].items():
            self.frames[name] += camera['frames']
        self.lengths_s.append(facts['seconds'])
        self.still_shares.append(facts['still']['share'])
        self.gaps_ms.append(facts['gaps']['largest_ms'])
        squares = [joint['rms'] ** 2 for joint in facts['joints'] if joint['unit'] == 'rad']
        if squares:
            self.errors.append((sum(squares) / len(squares)) ** 0.5)
        told = list(self._oddities(facts))
        for key, what, value, unit in told:
            finding = self._findings.setdefault(key, Finding(what, unit))
            finding.count += 1
            finding.worst = max(finding.worst, value, key=abs)
            if len(finding.examples) < MOST_EXAMPLES:
                finding.examples.append(label)
        self.odd += bool(told)
        self._keep(label, facts, [what for _, what, _, _ in told])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """See above."""
        return (self._kept[True] + self._kept[False])[:MOST_ROWS]

    @property
    def pictured(self) -> list[dict[str, Any]]:
        """See above."""
        return [row for row in self.rows if row['pictured']][:MOST_PICTURED]

    def findings(self) -> list[Finding]:
        """What is odd, the most frequent first; slow or broken streams before everything."""
        return [*self._slow_streams(), *sorted(self._findings.values(), key=lambda f: -f.count)]

    def totals(self) -> dict[str, Any]:
        """Everything but single episodes, for JSON."""
        return {
            'episodes': self.episodes,
            'outcomes': dict(self.outcomes),
            'observations': self.observations,
            'seconds': round(self.seconds, 3),
            'still_share': round(self.still_s / self.seconds, 4) if self.seconds else 0.0,
            'streams': stream_figures(self.streams),
            'joints': [joint.figures() for joint in self.joints],
            'vectors': {name: [m.figures() for m in columns] for name, columns in self.vectors.items()},
            'cameras': {name: {'frames': count} for name, count in self.frames.items()},
        }

    def _keep(self, label: str, facts: dict[str, Any], told: Sequence[str]) -> None:
        kept = self._kept[bool(told)]
        if len(kept) >= MOST_ROWS:
            return
        pictures = {name: camera.get('pictures', []) for name, camera in facts['cameras'].items()}
        show = len(kept) < MOST_PICTURED and any(pictures.values())
        lags = [j['lag_ms'] for j in facts['joints'] if j['lag_ms'] is not None]
        kept.append(
            {
                'label': label,
                'told': list(told),
                'pictured': show,
                'pictures': pictures if show else {},
                'lag_ms': float(np.median(lags)) if lags else None,
                'rms': self.errors[-1] if self.errors else None,
                **{
                    k: facts.get(k)
                    for k in ('outcome', 'observations', 'seconds', 'rate_hz', 'gaps', 'still')
                },
            }
        )

    def _oddities(self, facts: Mapping[str, Any]) -> Iterable[tuple[tuple[str, ...], str, float, str]]:
        """Key, text, value and its unit of everything odd about an episode."""
        for joint in facts['joints']:
            name, unit = joint['name'], joint['unit']
            for which in ('measured', 'commanded'):
                if joint['limits'] and joint[which].get('outside'):
                    low, high = joint['limits']
                    figures = joint[which]
                    far = figures['max'] if figures['max'] - high > low - figures['min'] else figures['min']
                    text = f'{name}, {which}: outside of its limits {low:g} to {high:g} {unit}'
                    yield (which, name), text, far, unit
            lag = joint['lag_ms']
            if lag is not None and lag < EARLY_MS:
                yield ('early', name), f'{name} moves before it is commanded', lag, 'ms'
            if lag is not None and lag > LATE_MS:
                yield ('late', name), f'{name} follows its command by more than {LATE_MS:g} ms', lag, 'ms'
        still, gap = facts['still'], facts['gaps']['largest_ms']
        for key, where in (('leading_s', 'at the beginning'), ('trailing_s', 'at the end')):
            if still[key] > LONG_STILL_S:
                yield (key,), f'nothing moves for more than {LONG_STILL_S:g} s {where}', still[key], 's'
        if still['share'] > STILL_SHARE:
            yield (
                ('still',),
                f'nothing moves for more than {100 * STILL_SHARE:g} % of the time',
                still['share'],
                '',
            )
        if gap > self._limits.max_image_age_ns / 1e6:
            most = self._limits.max_image_age_ns / 1e6
            yield ('gap',), f'no observation for more than {most:g} ms', gap, 'ms'
        timing = self._contract.timing
        chunk_s = timing.pred_horizon * timing.period_ns / 1e9
        if facts['seconds'] < chunk_s:
            yield ('short',), f'shorter than one chunk, {chunk_s:g} s', facts['seconds'], 's'
        for name, camera in facts['cameras'].items():
            if camera['contrast'] < LEAST_CONTRAST:
                text = f'camera {name}: three pictures without contrast; covered, or dark?'
                yield ('contrast', name), text, camera['contrast'], 'of 255'

    def _slow_streams(self) -> list[Finding]:
        """Sensors that come less often than the contract's period."""
        wanted = 1e9 / self._contract.timing.period_ns
        return [
            Finding(
                f'{topic} ({name}) comes less often than the period, {wanted:g} Hz', 'Hz', 0, times.rate_hz
            )
            for topic, (name, times) in self.streams.items()
            if name != 'command' and times.gaps and times.rate_hz < 0.95 * wanted
        ]


def stream_figures(streams: Mapping[str, tuple[str, TimeStatistics]]) -> dict[str, dict[str, Any]]:
    """Field and figures of each topic, for JSON."""
    return {topic: {'field': name, **times.figures()} for topic, (name, times) in sorted(streams.items())}


def _median(values: 'array[float]', digits: int) -> float | None:
    return round(float(np.median(values)), digits) if values else None
