# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Who may move: one state for all arms, as a value.

::

    IDLE --engage--> SYNC --first chunk--> RUN --stale | hold--> HOLD --engage--> SYNC
      ^                                                                            |
      +------------------ disengage (from any, except FAULT) ----------------------+
    any --fault--> FAULT (latched) --clear_fault--> IDLE, never straight to motion

Leaving SYNC or RUN always means braking; the node does that, this module only says when.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Mode(Enum):
    """IDLE: disengaged. SYNC: engaged, waiting for the first chunk. RUN: following chunks. HOLD, FAULT:
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
    """

    mode: Mode = Mode.IDLE
    reason: str = 'started disengaged'
    since_ns: int = 0
    chunk_ns: int | None = None

    @property
    def engaged(self) -> bool:
        """Whether chunks are wanted and followed: in SYNC and RUN."""
        return self.mode in (Mode.SYNC, Mode.RUN)

    def __str__(self) -> str:
        return f'{self.mode.value}: {self.reason}'


class Answer(NamedTuple):
    """What a service call came to: the state after it, whether it did what was asked, and a text."""

    state: State
    success: bool
    message: str


def engage(state: State, now_ns: int) -> Answer:
    """Operator: follow the policy. From IDLE and HOLD; a latched fault refuses."""
    if state.mode is Mode.FAULT:
        return Answer(state, False, f'fault latched ({state.reason}); call clear_fault first')
    if state.engaged:
        return Answer(state, True, 'already engaged')
    return Answer(State(Mode.SYNC, 'waiting for the first chunk', now_ns), True, 'engaged')


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
    if not state.engaged:
        return Answer(state, False, f'nothing to hold in {state}')
    return Answer(State(Mode.HOLD, 'held by the operator', now_ns), True, 'holding')


def clear_fault(state: State, now_ns: int) -> Answer:
    """Operator: leave FAULT, to IDLE only."""
    if state.mode is not Mode.FAULT:
        return Answer(state, False, f'no fault to clear in {state}')
    return Answer(State(Mode.IDLE, f'fault cleared ({state.reason})', now_ns), True, 'fault cleared')


def chunk_accepted(state: State, now_ns: int) -> State:
    """A chunk passed all gates. The first one starts the motion; outside of SYNC and RUN it changes
    nothing."""
    if not state.engaged:
        return state
    since_ns = now_ns if state.mode is Mode.SYNC else state.since_ns
    return State(Mode.RUN, 'following chunks', since_ns, now_ns)


def start_refused(state: State, now_ns: int, reason: str) -> State:
    """The first chunk does not start where the arms are: back to IDLE, nothing has moved."""
    return State(Mode.IDLE, f'start refused: {reason}', now_ns) if state.mode is Mode.SYNC else state


def chunk_stale(state: State, now_ns: int, timeout_ns: int) -> State:
    """Hold if no chunk was accepted for longer than the timeout while running; otherwise the same state."""
    if state.mode is not Mode.RUN or state.chunk_ns is None or now_ns - state.chunk_ns <= timeout_ns:
        return state
    silent = now_ns - state.chunk_ns
    return State(Mode.HOLD, f'no chunk for {silent / 1e6:.0f} ms, limit {timeout_ns / 1e6:.0f} ms', now_ns)


def fault(state: State, now_ns: int, reason: str) -> State:
    """Latch a fault from any mode; the first reason is kept."""
    return state if state.mode is Mode.FAULT else State(Mode.FAULT, reason, now_ns)
