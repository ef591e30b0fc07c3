# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Everything that action_node decides, without ROS: chunks and operators in, windows for all arms out.

Each method takes the time and returns the window to publish now, or None. One state and one plan serve all arms,
so that they move together or not at all. A window is due from the first accepted chunk until the arms rest.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dp_ros.action import supervisor
from dp_ros.action.chunk import ActionChunk
from dp_ros.action.gates import ChunkGates, ChunkLimits
from dp_ros.action.plan import CommittedPlan
from dp_ros.action.supervisor import Answer, Mode, State
from dp_ros.action.window import Window
from dp_ros.contract import Contract
from dp_ros.errors import ChunkError, MessageError, StaleObservationError

_JUMP_NS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class MotionSettings:
    """Times in nanoseconds; see the parameters of action_node."""

    point_ns: int
    past_ns: int
    future_ns: int
    freeze_ns: int
    blend_ns: int
    chunk_timeout_ns: int
    sync_timeout_ns: int
    joint_timeout_ns: int
    max_acceleration: tuple[float, ...]


class MeasuredJoints:
    """The newest measured position of each joint, by name; whatever else the robot reports is ignored."""

    def __init__(self, joint_names: Sequence[str]):
        self._index = {name: i for i, name in enumerate(joint_names)}
        self._positions = np.full(len(self._index), np.nan)
        self._stamps_ns = np.zeros(len(self._index), np.int64)

    def put(self, stamp_ns: int, names: Sequence[str], positions: npt.NDArray[np.float64]) -> None:
        """Store one message, with any of the joints in any order.

        Raises:
            MessageError: a position is not finite; nothing of the message is stored.
        """
        found = [(self._index[name], i) for i, name in enumerate(names) if name in self._index]
        bad = [names[i] for _, i in found if not np.isfinite(positions[i])]
        if bad:
            raise MessageError(
                f'joint state at {stamp_ns} ns: positions of {bad} are not finite; message dropped'
            )
        for joint, i in found:
            self._positions[joint], self._stamps_ns[joint] = positions[i], stamp_ns

    def age_ns(self, now_ns: int) -> int | None:
        """Age of the joint that was measured longest ago; None where one never was."""
        return None if np.isnan(self._positions).any() else now_ns - int(self._stamps_ns.min())

    def positions(self, now_ns: int, limit_ns: int) -> npt.NDArray[np.float64]:
        """Measured positions (A,).

        Raises:
            StaleObservationError: names every joint that was never measured, or not for longer than the limit.
        """
        never = [name for name, i in self._index.items() if np.isnan(self._positions[i])]
        if never:
            raise StaleObservationError(f'no measured position yet of {never}')
        old = [n for n, i in self._index.items() if now_ns - self._stamps_ns[i] > limit_ns]
        if old:
            age = (now_ns - int(self._stamps_ns.min())) / 1e6
            raise StaleObservationError(
                f'measured positions are up to {age:.0f} ms old, limit {limit_ns / 1e6:.0f} ms: {old}'
            )
        return self._positions.copy()


class Motion:
    """The supervisor's state, the committed plan and the gates of all arms."""

    def __init__(self, contract: Contract, settings: MotionSettings, limits: ChunkLimits):
        self._settings = settings
        self.gates = ChunkGates(contract.joint_names, contract.hash, limits)
        self.measured = MeasuredJoints(contract.joint_names)
        self.state = State()
        self.chunk_id = ''
        self.counters: Counter[str] = Counter()
        self._plan: CommittedPlan | None = None
        self._now_ns = 0
        self._published_ns: int | None = None

    @property
    def moving(self) -> bool:
        """Whether a plan is being published."""
        return self._plan is not None and self._published_ns is not None

    def engage(self, now_ns: int) -> Answer:
        """Follow the policy from its next chunk on; refused where the arms are not measured now."""
        try:
            self.measured.positions(now_ns, self._settings.joint_timeout_ns)
        except StaleObservationError as error:
            return Answer(self.state, False, str(error))
        answer = supervisor.engage(self.state, now_ns)
        if answer.state.mode is Mode.SYNC and not self.state.engaged:
            self.gates.reset()
        self.state = answer.state
        return answer

    def disengage(self, now_ns: int) -> Answer:
        """Brake and let go."""
        return self._ask(supervisor.disengage(self.state, now_ns), now_ns)

    def hold(self, now_ns: int) -> Answer:
        """Brake and stay."""
        return self._ask(supervisor.hold(self.state, now_ns), now_ns)

    def clear_fault(self, now_ns: int) -> Answer:
        """Leave FAULT for IDLE."""
        return self._ask(supervisor.clear_fault(self.state, now_ns), now_ns)

    def fault(self, now_ns: int, reason: str) -> None:
        """Brake and latch."""
        self._enter(supervisor.fault(self.state, now_ns, reason), now_ns)

    def chunk(self, chunk: ActionChunk, now_ns: int) -> Window | None:
        """Take a chunk over into the plan; the window that follows from it.

        Raises:
            ChunkError: a gate refused it; the plan goes on as it was.
        """
        if not self.state.engaged:
            self.counters['chunks_while_disengaged'] += 1
            return None
        # A chunk tells the time as well: where the clock is a topic, it may arrive before the clock does.
        now_ns = max(now_ns, chunk.stamp_ns)
        settings = self._settings
        chunk = self.gates.check(chunk, now_ns, self._plan)
        plan = self._followed(now_ns)
        if self.state.mode is Mode.SYNC:
            plan = self._started(chunk, plan, now_ns)
        assert plan is not None
        self._plan = plan.joined(chunk, now_ns, settings.freeze_ns, settings.blend_ns)
        self.chunk_id = chunk.id
        self.state = supervisor.chunk_accepted(self.state, now_ns)
        return self._window(now_ns)

    def tick(self, now_ns: int) -> Window | None:
        """Periodic: what is late leads to HOLD; the next window while a plan is followed or brakes."""
        if now_ns < self._now_ns - _JUMP_NS:
            return self._jumped_back(now_ns)
        self._now_ns = max(self._now_ns, now_ns)
        self._enter(self._watched(now_ns), now_ns)
        self._plan = plan = self._followed(now_ns)
        if plan is None or not self.moving:
            return None
        window = self._window(now_ns)
        if not self.state.engaged and now_ns - self._settings.past_ns > plan.end_ns:
            # The controllers rest at the end of what they have; HOLD keeps the plan to start from it again.
            self._published_ns = None
            if self.state.mode is not Mode.HOLD:
                self._plan = None
        return window

    def last_words(self, now_ns: int) -> Window | None:
        """Disengage for good: the braking window, where anything moves."""
        moving = self.moving
        self.disengage(now_ns)
        return self._window(now_ns) if moving else None

    def _ask(self, answer: Answer, now_ns: int) -> Answer:
        self._enter(answer.state, now_ns)
        return answer

    def _enter(self, state: State, now_ns: int) -> None:
        """Take a state over; leaving SYNC or RUN brakes."""
        left = self.state.engaged and not state.engaged
        if state.mode is not self.state.mode:
            self.counters[f'entered_{state.mode.value.lower()}'] += 1
        self.state = state
        if self._plan is not None and self.moving:
            self._plan = self._plan.braked(now_ns + self._settings.freeze_ns) if left else self._plan
        elif state.mode in (Mode.IDLE, Mode.FAULT):
            # Others may move the arms now; only HOLD goes on from where we left them.
            self._plan = None

    def _watched(self, now_ns: int) -> State:
        settings, state = self._settings, self.state
        if not state.engaged:
            return state
        try:
            self.measured.positions(now_ns, settings.joint_timeout_ns)
        except StaleObservationError as error:
            return State(Mode.HOLD, str(error), now_ns)
        if state.mode is Mode.SYNC and now_ns - state.since_ns > settings.sync_timeout_ns:
            # An engagement that nobody answers must not move the arms when somebody does, much later.
            waited = f'no chunk within {settings.sync_timeout_ns / 1e9:.1f} s of engaging'
            return supervisor.start_refused(state, now_ns, waited)
        return supervisor.chunk_stale(state, now_ns, settings.chunk_timeout_ns)

    def _followed(self, now_ns: int) -> CommittedPlan | None:
        """The plan as the controllers know it: where our last window was exhausted, they ran into its brake."""
        if self._plan is None or self._published_ns is None:
            return self._plan
        reached_ns = self._published_ns + self._settings.future_ns
        if now_ns <= reached_ns or self._plan.end_ns <= reached_ns:
            return self._plan
        self.counters['publish_gaps'] += 1
        return self._plan.braked(reached_ns)

    def _started(self, chunk: ActionChunk, plan: CommittedPlan | None, now_ns: int) -> CommittedPlan:
        """Where an engagement starts from: after HOLD what is commanded, else what is measured."""
        settings = self._settings
        try:
            measured = self.measured.positions(now_ns, settings.joint_timeout_ns)
            self.gates.check_start(chunk, measured, now_ns)
        except StaleObservationError as error:
            self._enter(supervisor.start_refused(self.state, now_ns, str(error)), now_ns)
            raise ChunkError('start', str(error)) from error
        except ChunkError as error:
            self._enter(supervisor.start_refused(self.state, now_ns, str(error)), now_ns)
            raise
        if plan is not None:
            return plan
        return CommittedPlan.hold(measured, now_ns, settings.point_ns, settings.max_acceleration)

    def _window(self, now_ns: int) -> Window:
        assert self._plan is not None
        self._published_ns = now_ns
        return self._plan.window(now_ns, self._settings.past_ns, self._settings.future_ns)

    def _jumped_back(self, now_ns: int) -> Window | None:
        """Nothing on the old time axis means anything any more: stand where the arms were sent last."""
        before_ns, self._now_ns = self._now_ns, now_ns
        reason = f'the clock jumped back by {(before_ns - now_ns) / 1e9:.2f} s'
        self.gates.reset()
        if self._plan is None or not self.moving:
            self._plan = None
            if self.state.engaged:
                self.fault(now_ns, reason)
            return None
        position, _ = self._plan.sample(before_ns)
        self._plan = None
        self.fault(now_ns, reason)
        self._plan = CommittedPlan.hold(
            position, now_ns, self._settings.point_ns, self._settings.max_acceleration
        )
        return self._window(now_ns)
