# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""How a recording stands: for /diagnostics, and on one line for the terminal."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dp_ros.nodes.diagnostics import ERROR, OK, WARN, Status
from dp_ros.nodes.record_episodes import EpisodeLog
from dp_ros.nodes.record_queue import RecordQueue
from dp_ros.nodes.record_streams import Stream, silent

_MB = 1e6


class RecordStatus:
    """Looks at the parts of a recording.

    Args:
        path: the bag.
        log, queue, streams: what it looks at; streams may grow.
    """

    def __init__(self, path: Path, log: EpisodeLog, queue: RecordQueue, streams: Sequence[Stream]):
        self._path, self._log, self._queue, self._streams = path, log, queue, streams
        self._seen = 0

    def lines(self) -> list[Status]:
        """For /diagnostics: a warning where something was dropped or lost since the last call, or is silent."""
        queue, missing = self._queue, silent(self._streams)
        gone = self._dropped + self._lost
        news, self._seen = gone - self._seen, gone
        level = ERROR if queue.failure else WARN if news or missing else OK
        message = queue.failure or self._state
        if news:
            message += f'; {news} messages dropped or lost since the last report'
        if missing:
            message += f'; silent: {", ".join(missing)}'
        values = {
            'bag': self._path,
            'file_mb': queue.size / _MB,
            'queue_mb': queue.waiting_bytes / _MB,
            'free_disk_mb': queue.free_bytes / _MB,
            **{f'rate_hz {s.topic}': s.meter.rate_hz for s in self._streams},
        }
        counters = {
            'episodes': self._log.episode + 1,
            'written': sum(queue.written.values()),
            'dropped': self._dropped,
            'lost': self._lost,
        }
        for stream in self._streams:
            counters[f'written {stream.topic}'] = queue.written[stream.topic]
            counters[f'dropped {stream.topic}'] = queue.dropped[stream.topic]
            counters[f'lost {stream.topic}'] = stream.lost
        return [
            Status('recording', level, message, values),
            Status('counters', OK, 'since the start', counters),
        ]

    def line(self, now_ns: int) -> str:
        """For the terminal."""
        queue, log = self._queue, self._log
        seconds = f'{(now_ns - log.start_ns) / 1e9:6.1f} s' if log.recording else ''
        rates = '  '.join(f'{_short(s.topic)} {s.meter.rate_hz:.0f}' for s in self._streams if not s.latched)
        gone = self._dropped + self._lost
        return (
            f'{"●" if log.recording else "○"} {self._state} {seconds}  {queue.size / _MB:.1f} MB  '
            f'{gone} dropped  {queue.free_bytes / 1e9:.1f} GB free  Hz: {rates}'
        )

    def summary(self) -> str:
        """For the log, at the end."""
        queue = self._queue
        outcomes = ', '.join(
            f'{n} {name}' for name, n in sorted(Counter(self._log.outcomes.values()).items())
        )
        return (
            f'{self._path}: {self._log.episode + 1} episodes ({outcomes or "none"}), '
            f'{sum(queue.written.values())} messages, {queue.size / _MB:.1f} MB, '
            f'{self._dropped} dropped, {self._lost} lost by the middleware'
        )

    @property
    def _state(self) -> str:
        doing = 'recording' if self._log.recording else 'stopped'
        return f'episode {self._log.episode}: {doing}' if self._log.episode >= 0 else 'no episode yet'

    @property
    def _dropped(self) -> int:
        return sum(self._queue.dropped.values())

    @property
    def _lost(self) -> int:
        return sum(stream.lost for stream in self._streams)


def _short(topic: str) -> str:
    """The part that tells topics of one name apart: '/cameras/top/image_raw' is 'top/image_raw'."""
    return '/'.join(topic.strip('/').split('/')[-2:])
