# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Memory, threads and processor time of running processes, from /proc, once a second."""

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

_PERIOD_S = 1.0
_MIB = 1024.0


@dataclass(frozen=True)
class Usage:
    """One look at a process.

    Attributes:
        at_ns: wall clock.
        rss_mib: resident memory.
        threads: how many.
        cpu_s: processor time since its start.
    """

    at_ns: int
    rss_mib: float
    threads: int
    cpu_s: float


def usage(pid: int) -> Usage | None:
    """A look at a process; None where there is none."""
    try:
        status = Path(f'/proc/{pid}/status').read_text()
        # The name in the second field may hold spaces; what follows it may not.
        stat = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    except (OSError, IndexError):
        return None
    fields = dict(line.split(':', 1) for line in status.splitlines() if ':' in line)
    if 'VmRSS' not in fields:
        return None
    cpu_s = (int(stat[11]) + int(stat[12])) / os.sysconf('SC_CLK_TCK')
    return Usage(time.time_ns(), int(fields['VmRSS'].split()[0]) / _MIB, int(fields['Threads']), cpu_s)


class UsageLog:
    """Looks at processes once a second while it is entered."""

    def __init__(self, pids: Mapping[str, int]):
        self._pids = dict(pids)
        self._looks: dict[str, list[Usage]] = {name: [] for name in pids}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name='usage', daemon=True)

    def __enter__(self) -> 'UsageLog':
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def between(self, begin_ns: int, end_ns: int) -> dict[str, dict[str, Any]]:
        """By process: memory at the first and the last look of a stretch, most threads, share of one core."""
        out: dict[str, dict[str, Any]] = {}
        for name, looks in self._looks.items():
            seen = [look for look in looks if begin_ns <= look.at_ns <= end_ns]
            if len(seen) < 2:
                continue
            first, last = seen[0], seen[-1]
            out[name] = {
                'rss_start_mib': round(first.rss_mib, 1),
                'rss_end_mib': round(last.rss_mib, 1),
                'rss_most_mib': round(max(look.rss_mib for look in seen), 1),
                'threads': max(look.threads for look in seen),
                'cpu': round((last.cpu_s - first.cpu_s) / ((last.at_ns - first.at_ns) * 1e-9), 3),
            }
        return out

    def _run(self) -> None:
        while not self._ended.wait(_PERIOD_S):
            for name, pid in self._pids.items():
                with contextlib.suppress(OSError):
                    look = usage(pid)
                    if look is not None:
                        self._looks[name].append(look)
