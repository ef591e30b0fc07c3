# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Windows to all controllers at once, and how regularly that happens."""

import time
from collections.abc import Callable, Sequence

from dp_ros.action.plan import CommittedPlan
from dp_ros.action.window import Window
from dp_ros.nodes.diagnostics import Percentiles, RateMeter
from dp_ros.nodes.outputs import Output


class Dispatch:
    """The outputs of all arms.

    Args:
        outputs: of all arms; empty in a dry run.
        period_s: between two windows, for the jitter.
    """

    def __init__(self, outputs: Sequence[Output], period_s: float):
        self.outputs = list(outputs)
        self._period_s = period_s
        self._with_windows = [output for output in outputs if not output.period_ns]
        self._last = 0.0
        self.rate = RateMeter()
        self.distance, self.jitter = Percentiles(), Percentiles()
        self.window: Window | None = None

    def publish(
        self,
        window: Window,
        chunk_id: str,
        plan: CommittedPlan,
        now_ns: int,
        regular: bool,
        late: Callable[[], bool] = lambda: False,
    ) -> bool:
        """The same stamp to every controller, or nothing to any: everything that may fail comes before the first.

        Args:
            window: for all.
            chunk_id: what it follows.
            plan: it was cut from.
            now_ns: ROS time.
            regular: this is the window of a period and no extra one, so that its time counts for the jitter.
            late: is asked last; where it is too late nothing goes out.

        Returns:
            Whether it went out.
        """
        ready = [(output, output.prepare(window, chunk_id, plan, now_ns)) for output in self._with_windows]
        if late():
            return False
        for output, message in ready:
            output.send(message)
        self.window = window
        self.rate.hit()
        if regular:
            self._measure()
        return True

    def stream(self, output: Output, chunk_id: str, plan: CommittedPlan, now_ns: int) -> None:
        """One command of an output with a rate of its own, while windows are due."""
        if self.window is not None:
            output.send(output.prepare(self.window, chunk_id, plan, now_ns))

    def silent(self) -> None:
        """No window was due."""
        self._last, self.window = 0.0, None

    def values(self) -> dict[str, object]:
        """Distance between the windows of two periods, and how far it is from the period; wall clock."""
        return {
            'rate_hz': self.rate.rate_hz,
            **self.distance.summary('distance'),
            **self.jitter.summary('jitter'),
        }

    def _measure(self) -> None:
        now = time.monotonic()
        if self._last:
            self.distance.add(1e3 * (now - self._last))
            self.jitter.add(1e3 * abs(now - self._last - self._period_s))
        self._last = now
