# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One thread for work that is too long for a callback, fed through a mailbox in which the latest job wins."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar('Job')


class InferenceWorker(Generic[Job]):
    """Runs ``work(job)`` in one thread of its own, one job at a time.

    A job that is posted while another one waits replaces it: what a policy should look at is the newest
    observation, not a queue. An exception from ``work`` goes to ``on_error`` and the thread lives on, so that
    the owner decides what a failure means.

    Attributes:
        done: jobs that ran to their end.
        replaced: jobs that never ran because a newer one came.
        failed: jobs that raised.
    """

    def __init__(
        self, work: Callable[[Job], None], on_error: Callable[[Exception], None], name: str = 'inference'
    ):
        self._work, self._on_error = work, on_error
        self._condition = threading.Condition()
        self._job: Job | None = None
        self._closed = False
        self._busy = False
        self.done = self.replaced = self.failed = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def post(self, job: Job) -> None:
        """Leave a job; never blocks. A job that still waits is replaced; after :meth:`close` it is dropped."""
        with self._condition:
            self.replaced += self._job is not None
            self._job = job
            self._condition.notify_all()

    @property
    def busy(self) -> bool:
        """A job waits or runs."""
        with self._condition:
            return self._busy or self._job is not None

    def drain(self, timeout_s: float) -> bool:
        """Drop the waiting job and wait for the running one; False where it still runs after ``timeout_s``."""
        with self._condition:
            self._job = None
            return self._condition.wait_for(lambda: not self._busy, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Let the running job end, drop the waiting one and join; False where the thread still runs."""
        with self._condition:
            self._closed, self._job = True, None
            self._condition.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._closed or self._job is not None)
                if self._closed:
                    return
                job, self._job, self._busy = self._job, None, True
            try:
                self._work(job)  # type: ignore[arg-type]
                self.done += 1
            except Exception as error:
                self.failed += 1
                self._on_error(error)
            finally:
                with self._condition:
                    self._busy = False
                    self._condition.notify_all()
