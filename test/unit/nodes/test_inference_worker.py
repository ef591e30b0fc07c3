# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The inference thread: latest wins, errors are told, it ends."""

import threading

import pytest

from dp_ros.nodes.inference_worker import InferenceWorker

WAIT = 10.0


class Gate:
    """Work that waits until the test lets it go on."""

    def __init__(self):
        self.seen, self.errors = [], []
        self.entered, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.failed = threading.Event()

    def work(self, job):
        self.seen.append(job)
        self.entered.release()
        assert self.go.acquire(timeout=WAIT)
        if job == 'bad':
            raise ValueError('a bad job')

    def on_error(self, error):
        self.errors.append(str(error))
        self.failed.set()


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def worker(gate):
    worker = InferenceWorker(gate.work, gate.on_error)
    yield worker
    for _ in range(5):
        gate.go.release()
    assert worker.close(WAIT)


def test_of_the_jobs_that_wait_only_the_latest_runs(gate, worker):
    worker.post('first')
    assert gate.entered.acquire(timeout=WAIT)
    for job in ('second', 'third', 'fourth'):
        worker.post(job)
    gate.go.release()
    assert gate.entered.acquire(timeout=WAIT)
    assert gate.seen == ['first', 'fourth']
    assert worker.replaced == 2


def test_an_error_is_told_and_the_thread_lives_on(gate, worker):
    worker.post('bad')
    gate.go.release()
    assert gate.failed.wait(WAIT)
    assert gate.errors == ['a bad job']
    assert gate.entered.acquire(timeout=WAIT)
    worker.post('good')
    assert gate.entered.acquire(timeout=WAIT)
    assert gate.seen == ['bad', 'good']
    assert worker.failed == 1


def test_drain_waits_for_the_running_job_and_drops_the_waiting_one(gate, worker):
    worker.post('running')
    assert gate.entered.acquire(timeout=WAIT)
    worker.post('waiting')
    assert not worker.drain(0.01), 'it still runs'
    gate.go.release()
    assert worker.drain(WAIT)
    assert not worker.busy
    assert gate.seen == ['running']


def test_close_joins_and_later_jobs_are_dropped(gate, worker):
    worker.post('running')
    assert gate.entered.acquire(timeout=WAIT)
    assert not worker.close(0.01), 'it still runs'
    gate.go.release()
    assert worker.close(WAIT)
    worker.post('late')
    assert gate.seen == ['running']
