# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The queue between callbacks and the disk: order, bounds, counts, and what happens when the disk fails."""

import threading
from concurrent.futures import Future

import pytest

from dp_ros.bags.marks import Mark
from dp_ros.bags.reader import open_bag
from dp_ros.bags.writer import BagWriter, offered_qos
from dp_ros.errors import BagError
from dp_ros.nodes.record_queue import RecordQueue, Row

TEXT = 'std_msgs/msg/String'


class SlowWriter(BagWriter):
    """A bag on a disk that stands still until it is let go, and may fail then."""

    def __init__(self, path):
        super().__init__(path, {})
        self.go, self.full = threading.Event(), False

    def write(self, topic, raw, log_ns):
        self.go.wait(10.0)
        if self.full:
            raise BagError('no space left')
        super().write(topic, raw, log_ns)


def row(i, topic='/a', size=10):
    return Row(topic, TEXT, offered_qos(), bytes(size), i)


def put(queue, item):
    fits = queue.room(item.topic, len(item.raw))
    if fits:
        queue.put(item.topic, len(item.raw), item)
    return fits


def read(path):
    with open_bag(path) as bag:
        return [(m.topic, m.log_ns) for m in bag.messages()]


def test_rows_futures_and_marks_keep_their_order(tmp_path):
    queue = RecordQueue(BagWriter(tmp_path / 'bag', {}), '/marks', 1000)
    late: Future[Row] = Future()
    assert put(queue, row(1))
    assert queue.room('/a', 10)
    queue.put('/a', 10, late)
    queue.mark(Mark(event='start', episode=0, stamp_ns=3))
    assert put(queue, row(4, '/b'))
    late.set_result(row(2, '/a/compressed'))
    queue.close()
    assert queue.failure == ''
    assert read(tmp_path / 'bag') == [('/a', 1), ('/a/compressed', 2), ('/marks', 3), ('/b', 4)]
    assert dict(queue.written) == {'/a': 2, '/b': 1}
    assert queue.waiting_bytes == 0


def test_what_does_not_fit_is_dropped_and_counted_by_topic(tmp_path):
    sink = SlowWriter(tmp_path / 'bag')
    queue = RecordQueue(sink, '/marks', 100)
    taken = [put(queue, row(i, '/b' if i % 3 else '/a', 20)) for i in range(12)]
    assert taken == [True] * 5 + [False] * 7
    # Small messages still fit where a large one does not, and marks always do.
    sink.go.set()
    queue.mark(Mark(event='start', episode=0, stamp_ns=50))
    queue.close()
    assert dict(queue.written) == {'/a': 2, '/b': 3}
    assert dict(queue.dropped) == {'/a': 2, '/b': 5}
    assert len(read(tmp_path / 'bag')) == 6


def test_a_failing_disk_is_said_and_everything_after_it_counts_as_dropped(tmp_path):
    sink = SlowWriter(tmp_path / 'bag')
    sink.full = True
    queue = RecordQueue(sink, '/marks', 1000)
    for i in range(5):
        assert put(queue, row(i))
    sink.go.set()
    queue.close()
    assert queue.failure == 'no space left'
    assert not put(queue, row(9))
    assert queue.written['/a'] == 0
    # The row that failed is the writer's to tell of; those behind it were never tried.
    assert queue.dropped['/a'] == 5


@pytest.mark.parametrize('broken', [ValueError('a bug'), BagError('said so')])
def test_an_encoder_that_breaks_ends_the_recording_loudly(tmp_path, broken):
    queue = RecordQueue(BagWriter(tmp_path / 'bag', {}), '/marks', 1000)
    put(queue, row(1))
    late: Future[Row] = Future()
    queue.room('/a', 10)
    queue.put('/a', 10, late)
    late.set_exception(broken)
    queue.close()
    assert str(broken) in queue.failure
    assert read(tmp_path / 'bag') == [('/a', 1)]
