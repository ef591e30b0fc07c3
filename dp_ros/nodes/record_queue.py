# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""From callbacks, which must not wait, to a disk, which may be slow: one thread and a bounded queue. No ROS here."""

import queue
import shutil
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from rosbags.interfaces import Qos

from dp_ros.bags.marks import Mark
from dp_ros.errors import DpRosError

_FLUSH_S = 1.0


class Sink(Protocol):
    """What writes a bag, such as :class:`dp_ros.bags.writer.BagWriter`."""

    path: Path

    @property
    def size(self) -> int: ...

    def knows(self, kind: str) -> bool: ...

    def add_topic(self, topic: str, kind: str, qos: Qos | None = None) -> None: ...

    def write(self, topic: str, raw: bytes | memoryview, log_ns: int) -> None: ...

    def write_mark(self, topic: str, mark: Mark) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Row(NamedTuple):
    """One message for the bag."""

    topic: str
    kind: str
    qos: Qos
    raw: bytes
    log_ns: int


class _Item(NamedTuple):
    topic: str
    size: int
    row: 'Row | Future[Row]'


class RecordQueue:
    """Rows and marks into a bag, in the order in which they are put.

    Args:
        sink: the bag; belongs to the thread of this object until :meth:`close` returns.
        mark_topic: where marks go.
        limit_bytes: how much may wait.

    Attributes:
        failure: why nothing is written any more; empty while all is well.
        written, dropped: messages by topic as it was put; dropped is what came while the queue was full or had failed.
        size: bytes in the file.
        free_bytes: room on the disk, as of the last flush.
        waiting_bytes: in the queue now.
    """

    def __init__(self, sink: Sink, mark_topic: str, limit_bytes: int):
        self._sink, self._mark_topic, self._limit = sink, mark_topic, limit_bytes
        self._items: queue.SimpleQueue[_Item | Mark | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.failure = ''
        self.written: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.size = sink.size
        self.free_bytes = shutil.disk_usage(sink.path).free
        self.waiting_bytes = 0
        self._thread = threading.Thread(target=self._run, name='bag writer', daemon=True)
        self._thread.start()

    def room(self, topic: str, size: int) -> bool:
        """Claim room for ``size`` bytes of ``topic``; where there is none they count as dropped."""
        with self._lock:
            if not self.failure and self.waiting_bytes + size <= self._limit:
                self.waiting_bytes += size
                return True
            self.dropped[topic] += 1
            return False

    def put(self, topic: str, size: int, row: 'Row | Future[Row]') -> None:
        """Hand over what :meth:`room` was claimed for; a future keeps its place until it is done."""
        self._items.put(_Item(topic, size, row))

    def mark(self, mark: Mark) -> None:
        """Marks are small and always fit."""
        self._items.put(mark)

    def close(self) -> None:
        """Write what waits, and close the bag."""
        self._items.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._write_until_closed()
            self._sink.close()
        except DpRosError as error:
            self._fail(str(error))
        except Exception:
            self._fail(traceback.format_exc())
        self.size = self._sink.size

    def _write_until_closed(self) -> None:
        due = time.monotonic() + _FLUSH_S
        while True:
            try:
                item = self._items.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                pass
            else:
                if item is None:
                    return
                self._write(item)
            if time.monotonic() >= due:
                self._sink.flush()
                self.size = self._sink.size
                self.free_bytes = shutil.disk_usage(self._sink.path).free
                due = time.monotonic() + _FLUSH_S

    def _write(self, item: '_Item | Mark') -> None:
        if isinstance(item, Mark):
            self._sink.write_mark(self._mark_topic, item)
            return
        row = item.row.result() if isinstance(item.row, Future) else item.row
        self._sink.add_topic(row.topic, row.kind, row.qos)
        self._sink.write(row.topic, row.raw, row.log_ns)
        self.written[item.topic] += 1
        with self._lock:
            self.waiting_bytes -= item.size

    def _fail(self, why: str) -> None:
        """Close what is whole; whatever waits was not written."""
        # Under the lock nobody can claim room any more without seeing the failure.
        with self._lock:
            self.failure = why
        with suppress(DpRosError):
            self._sink.close()
        with suppress(queue.Empty):
            while True:
                item = self._items.get_nowait()
                if isinstance(item, _Item):
                    self.dropped[item.topic] += 1
