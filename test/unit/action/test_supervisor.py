# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Every event in every mode."""

import pytest

from dp_ros.action import supervisor
from dp_ros.action.supervisor import Mode, State

MS = 1_000_000
NOW = 9_000 * MS
IDLE, SYNC, RUN, HOLD, FAULT = Mode

# What may be met: SYNC before the first chunk, in the soft start, and on the way to the start pose.
STATES = {
    'idle': State(IDLE, 'because', NOW - 900 * MS),
    'waiting': State(SYNC, 'because', NOW - 900 * MS),
    'soft start': State(SYNC, 'because', NOW - 900 * MS, NOW - 501 * MS, NOW - 800 * MS),
    'homing': State(SYNC, 'because', NOW - 900 * MS, homing=True),
    'run': State(RUN, 'because', NOW - 900 * MS, NOW - 501 * MS, NOW - 900 * MS),
    'hold': State(HOLD, 'because', NOW - 900 * MS, cause='operator'),
    'fault': State(FAULT, 'because', NOW - 900 * MS, cause='estop'),
}
# Mode after the event, in the order of STATES; a service that refuses keeps the mode.
AFTER = {
    'engage': (SYNC, SYNC, SYNC, SYNC, RUN, SYNC, FAULT),
    'go_to_start': (SYNC, SYNC, SYNC, SYNC, RUN, HOLD, FAULT),
    'disengage': (IDLE, IDLE, IDLE, IDLE, IDLE, IDLE, FAULT),
    'hold': (IDLE, HOLD, HOLD, HOLD, HOLD, HOLD, FAULT),
    'clear_fault': (IDLE, SYNC, SYNC, SYNC, RUN, HOLD, IDLE),
    'chunk_accepted': (IDLE, SYNC, SYNC, SYNC, RUN, HOLD, FAULT),
    'started': (IDLE, SYNC, SYNC, SYNC, RUN, HOLD, FAULT),
    'arrived': (IDLE, SYNC, SYNC, IDLE, RUN, HOLD, FAULT),
    'start_refused': (IDLE, IDLE, SYNC, SYNC, RUN, HOLD, FAULT),
    'chunk_stale': (IDLE, SYNC, HOLD, SYNC, HOLD, HOLD, FAULT),
    'chunk_missing': (IDLE, IDLE, SYNC, SYNC, RUN, HOLD, FAULT),
    'stopped': (IDLE, HOLD, HOLD, HOLD, HOLD, HOLD, FAULT),
    'fault': (FAULT,) * 7,
}
EXTRA = {
    'chunk_accepted': (1000 * MS,),
    'started': (1000 * MS,),
    'start_refused': ('too far',),
    'chunk_stale': (500 * MS,),
    'chunk_missing': (800 * MS,),
    'stopped': ('joints_stale', 'silence'),
    'fault': ('tracking_error', 'lost'),
}
REFUSED = (
    {('engage', 'homing'), ('engage', 'fault'), ('hold', 'idle'), ('hold', 'fault')}
    | {('clear_fault', name) for name in STATES if name != 'fault'}
    | {('go_to_start', name) for name in STATES if name != 'idle'}
)


@pytest.mark.parametrize('event', list(AFTER))
@pytest.mark.parametrize('name', list(STATES))
def test_transition(event, name):
    before = STATES[name]
    out = getattr(supervisor, event)(before, NOW, *EXTRA.get(event, ()))
    after = out.state if isinstance(out, supervisor.Answer) else out
    assert after.mode is AFTER[event][list(STATES).index(name)]
    assert after.since_ns == (before.since_ns if after.mode is before.mode else NOW)
    if isinstance(out, supervisor.Answer):
        assert out.success == ((event, name) not in REFUSED)
        assert out.message
        if not out.success:
            assert out.state is before


@pytest.mark.parametrize('event', ['engage', 'go_to_start', 'clear_fault'])
@pytest.mark.parametrize('name', list(STATES))
def test_an_obstacle_refuses_every_way_out_of_rest(event, name):
    answer = getattr(supervisor, event)(STATES[name], NOW, 'the emergency stop is pressed')
    assert answer.state is STATES[name]
    if (event, name) not in REFUSED and not STATES[name].engaged:
        assert (answer.success, answer.message) == (False, 'the emergency stop is pressed')


def test_no_function_but_an_operators_leads_from_rest_to_motion():
    for event in set(AFTER) - {'engage', 'go_to_start'}:
        for name in ('idle', 'hold', 'fault'):
            out = getattr(supervisor, event)(STATES[name], NOW, *EXTRA.get(event, ()))
            assert not (out.state if isinstance(out, supervisor.Answer) else out).driving


def test_it_starts_disengaged():
    assert State().mode is IDLE
    assert not State().driving
    assert str(State()) == 'IDLE: started disengaged'


def test_chunks_are_wanted_in_sync_and_run_but_not_on_the_way_to_the_start_pose():
    assert [name for name, state in STATES.items() if state.engaged] == ['waiting', 'soft start', 'run']
    assert [name for name, state in STATES.items() if state.driving] == [
        'waiting', 'soft start', 'homing', 'run',
    ]  # fmt: skip


def test_the_soft_start_runs_from_the_first_chunk_and_ends_by_itself():
    now = supervisor.engage(State(), NOW).state
    assert str(now) == 'SYNC: waiting for the first chunk'
    assert supervisor.started(now, NOW + 10**12, 1000 * MS) is now
    now = supervisor.chunk_accepted(now, NOW, 1000 * MS)
    assert str(now) == 'SYNC: soft start'
    now = supervisor.chunk_accepted(now, NOW + 900 * MS, 1000 * MS)
    assert supervisor.started(now, NOW + 999 * MS, 1000 * MS) is now
    now = supervisor.started(now, NOW + 1000 * MS, 1000 * MS)
    assert (str(now), now.since_ns, now.chunk_ns) == (
        'RUN: following chunks', NOW + 1000 * MS, NOW + 900 * MS,
    )  # fmt: skip


def test_without_a_soft_start_the_first_chunk_runs():
    now = supervisor.chunk_accepted(supervisor.engage(State(), NOW).state, NOW)
    assert (now.mode, now.since_ns, now.chunk_ns, now.started_ns) == (RUN, NOW, NOW, NOW)


def test_chunks_keep_it_running_and_silence_holds_it():
    now = supervisor.engage(State(), NOW).state
    assert supervisor.chunk_stale(now, NOW + 10**12, 500 * MS) is now  # nothing moves yet, nothing to stop
    now = supervisor.chunk_accepted(now, NOW)
    now = supervisor.chunk_accepted(now, NOW + 400 * MS)
    assert (now.mode, now.since_ns, now.chunk_ns) == (RUN, NOW, NOW + 400 * MS)
    assert supervisor.chunk_stale(now, NOW + 900 * MS, 500 * MS) is now
    now = supervisor.chunk_stale(now, NOW + 901 * MS, 500 * MS)
    assert str(now) == 'HOLD: no chunk for 501 ms, limit 500 ms'
    assert now.cause == 'chunk_stale'


def test_an_engagement_that_nobody_answers_is_given_up():
    waiting = supervisor.engage(State(), NOW).state
    assert supervisor.chunk_missing(waiting, NOW + 2000 * MS, 2000 * MS) is waiting
    out = supervisor.chunk_missing(waiting, NOW + 2001 * MS, 2000 * MS)
    assert str(out) == 'IDLE: start refused: no chunk within 2.0 s of engaging'


@pytest.mark.parametrize(
    ('name', 'gate', 'in_a_row', 'mode', 'cause'),
    [
        ('waiting', 'names', 1, FAULT, 'wrong_names'),
        ('waiting', 'start', 1, IDLE, 'start_refused'),
        ('waiting', 'finite', 4, SYNC, ''),
        ('waiting', 'finite', 5, FAULT, 'rejects'),
        ('soft start', 'names', 1, SYNC, ''),
        ('run', 'names', 1, RUN, ''),
        ('run', 'names', 4, RUN, ''),
        ('run', 'limits', 5, FAULT, 'rejects'),
        ('homing', 'names', 9, SYNC, ''),
        ('idle', 'names', 9, IDLE, ''),
        ('hold', 'finite', 9, HOLD, 'operator'),
    ],
)
def test_what_rejected_chunks_lead_to(name, gate, in_a_row, mode, cause):
    out = supervisor.chunk_rejected(STATES[name], NOW, gate, f'{gate}: bad', in_a_row, 5)
    assert (out.mode, out.cause) == (mode, cause)
    assert out is STATES[name] or f'{gate}: bad' in out.reason


def test_a_fault_keeps_its_first_reason_and_clears_to_idle_only():
    now = supervisor.fault(STATES['run'], NOW, 'joints', 'joints lost')
    now = supervisor.fault(now, NOW + 1, 'other', 'something else')
    assert (str(now), now.cause) == ('FAULT: joints lost', 'joints')
    assert 'joints lost' in supervisor.engage(now, NOW).message
    cleared = supervisor.clear_fault(now, NOW).state
    assert cleared.mode is IDLE
    assert 'joints lost' in cleared.reason
