# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Every event in every mode."""

import pytest

from dp_ros.action import supervisor
from dp_ros.action.supervisor import Mode, State

MS = 1_000_000
NOW = 9_000 * MS
IDLE, SYNC, RUN, HOLD, FAULT = Mode

# mode after the event, for the modes IDLE SYNC RUN HOLD FAULT; a service that refuses keeps the mode
AFTER = {
    'engage': (SYNC, SYNC, RUN, SYNC, FAULT),
    'disengage': (IDLE, IDLE, IDLE, IDLE, FAULT),
    'hold': (IDLE, HOLD, HOLD, HOLD, FAULT),
    'clear_fault': (IDLE, SYNC, RUN, HOLD, IDLE),
    'chunk_accepted': (IDLE, RUN, RUN, HOLD, FAULT),
    'start_refused': (IDLE, IDLE, RUN, HOLD, FAULT),
    'chunk_stale': (IDLE, SYNC, HOLD, HOLD, FAULT),
    'fault': (FAULT, FAULT, FAULT, FAULT, FAULT),
}
REFUSED = {('engage', FAULT), ('hold', IDLE), ('hold', FAULT)} | {
    ('clear_fault', mode) for mode in (IDLE, SYNC, RUN, HOLD)
}
EXTRA = {'start_refused': ('too far',), 'chunk_stale': (500 * MS,), 'fault': ('lost',)}


def state(mode):
    return State(mode, 'because', NOW - 900 * MS, NOW - 501 * MS if mode is RUN else None)


@pytest.mark.parametrize('event', list(AFTER))
@pytest.mark.parametrize('mode', list(Mode))
def test_transition(event, mode):
    before = state(mode)
    out = getattr(supervisor, event)(before, NOW, *EXTRA.get(event, ()))
    after = out.state if isinstance(out, supervisor.Answer) else out
    assert after.mode is AFTER[event][list(Mode).index(mode)]
    assert before == state(mode)
    assert after.since_ns == (before.since_ns if after.mode is mode else NOW)
    if isinstance(out, supervisor.Answer):
        assert out.success == ((event, mode) not in REFUSED)
        assert out.message


def test_it_starts_disengaged():
    assert State().mode is IDLE
    assert not State().engaged
    assert str(State()) == 'IDLE: started disengaged'


def test_engaged_is_sync_and_run():
    assert [mode for mode in Mode if state(mode).engaged] == [SYNC, RUN]


def test_chunks_keep_it_running_and_silence_holds_it():
    now = supervisor.engage(State(), NOW).state
    assert supervisor.chunk_stale(now, NOW + 10**12, 500 * MS) == now  # nothing moves yet, nothing to stop
    now = supervisor.chunk_accepted(now, NOW)
    now = supervisor.chunk_accepted(now, NOW + 400 * MS)
    assert (now.mode, now.since_ns, now.chunk_ns) == (RUN, NOW, NOW + 400 * MS)
    assert supervisor.chunk_stale(now, NOW + 900 * MS, 500 * MS) is now
    now = supervisor.chunk_stale(now, NOW + 901 * MS, 500 * MS)
    assert str(now) == 'HOLD: no chunk for 501 ms, limit 500 ms'


def test_a_fault_keeps_its_first_reason_and_clears_to_idle_only():
    now = supervisor.fault(state(RUN), NOW, 'joints lost')
    now = supervisor.fault(now, NOW + 1, 'something else')
    assert str(now) == 'FAULT: joints lost'
    assert 'joints lost' in supervisor.engage(now, NOW).message
    cleared = supervisor.clear_fault(now, NOW).state
    assert cleared.mode is IDLE
    assert 'joints lost' in cleared.reason


def test_a_refused_start_says_why():
    assert 'a: action 1' in supervisor.start_refused(state(SYNC), NOW, 'a: action 1').reason
