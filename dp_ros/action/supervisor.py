# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Who may move: one state for all arms, as a value.

::

    IDLE --engage--> SYNC --first chunk, soft start--> RUN --stale | hold--> HOLD --engage--> SYNC
      |                |
      +--go_to_start---+--arrived--> IDLE
    any --disengage--> IDLE, except FAULT
    any --fault--> FAULT (latched) --clear_fault--> IDLE, never straight to motion

Leaving SYNC or RUN always means braking; the node does that, this module only says when. Nothing leads from HOLD
to motion but an operator. Every function takes the state and returns the next one, the same where nothing changes.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

WAITING, SOFT_START, FOLLOWING = 'waiting for the first chunk', 'soft start', 'following chunks'
HOMING = 'going to the start pose'


class Mode(Enum):
    """IDLE: disengaged. SYNC: engaged, on the way to what the policy wants. RUN: following chunks. HOLD, FAULT:
    braked."""

    IDLE = 'IDLE'
    SYNC = 'SYNC'
    RUN = 'RUN'
    HOLD = 'HOLD'
    FAULT = 'FAULT'


@dataclass(frozen=True)
class State:
    """The state of the supervisor.

    Attributes:
        mode: see :class:`Mode`.
        reason: why it is so, for people.
        since_ns: ROS time of entering the mode.
        chunk_ns: ROS time of the last accepted chunk of this engagement, or None.
        started_ns: ROS time of the first one, or None.
        cause: why it is so, for counters; empty where nothing went wrong.
        homing: SYNC only: the arms go to the start pose, and chunks are not wanted.
    """

    mode: Mode = Mode.IDLE
    reason: str = 'started disengaged'
    since_ns: int = 0
    chunk_ns: int | None = None
    started_ns: int | None = None
    cause: str = ''
    homing: bool = False

    @property
    def driving(self) -> bool:
        """Whether the arms may be in motion of their own accord: SYNC and RUN. Leaving it brakes."""
        return self.mode in (Mode.SYNC, Mode.RUN)

    @property
    def engaged(self) -> bool:
        """Whether chunks are wanted and followed: in SYNC and RUN, but not on the way to the start pose."""
        return self.driving and not self.homing

    def __str__(self) -> str:
        return f'{self.mode.value}: {self.reason}'


class Answer(NamedTuple):
    """What a service call came to: the state after it, whether it did what was asked, and a text."""

    state: State
    success: bool
    message: str


def engage(state: State, now_ns: int, obstacle: str = '') -> Answer:
    """Operator: follow the policy. From IDLE and HOLD; a latched fault or an ``obstacle`` refuses."""
    if state.mode is Mode.FAULT:
        return Answer(state, False, f'fault latched ({state.reason}); call clear_fault first')
    if state.homing:
        return Answer(state, False, f'the arms are {HOMING}; wait, or call hold')
    if state.engaged:
        return Answer(state, True, 'already engaged')
    if obstacle:
        return Answer(state, False, obstacle)
    return Answer(State(Mode.SYNC, WAITING, now_ns), True, 'engaged')


def go_to_start(state: State, now_ns: int, obstacle: str = '') -> Answer:
    """Operator: move to the start pose. From IDLE only; an ``obstacle`` refuses."""
    if state.mode is not Mode.IDLE:
        return Answer(state, False, f'only from IDLE, but the state is {state}')
    if obstacle:
        return Answer(state, False, obstacle)
    return Answer(State(Mode.SYNC, HOMING, now_ns, homing=True), True, HOMING)


def disengage(state: State, now_ns: int) -> Answer:
    """Operator: brake and go to IDLE. Always succeeds; a latched fault stays latched."""
    if state.mode is Mode.FAULT:
        return Answer(state, True, f'disengaged, fault stays latched ({state.reason})')
    if state.mode is Mode.IDLE:
        return Answer(state, True, 'already disengaged')
    return Answer(State(Mode.IDLE, 'disengaged by the operator', now_ns), True, 'disengaged')


def hold(state: State, now_ns: int) -> Answer:
    """Operator: brake now and stay; engage goes on from there."""
    if state.mode is Mode.HOLD:
        return Answer(state, True, 'already holding')
    if not state.driving:
        return Answer(state, False, f'nothing to hold in {state}')
    return Answer(stopped(state, now_ns, 'operator', 'held by the operator'), True, 'holding')


def clear_fault(state: State, now_ns: int, obstacle: str = '') -> Answer:
    """Operator: leave FAULT, to IDLE only; an ``obstacle``, such as a pressed emergency stop, refuses."""
    if state.mode is not Mode.FAULT:
        return Answer(state, False, f'no fault to clear in {state}')
    if obstacle:
        return Answer(state, False, obstacle)
    return Answer(State(Mode.IDLE, f'fault cleared ({state.reason})', now_ns), True, 'fault cleared')


def chunk_accepted(state: State, now_ns: int, soft_start_ns: int = 0) -> State:
    """A chunk passed all gates. The first one starts the motion; where no chunks are wanted it changes nothing."""
    if not state.engaged:
        return state
    if state.started_ns is None:
        state = replace(state, reason=SOFT_START, started_ns=now_ns)
    return started(replace(state, chunk_ns=now_ns), now_ns, soft_start_ns)


def started(state: State, now_ns: int, soft_start_ns: int) -> State:
    """RUN once the soft start, which begins with the first chunk, is over."""
    if state.mode is not Mode.SYNC or state.started_ns is None or now_ns - state.started_ns < soft_start_ns:
        return state
    return replace(state, mode=Mode.RUN, reason=FOLLOWING, since_ns=now_ns)


def arrived(state: State, now_ns: int) -> State:
    """The way to the start pose is over."""
    return State(Mode.IDLE, 'at the start pose', now_ns) if state.homing else state


def start_refused(state: State, now_ns: int, reason: str) -> State:
    """An engagement that has moved nothing yet is given up: back to IDLE."""
    if state.mode is not Mode.SYNC or state.started_ns is not None or state.homing:
        return state
    return State(Mode.IDLE, f'start refused: {reason}', now_ns, cause='start_refused')


def chunk_stale(state: State, now_ns: int, timeout_ns: int) -> State:
    """Hold if no chunk was accepted for longer than the timeout since the first one."""
    if not state.engaged or state.chunk_ns is None or now_ns - state.chunk_ns <= timeout_ns:
        return state
    silent = now_ns - state.chunk_ns
    reason = f'no chunk for {silent / 1e6:.0f} ms, limit {timeout_ns / 1e6:.0f} ms'
    return stopped(state, now_ns, 'chunk_stale', reason)


def chunk_missing(state: State, now_ns: int, timeout_ns: int) -> State:
    """Give an engagement up that nobody answers: it must not move the arms when somebody does, much later."""
    if state.started_ns is not None or now_ns - state.since_ns <= timeout_ns:
        return state
    return start_refused(state, now_ns, f'no chunk within {timeout_ns / 1e9:.1f} s of engaging')


def chunk_rejected(
    state: State, now_ns: int, gate: str, reason: str, in_a_row: int, reject_limit: int
) -> State:
    """What a refused chunk leads to: a fault for wrong names at the start, and for too many in a row.

    A policy for other joints will not get better by waiting. A first action far from the arms refuses the start.
    """
    if not state.engaged:
        return state
    if state.started_ns is None and gate == 'names':
        return fault(state, now_ns, 'wrong_names', f'wrong joint names: {reason}')
    if gate == 'start':
        return start_refused(state, now_ns, reason)
    if in_a_row >= reject_limit:
        text = f'{in_a_row} chunks rejected in a row, the last one: {reason}'
        return fault(state, now_ns, 'rejects', text)
    return state


def stopped(state: State, now_ns: int, cause: str, reason: str) -> State:
    """Brake and hold, while driving."""
    return State(Mode.HOLD, reason, now_ns, cause=cause) if state.driving else state


def fault(state: State, now_ns: int, cause: str, reason: str) -> State:
    """Latch a fault from any mode; the first reason is kept."""
    return state if state.mode is Mode.FAULT else State(Mode.FAULT, reason, now_ns, cause=cause)
