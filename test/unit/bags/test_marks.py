# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Marks of episodes as text."""

import json

import pytest

from dp_ros.bags.marks import EVENTS, OUTCOMES, Mark
from dp_ros.errors import BagError

MARK = Mark(
    event='stop',
    episode=3,
    stamp_ns=5,
    outcome='success',
    instruction='den Würfel\n"übergeben"',
    operator='Ω',
)


@pytest.mark.parametrize('event', EVENTS)
@pytest.mark.parametrize('outcome', OUTCOMES)
def test_a_mark_comes_back_as_it_was(event, outcome):
    mark = Mark(event=event, episode=0, stamp_ns=2**62, outcome=outcome)
    assert Mark.from_json(mark.to_json()) == mark


def test_text_of_any_language_stays_on_one_line():
    assert '\n' not in MARK.to_json()
    assert Mark.from_json(MARK.to_json()) == MARK


def test_what_a_later_version_added_is_left_out():
    assert Mark.from_json(json.dumps(json.loads(MARK.to_json()) | {'weather': 'fine'})) == MARK


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        ({'schema': 'another'}, 'schema'),
        ({'version': 2}, 'version'),
        ({'event': 'pause'}, 'pause'),
        ({'outcome': 'good'}, 'good'),
        ({'episode': -1}, '-1'),
        ({'episode': True}, 'True'),
        ({'stamp_ns': 1.5}, '1.5'),
        ({'instruction': None}, 'instruction'),
    ],
)
def test_what_is_no_mark_is_refused_by_name(change, named):
    with pytest.raises(BagError, match=named):
        Mark.from_json(json.dumps(json.loads(MARK.to_json()) | change))


@pytest.mark.parametrize('text', ['', '{', '[]', 'null', '"start"', MARK.to_json()[:-9]])
def test_damaged_text_is_refused(text):
    with pytest.raises(BagError, match='mark'):
        Mark.from_json(text)
