# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The committed plan as the controllers know it: which windows went out, and what follows from that. No ROS."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dp_ros.action.limits import MotionLimits
from dp_ros.action.plan import CommittedPlan
from dp_ros.action.window import Window

# From the last look at the clock until a controller has the window.
_TRANSIT_NS = 5_000_000


class Track:
    """One plan of all arms, and the time of the last window that was cut from it.

    Args:
        limits: of all columns.
        point_ns: distance of the knots.
        past_ns, future_ns: reach of a window around now.
        freeze_ns: the next so long of the plan never changes, because the controllers may already run it.

    Attributes:
        plan: what is commanded; None while others may move the arms.
        published_ns: ROS time of the last window; None where none is due.
        gaps: how often so much time passed between two windows that the controllers ran into the brake of the first.
        margin_ns: smallest future that the controllers still had when the next window went out; None before that.
        urgent: the plan changed in a way that cannot wait for the next period, and no window carries it yet.
    """

    def __init__(self, limits: MotionLimits, point_ns: int, past_ns: int, future_ns: int, freeze_ns: int):
        self.limits = limits
        self.point_ns, self.past_ns, self.future_ns, self.freeze_ns = point_ns, past_ns, future_ns, freeze_ns
        self.plan: CommittedPlan | None = None
        self.published_ns: int | None = None
        self.gaps = 0
        self.margin_ns: int | None = None
        self.urgent = False
        # The plan as the controllers have it, the time of its window, and where it ran out: now, and before the last
        # window.
        self._sent: CommittedPlan | None = None
        self._before: tuple[CommittedPlan | None, int | None, int | None] = (None, None, None)
        self._left_at: npt.NDArray[np.float64] | None = None
        # Whether controllers may have ended their motion elsewhere than the plan.
        self._doubtful = False
        # End of the window in whose brake the plan already is; asking again changes nothing.
        self._ran_out_at: int | None = None

    @property
    def moving(self) -> bool:
        """Whether windows go out."""
        return self.plan is not None and self.published_ns is not None

    def at_rest(self, position: npt.ArrayLike, now_ns: int) -> CommittedPlan:
        """A plan that stands still at ``position`` (A,)."""
        self._doubtful = False
        return CommittedPlan.hold(position, now_ns, self.point_ns, self.limits)

    def standing(
        self, measured: npt.NDArray[np.float64], now_ns: int, tolerance: npt.NDArray[np.float64]
    ) -> CommittedPlan:
        """A plan that stands where the arms are: where they were sent last, if all are measured within ``tolerance``.

        A controller holds what it was sent, not what is measured; a servo that sags would be told to step by as much.
        Where any joint is elsewhere, somebody else moved the arms, and only the measurement counts.
        """
        left = self._left_at
        if left is not None and np.all(np.abs(measured - left) <= tolerance):
            return self.at_rest(left, now_ns)
        return self.at_rest(measured, now_ns)

    def followed(self, now_ns: int) -> CommittedPlan | None:
        """The plan as the controllers follow it: where our last window was exhausted, they ran into its brake."""
        if self.plan is None or self.published_ns is None:
            return self.plan
        reached_ns = self.published_ns + self.future_ns
        if now_ns + _TRANSIT_NS > reached_ns:
            self._brake_of_the_last_window(reached_ns)
        return self.plan

    def begin(self, plan: CommittedPlan, now_ns: int) -> None:
        """Follow a plan from now on; its first window is due at once."""
        self.plan, self.published_ns, self.urgent = plan, now_ns, True
        self._ran_out_at = None

    def brake(self, now_ns: int) -> None:
        """Brake from the end of what is frozen."""
        plan = self.followed(now_ns)
        if plan is not None and self.moving:
            self.plan = plan.braked(now_ns + self.freeze_ns)
            self.urgent = True

    def window(self, now_ns: int) -> Window:
        """The window of now, which counts as published."""
        assert self.plan is not None
        if self.published_ns is not None and self.plan.end_ns > now_ns:
            margin = self.published_ns + self.future_ns - now_ns
            self.margin_ns = margin if self.margin_ns is None else min(margin, self.margin_ns)
        self._before = (self._sent, self.published_ns, self._ran_out_at)
        self._sent, self.published_ns = self.plan, now_ns
        self.urgent, self._ran_out_at = False, None
        return self.plan.window(now_ns, self.past_ns, self.future_ns)

    def late(self, now_ns: int) -> bool:
        """Whether the window that was cut last can no longer be published, because the controllers are beyond its seam.

        They follow what they have until a new window arrives. Where that differs by then, because the old one already
        brakes or the plan has changed meanwhile, the new one would step them.
        """
        sent, published_ns, ran_out_at = self._before
        assert self.plan is not None
        assert self.published_ns is not None
        arrival_ns = now_ns + _TRANSIT_NS
        if self.plan is not sent and arrival_ns > self.published_ns + self.freeze_ns:
            return True
        if sent is None or published_ns is None or ran_out_at is not None:
            return False
        reached_ns = published_ns + self.future_ns
        return sent.end_ns > reached_ns and arrival_ns > reached_ns

    def unsent(self, now_ns: int) -> None:
        """The window that was cut last was not published: the plan is again what the controllers have.

        Before the first window they stand where the plan begins: then it begins later, by whole knots.
        """
        sent, published_ns, ran_out_at = self._before
        assert self.plan is not None
        assert self.published_ns is not None
        if sent is None:
            knots = -((self.published_ns - now_ns) // self.point_ns)
            self.plan, self._sent = replace(self.plan, first=self.plan.first + knots), None
            self.published_ns, self._ran_out_at = now_ns, None
        else:
            self.plan, self._sent, self.published_ns, self._ran_out_at = sent, sent, published_ns, ran_out_at

    def over(self, now_ns: int) -> bool:
        """Whether the plan has ended so long ago that the controllers rest at the end of what they have."""
        return self.plan is not None and now_ns - self.past_ns > self.plan.end_ns

    def exhausted(self) -> None:
        """No window can reach the controllers in time: the plan becomes what they do with their last one, its brake."""
        if self.plan is None or self.published_ns is None:
            return
        self._brake_of_the_last_window(self.published_ns + self.future_ns)
        self.silent()

    def silent(self) -> None:
        """No more windows; the plan stays, to go on from it."""
        self.published_ns = self._sent = None
        self.urgent = False

    def drop(self) -> None:
        """Forget the plan: others may move the arms from now on."""
        if self.plan is not None:
            self._left_at = None if self._doubtful else self.plan.sample(self.plan.end_ns)[0]
        self.plan = None
        self.silent()

    def _brake_of_the_last_window(self, reached_ns: int) -> None:
        assert self.plan is not None
        if self.plan.end_ns <= reached_ns or self._ran_out_at == reached_ns:
            return
        self.gaps += 1
        self._ran_out_at = reached_ns
        self.plan = self._sent = self.plan.braked(reached_ns)

    def jumped(self, before_ns: int, now_ns: int) -> None:
        """The clock went from ``before`` back to ``now``: the plan moves along, and brakes.

        Controllers on the same clock take the next window as it is. Moved by whole knots, it goes on where the arms
        are, at the speed that they have.
        """
        if self.plan is None or not self.moving:
            self.drop()
            return
        # Controllers on another clock refuse what comes now, and brake on their own.
        self._doubtful = True
        knots = round((now_ns - before_ns) / self.point_ns)
        self.plan = replace(self.plan, first=self.plan.first + knots)
        self.published_ns, self._sent = now_ns, self.plan
        self.plan = self.plan.braked(now_ns + self.freeze_ns)
        self.urgent = True
