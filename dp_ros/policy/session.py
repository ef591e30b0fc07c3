# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""When the policy ticks, and which of its chunks may move the arms. Knows threads, but no ROS.

While nobody is engaged every tick starts a new buffer from the measured pose: a preview of what would happen. The
rising edge of 'engaged' begins an epoch with the first observation made after it, and so does a new goal: its chunks
start from where the arms are, and action_node joins them to what it commanded. What was under way at an edge, a goal or
a reset ends as a preview.
"""

import threading
import time
from collections import Counter
from dataclasses import dataclass, replace

from dp_ros.action.chunk import ActionChunk
from dp_ros.contract import Contract
from dp_ros.observation.observation import Observation
from dp_ros.observation.observation_buffer import ObservationBuffer
from dp_ros.policy.controller import Controller
from dp_ros.policy.due import DueRule
from dp_ros.policy.goal import Goal


@dataclass(frozen=True)
class Tick:
    """A chunk, whether it may move the arms, where its time went (milliseconds by stage), and what it was made from."""

    chunk: ActionChunk
    engaged: bool
    stage_ms: dict[str, float]
    observation: Observation


class PolicySession:
    """One policy between engagements and resets.

    :meth:`tick` belongs to the inference thread, everything else to the callbacks; neither waits for the other
    longer than it takes to copy a few numbers.

    Args:
        controller: the policy in motion; from now on only this object touches it.
        buffer: where callbacks put what arrives.
        seed: the k-th :meth:`reset` begins an episode whose noise follows from seed + k - 1, so that a run can be
            repeated; further engagements of the same episode draw other noise of that seed.
    """

    def __init__(self, controller: Controller, buffer: ObservationBuffer, seed: int):
        self.buffer = buffer
        self._controller, self._seed = controller, seed
        self._due = DueRule(controller.tick_ns, controller.policy.contract.timing.period_ns)
        self._lock = threading.Lock()
        self._engaged = False
        self._engagements = 0
        self._episodes = 0
        self._attempts = 0
        self._epoch = 1
        self._seq = 0
        self._begin = True
        self._goal = controller.goal
        self._counters: Counter[str] = Counter()

    @property
    def engaged(self) -> bool:
        """Whether the chunks of the present epoch may move the arms."""
        with self._lock:
            return self._engaged

    @property
    def counters(self) -> dict[str, int]:
        """Ticks, previews, results that a new epoch overtook, and engagements, since the start."""
        with self._lock:
            return dict(self._counters, engagements=self._engagements)

    def set_engaged(self, engaged: bool) -> None:
        """An edge begins a new epoch; the same value again changes nothing."""
        newest = self.buffer.newest_observation_ns()
        with self._lock:
            if engaged == self._engaged:
                return
            self._engaged = engaged
            self._engagements += engaged
            self._attempts += engaged
            self._new_epoch()
            if engaged and newest is not None:
                # Wait for an observation from after the edge: the first one may be nearly a period old.
                self._due.after(newest)

    @property
    def contract(self) -> Contract:
        """Of the policy."""
        return self._controller.policy.contract

    @property
    def goal(self) -> Goal | None:
        """What the next tick is for."""
        with self._lock:
            return self._goal

    @property
    def waits_for_goal(self) -> bool:
        """Whether nothing is due because nothing was asked for."""
        return self._controller.needs_goal and self.goal is None

    def set_goal(self, goal: Goal | None) -> None:
        """Another goal begins a new epoch, with the first observation made after it.

        Raises:
            GoalError, ConfigError: the policy does not take it; nothing has changed.
        """
        if goal is not None:
            self._controller.goal_tokens(goal)
        newest = self.buffer.newest_observation_ns()
        with self._lock:
            self._goal = goal
            self._counters['goals'] += 1
            self._new_epoch()
            if newest is not None:
                self._due.after(newest)

    def reset(self) -> None:
        """Begin an episode: forget all observations, new epoch, the noise of the next seed."""
        with self._lock:
            self._episodes += 1
            self._attempts = int(self._engaged)
        self.restart()

    def restart(self) -> None:
        """Forget all observations and begin a new epoch of the same episode."""
        self.buffer.clear()
        with self._lock:
            self._new_epoch()

    def due(self) -> bool:
        """Whether the newest observation calls for a tick."""
        newest = self.buffer.newest_observation_ns()
        if self.waits_for_goal:
            return False
        with self._lock:
            return newest is not None and self._due.is_due(newest)

    def tick(self, now_ns: int) -> Tick | None:
        """Predict from the newest observation; None where it is not due.

        Raises:
            StaleObservationError, MessageError: no observation can be made; nothing has changed.
            GoalError: a goal is needed, and there is none.
        """
        began = time.perf_counter()
        if self.waits_for_goal:
            raise self._controller.no_goal()
        with self._lock:
            epoch, engaged, begin, goal = self._epoch, self._engaged, self._begin, self._goal
            seed, attempts = self._seed + max(0, self._episodes - 1), self._attempts
        observation = self.buffer.observe(now_ns)
        observed = time.perf_counter()
        with self._lock:
            if epoch != self._epoch or not self._due.is_due(observation.stamp_ns):
                return None
            # From here on this observation is taken, so that nobody asks for it again while it is worked on.
            self._due.taken(observation.stamp_ns)
        if begin or not engaged:
            if goal is not self._controller.goal:
                self._controller.set_goal(goal)
            self._controller.reset(seed)
            for _ in range(attempts - 1):
                self._controller.reset()
        chunk = self._controller.tick(observation)
        with self._lock:
            if epoch != self._epoch:
                self._counters['overtaken'] += 1
                return Tick(replace(chunk, epoch=epoch), False, self._stages(began, observed), observation)
            self._begin = False
            # The noise of an epoch follows from its seed alone, so the controller's own count starts anew each
            # time; the id of a chunk must not.
            chunk = replace(chunk, epoch=self._epoch, seq=self._seq)
            self._seq += 1
            self._counters['ticks' if engaged else 'previews'] += 1
        return Tick(chunk, engaged, self._stages(began, observed), observation)

    def _stages(self, began: float, observed: float) -> dict[str, float]:
        return {'observe': 1e3 * (observed - began), **self._controller.stage_ms}

    def _new_epoch(self) -> None:
        self._epoch += 1
        self._seq = 0
        self._begin = True
        self._due.forget()
