# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Everything that action_node decides, without ROS: chunks and operators in, windows for all arms out.

Each method takes the time. One state and one plan serve all arms, so that they move together or not at all. A window
is due from the first accepted chunk until the arms rest; :meth:`Motion.chunk` and :meth:`Motion.tick` return it.
"""

from collections import Counter

import numpy as np
import numpy.typing as npt

from dp_ros.action import supervisor
from dp_ros.action.chunk import ActionChunk
from dp_ros.action.gates import ChunkGates, ChunkLimits
from dp_ros.action.limits import MotionLimits
from dp_ros.action.plan import CommittedPlan
from dp_ros.action.reference import SoftStart
from dp_ros.action.supervisor import Answer, Mode, State
from dp_ros.action.window import Window
from dp_ros.contract import Contract
from dp_ros.errors import ChunkError, DpRosError, StaleObservationError
from dp_ros.nodes.figures import PlanFigures
from dp_ros.nodes.measured import MeasuredJoints
from dp_ros.nodes.motion_settings import MotionSettings
from dp_ros.nodes.start_checks import require_start_pose, strayed
from dp_ros.nodes.track import Track
from dp_ros.nodes.watches import ClockWatch, DeadmanSwitch, LimitWatch, TrackingWatch

_JUMP_NS = 100_000_000


class Motion:
    """The supervisor's state, the plan, the gates and the watches of all arms.

    Args:
        contract: names and order of the joints.
        settings: see there.
        chunk_limits: what the gates let pass.
        limits: what the plan keeps, in the contract's order.

    Raises:
        ConfigError: the start pose is not a pose of these joints.
    """

    def __init__(
        self, contract: Contract, settings: MotionSettings, chunk_limits: ChunkLimits, limits: MotionLimits
    ):
        names = contract.joint_names
        self._settings = settings
        self.gates = ChunkGates(names, contract.hash, chunk_limits)
        self.measured = MeasuredJoints(names)
        self.track = Track(
            limits, settings.point_ns, settings.past_ns, settings.future_ns, settings.freeze_ns
        )
        self._lead_ns = None if settings.lead_ns is None else np.array(settings.lead_ns, np.int64)
        limit = np.array(settings.max_tracking_error)
        self.tracking = TrackingWatch(names, limit, settings.tracking_error_ns, self._lead_ns)
        self._limits = LimitWatch(names, limits.lower, limits.upper, np.array(settings.position_tolerance))
        self._clock = ClockWatch(settings.clock_timeout_s)
        self.deadman = DeadmanSwitch(settings.deadman_timeout_ns)
        self.estopped = False
        self.state = State()
        self.chunk_id = ''
        self.accepted: ActionChunk | None = None
        self.previewed: ActionChunk | None = None
        self.counters: Counter[str] = Counter()
        self.figures = PlanFigures()
        self._clock_trouble = ''
        self._soft: SoftStart | None = None
        self._now_ns, self.homing_s = 0, 0.0
        require_start_pose(names, settings.start_pose, limits)

    @property
    def moving(self) -> bool:
        """Whether a plan is being published."""
        return self.track.moving

    def engage(self, now_ns: int) -> Answer:
        """Follow the policy from its next chunk on; refused where the arms are not measured, or far from its start."""
        self._at(now_ns)
        obstacle = self.obstacle(now_ns) or self._start_trouble(now_ns)
        answer = supervisor.engage(self.state, now_ns, obstacle)
        if answer.success and not self.state.engaged:
            self.gates.reset()
            self.tracking.reset()
            self._soft = None
        return self._ask(answer, now_ns)

    def disengage(self, now_ns: int) -> Answer:
        """Brake and let go."""
        self._at(now_ns)
        return self._ask(supervisor.disengage(self.state, now_ns), now_ns)

    def hold(self, now_ns: int) -> Answer:
        """Brake and stay."""
        self._at(now_ns)
        return self._ask(supervisor.hold(self.state, now_ns), now_ns)

    def clear_fault(self, now_ns: int) -> Answer:
        """Leave FAULT for IDLE."""
        self._at(now_ns)
        return self._ask(supervisor.clear_fault(self.state, now_ns, self._pressed()), now_ns)

    def go_to_start(self, now_ns: int, by_controllers: bool = False) -> Answer:
        """Move all arms to the start pose, slowly and together; the windows follow by :meth:`tick`.

        ``by_controllers``: no windows, the controllers go there by themselves; :meth:`homed` ends it.
        """
        self._at(now_ns)
        target, scale = self._settings.start_pose, self._settings.start_pose_scale
        obstacle = 'there is no start pose: set the parameter start_pose' if not target else ''
        if by_controllers and self.moving:
            obstacle = 'the arms still brake'
        answer = supervisor.go_to_start(self.state, now_ns, obstacle or self.obstacle(now_ns))
        if not answer.success:
            return answer
        plan = self.track.followed(now_ns) or self._standing(self.measured.newest, now_ns)
        try:
            plan = plan.moved_to(np.array(target), now_ns, self._settings.freeze_ns, scale)
        except DpRosError as error:
            return Answer(self.state, False, str(error))
        self.tracking.reset()
        self._enter(answer.state, now_ns)
        self.chunk_id = ''
        self.homing_s = (plan.end_ns - now_ns) * 1e-9
        if not by_controllers:
            self.track.begin(plan, now_ns)
        return answer

    def homed(self, now_ns: int, trouble: str) -> None:
        """The controllers ended their way to the start pose; ``trouble`` where they did not arrive."""
        if not self.state.homing:
            return
        if trouble:
            self._stop(now_ns, 'start_pose', f'the start pose was not reached: {trouble}')
        else:
            self._enter(supervisor.arrived(self.state, now_ns), now_ns)

    def obstacle(self, now_ns: int) -> str:
        """Why nothing may start to move now; empty where it may."""
        why = self._pressed() or self.deadman.check(now_ns) or self._clock_trouble
        return why or self._joint_trouble(now_ns)[1] or self._limits.check(self.measured.newest)

    def estop(self, pressed: bool, now_ns: int) -> None:
        """The emergency stop's topic: pressed latches a fault, and refuses everything until it is released."""
        self._at(now_ns)
        self.estopped = pressed
        if pressed:
            self.fault(now_ns, 'estop', 'emergency stop (~/estop is true)')

    def deadman_heard(self, pressed: bool, now_ns: int) -> None:
        """The dead-man switch's topic."""
        self._at(now_ns)
        self.deadman.put(pressed, now_ns)
        if not pressed:
            self._stop(now_ns, 'deadman', self.deadman.check(now_ns))

    def fault(self, now_ns: int, cause: str, reason: str) -> None:
        """Brake and latch."""
        self._at(now_ns)
        self._enter(supervisor.fault(self.state, now_ns, cause, reason), now_ns)

    def watch_clock(self, now_ns: int, steady_s: float) -> None:
        """Tell ROS time and the steady clock, whatever the ROS clock does: where it stands still, brake."""
        self._at(now_ns)
        self._clock_trouble = self._clock.check(now_ns, steady_s)
        if self._clock_trouble:
            # Whoever still has a clock has long run into the brake of the last window; a new one from here would be
            # of the past, and step the arms back once our clock goes on.
            self.track.exhausted()
        self._stop(now_ns, 'clock_frozen', self._clock_trouble)

    def chunk(self, chunk: ActionChunk, now_ns: int) -> Window | None:
        """Take a chunk over into the plan; the window that follows from it.

        Raises:
            ChunkError: a gate refused it; the plan goes on as it was.
        """
        self._at(now_ns)
        if not self.state.engaged:
            self.counters['chunks_while_disengaged'] += 1
            return None
        try:
            chunk = self.gates.check(chunk, now_ns)
            # A clock that jumped forward shows in the age of the joints; the chunk may come before the next tick.
            self._stop(now_ns, *self._joint_trouble(now_ns))
            return self._follow(chunk, now_ns) if self.state.engaged else self.due(now_ns)
        except ChunkError as error:
            self.refused(error, now_ns)
            raise

    def refused(self, error: DpRosError, now_ns: int) -> None:
        """A chunk was refused, here or where its message was decoded."""
        self._at(now_ns)
        if not self.state.engaged:
            self.counters['chunks_while_disengaged'] += 1
            return
        self.counters['chunks_refused'] += 1
        self.gates.refused(error)
        gate = error.gate if isinstance(error, ChunkError) else 'shape'
        in_a_row, limit = self.gates.rejected_in_a_row, self._settings.reject_limit
        self._enter(supervisor.chunk_rejected(self.state, now_ns, gate, str(error), in_a_row, limit), now_ns)

    def tick(self, now_ns: int) -> Window | None:
        """Periodic: what is wrong leads to HOLD or FAULT; the next window while a plan is followed or brakes."""
        self._at(now_ns)
        self._watch(now_ns)
        return self.due(now_ns)

    def due(self, now_ns: int) -> Window | None:
        """The window of now, where one is due: at every tick, and at once after a stop."""
        self._at(now_ns)
        plan = self.track.followed(now_ns)
        if plan is None or not self.moving:
            return None
        if self.state.homing and self.track.over(now_ns):
            self._enter(supervisor.arrived(self.state, now_ns), now_ns)
        if not self.state.driving and self.track.over(now_ns):
            # The controllers rest at the end of what they have, and others may have moved the arms since. HOLD keeps
            # the plan to start from it again.
            self.track.silent()
            if self.state.mode is not Mode.HOLD:
                self.track.drop()
            return None
        return self.track.window(now_ns)

    def recut(self, now_ns: int) -> Window | None:
        """In place of a window that came too late to be published (``track.late``): one that the controllers can join.

        What led to it, such as a chunk, is forgotten; a brake begins anew.
        """
        self.counters['windows_late'] += 1
        self._at(now_ns)
        self.track.unsent(now_ns)
        if self.state.homing:
            self._stop(now_ns, 'start_pose', 'the way to the start pose could not be published in time')
        elif not self.state.driving:
            self.track.brake(now_ns)
        return self.due(now_ns)

    def unsendable(self, now_ns: int, reason: str) -> None:
        """The window that was cut last cannot be sent at all: brake from what the controllers have, and latch."""
        self._at(now_ns)
        self.track.unsent(now_ns)
        self.fault(now_ns, 'output', reason)

    def streamed(self, now_ns: int) -> CommittedPlan | None:
        """The plan, for outputs that take one value at a time."""
        self._at(now_ns)
        return self.track.followed(now_ns)

    def urgent(self, now_ns: int) -> Window | None:
        """The window that must go out at once: after a stop, or at the start of a motion of our own."""
        return self.due(now_ns) if self.track.urgent else None

    def last_words(self, now_ns: int) -> Window | None:
        """Disengage for good: the braking window, where anything moves; :meth:`let_go` follows once it is out."""
        self.disengage(now_ns)
        return self.due(now_ns)

    def let_go(self) -> None:
        """No window will follow: whoever moves the arms next, this plan does not fetch them back."""
        self.track.drop()

    def _ask(self, answer: Answer, now_ns: int) -> Answer:
        self._enter(answer.state, now_ns)
        return answer

    def _stop(self, now_ns: int, cause: str, reason: str) -> None:
        if reason:
            self._enter(supervisor.stopped(self.state, now_ns, cause, reason), now_ns)

    def _enter(self, state: State, now_ns: int) -> None:
        """Take a state over; leaving SYNC or RUN brakes."""
        left = self.state.driving and not state.driving
        if state.mode is not self.state.mode:
            mode = state.mode.value.lower()
            self.counters[f'entered_{mode}'] += 1
            if state.cause:
                self.counters[f'{mode}.{state.cause}'] += 1
        self.state = state
        if self.moving:
            if left:
                self.track.brake(now_ns)
        elif state.mode in (Mode.IDLE, Mode.FAULT):
            # Others may move the arms now; only HOLD goes on from where we left them.
            self.track.drop()

    def _watch(self, now_ns: int) -> None:
        """Look at everything that may be wrong, the worst first."""
        settings, plan = self._settings, self.track.plan
        if self.state.driving or self.moving:
            wrong = self._limits.check(self.measured.newest)
            if wrong:
                self.fault(now_ns, 'measured_limits', wrong)
        if plan is not None and self.moving:
            wrong = self.tracking.check(self.measured, lambda stamp_ns: plan.sample(stamp_ns)[0])
            if wrong:
                self.fault(now_ns, 'tracking_error', wrong)
        if not self.state.driving:
            return
        self._stop(now_ns, 'deadman', self.deadman.check(now_ns))
        self._stop(now_ns, *self._joint_trouble(now_ns))
        self._enter(supervisor.chunk_missing(self.state, now_ns, settings.sync_timeout_ns), now_ns)
        self._enter(supervisor.chunk_stale(self.state, now_ns, settings.chunk_timeout_ns), now_ns)
        self._enter(supervisor.started(self.state, now_ns, settings.soft_start_ns), now_ns)

    def _joint_trouble(self, now_ns: int) -> tuple[str, str]:
        """Cause and reason where the measured positions cannot be trusted; two empty texts where they can."""
        settings = self._settings
        ahead = self.measured.ahead_ns(now_ns)
        if ahead > settings.max_future_ns:
            return 'joints_skewed', (
                f'measured positions are stamped {ahead / 1e6:.0f} ms ahead of our clock, '
                f'limit {settings.max_future_ns / 1e6:.0f} ms: the clocks differ'
            )
        try:
            self.measured.positions(now_ns, settings.joint_timeout_ns)
        except StaleObservationError as error:
            late = self.measured.late_clock(now_ns, settings.joint_timeout_ns)
            return 'joints_skewed' if late else 'joints_stale', str(error)
        return '', ''

    def _follow(self, chunk: ActionChunk, now_ns: int) -> Window:
        settings = self._settings
        at_ns = max(now_ns, chunk.stamp_ns)  # a chunk may arrive before the clock of its time does
        first = self.state.started_ns is None
        plan, soft = self.track.followed(now_ns), self._soft
        if first:
            plan = self._started(chunk, plan, at_ns)
            origin = plan.sample(at_ns + settings.freeze_ns)[0]
            soft = SoftStart(origin, at_ns, settings.soft_start_ns) if settings.soft_start_ns else None
        assert plan is not None
        joined = plan.joined(chunk, at_ns, settings.freeze_ns, lead_ns=self._lead_ns, soft_start=soft)
        self.gates.judge(chunk, joined, at_ns, starting=first or self.state.mode is Mode.SYNC)
        self.figures.add(joined)
        self.track.plan, self._soft = joined.plan, soft
        self.chunk_id, self.accepted = chunk.id, chunk
        self._enter(supervisor.chunk_accepted(self.state, at_ns, settings.soft_start_ns), at_ns)
        return self.track.window(now_ns)  # begins before now, whatever the chunk says of the time

    def _started(self, chunk: ActionChunk, plan: CommittedPlan | None, now_ns: int) -> CommittedPlan:
        """Where an engagement starts from: after HOLD what is commanded, else what is measured."""
        try:
            measured = self.measured.positions(now_ns, self._settings.joint_timeout_ns)
        except StaleObservationError as error:
            raise ChunkError('start', str(error)) from error
        self.gates.check_start(chunk, measured, now_ns)
        return plan if plan is not None else self._standing(measured, now_ns)

    def _standing(self, measured: npt.NDArray[np.float64], now_ns: int) -> CommittedPlan:
        return self.track.standing(measured, now_ns, np.array(self._settings.rest_tolerance))

    def _jumped_back(self, now_ns: int) -> None:
        """Nothing on the old time axis means anything any more: brake on the new one, and latch."""
        before_ns, self._now_ns = self._now_ns, now_ns
        involved = self.state.driving or self.moving
        self.gates.reset()
        self.deadman.forget()
        self.measured.forget()
        self.tracking.reset()
        self.track.jumped(before_ns, now_ns)
        if involved:
            self.fault(now_ns, 'clock_back', f'the clock jumped back by {(before_ns - now_ns) / 1e9:.2f} s')

    def _start_trouble(self, now_ns: int) -> str:
        """Why the policy must not go on from here: the arms strayed in HOLD, or its fresh preview starts elsewhere."""
        plan = self.track.plan
        if plan is not None and not self.moving:
            away = strayed(plan, self.measured, np.array(self._settings.max_tracking_error))
            if away:
                return f'the arms are not where they were held, disengage first: {away}'
        chunk, limits = self.previewed, self.gates.limits
        if chunk is None or not 0 <= now_ns - chunk.stamp_ns <= limits.max_age_ns:
            return ''
        try:
            chunk = chunk.reordered(self.gates.joint_names)
            self.gates.check_start(chunk, self.measured.newest, now_ns)
        except ChunkError as error:
            return f'the policy would not start from here: {error}'
        return ''

    def _at(self, now_ns: int) -> None:
        """Every entry tells the time first: on a clock that jumped back nothing of before means anything."""
        if now_ns < self._now_ns - _JUMP_NS:
            self._jumped_back(now_ns)
        self._now_ns = max(self._now_ns, now_ns)

    def _pressed(self) -> str:
        return 'the emergency stop is pressed (~/estop is true)' if self.estopped else ''
