# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What an operator may do when, and the marks that come of it."""

import pytest

from dp_ros.nodes.record_episodes import EpisodeLog, Refused


def test_a_session_in_marks():
    log = EpisodeLog('Eva', 'stack')
    marks = [log.start(1), log.judge(2, 'success'), log.start(3), log.stop(4), log.judge(5, 'discard')]
    assert [(m.event, m.episode, m.stamp_ns, m.outcome) for m in marks] == [
        ('start', 0, 1, 'unmarked'),
        ('stop', 0, 2, 'success'),
        ('start', 1, 3, 'unmarked'),
        ('stop', 1, 4, 'unmarked'),
        ('judge', 1, 5, 'discard'),
    ]
    assert {(m.operator, m.instruction) for m in marks} == {('Eva', 'stack')}
    assert log.outcomes == {0: 'success', 1: 'discard'}


def test_a_new_instruction_waits_for_the_next_episode():
    log = EpisodeLog('', 'stack')
    started = log.start(1)
    log.instruction = 'unstack'
    assert {started.instruction, log.stop(2).instruction, log.judge(3, 'failure').instruction} == {'stack'}
    assert log.start(4).instruction == 'unstack'


def test_what_does_not_fit_the_moment_is_refused_and_changes_nothing():
    log = EpisodeLog('', '')
    with pytest.raises(Refused, match='no episode is being recorded'):
        log.stop(1)
    with pytest.raises(Refused, match='yet'):
        log.judge(1, 'success')
    log.start(1)
    with pytest.raises(Refused, match='episode 0'):
        log.start(2)
    assert (log.recording, log.episode, log.start_ns, log.outcomes) == (True, 0, 1, {})
