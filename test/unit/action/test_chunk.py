# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Chunks: names, ids, arms, and no aliasing."""

import numpy as np
import pytest

from dp_ros.action.chunk import ActionChunk, parse_id
from dp_ros.contract import Arm, Embodiment, Joint
from dp_ros.errors import ChunkError, MessageError

BODY = Embodiment(
    arms=(
        Arm(name='left', joints=(Joint(name='l1'), Joint(name='l2')), gripper=Joint(name='lg', unit='m')),
        Arm(name='right', joints=(Joint(name='r1'),)),
    )
)


def chunk(**changes):
    values = {
        'stamp_ns': 5,
        'period_ns': 40,
        'joint_names': BODY.joint_names,
        'positions': np.arange(12.0).reshape(3, 4),
        'contract_hash': '0123456789abcdef',
        'epoch': 2,
        'seq': 7,
    }
    return ActionChunk(**{**values, **changes})


def test_id_parses_back_and_an_empty_id_is_legal():
    assert chunk().id == '01234567:2:7'
    assert parse_id(chunk().id) == ('01234567', 2, 7)
    assert parse_id('') == ('', 0, 0)
    for text in ('base_link', 'a:b:c', '1:2', 'x:-1:2'):
        with pytest.raises(MessageError, match='chunk id'):
            parse_id(text)


def test_end_is_the_time_of_the_last_row():
    assert chunk().end_ns == 5 + 2 * 40


def test_positions_are_a_read_only_copy():
    source = np.arange(12.0).reshape(3, 4)
    made = chunk(positions=source)
    source[:] = -1.0
    assert made.positions[2, 3] == 11.0
    with pytest.raises(ValueError, match='read-only'):
        made.positions[0, 0] = 1.0


def test_split_and_join_are_inverse():
    rng = np.random.default_rng(0)
    for length in (1, 2, 32):
        whole = chunk(positions=rng.normal(size=(length, 4)))
        parts = whole.split(BODY)
        assert {name: part.joint_names for name, part in parts.items()} == {
            'left': ('l1', 'l2', 'lg'),
            'right': ('r1',),
        }
        np.testing.assert_array_equal(parts['right'].positions, whole.for_arm(BODY, 'right'))
        again = ActionChunk.join(BODY, dict(reversed(parts.items())))
        assert (again.id, again.stamp_ns, again.joint_names) == (whole.id, whole.stamp_ns, whole.joint_names)
        np.testing.assert_array_equal(again.positions, whole.positions)


def test_join_refuses_arms_that_do_not_belong_together():
    parts = chunk().split(BODY)
    with pytest.raises(ChunkError, match=r"arms must be .*'right'"):
        ActionChunk.join(BODY, {'left': parts['left']})
    with pytest.raises(ChunkError, match='stamp_ns of arm'):
        ActionChunk.join(BODY, {**parts, 'right': chunk(stamp_ns=6).split(BODY)['right']})


def test_reordering_goes_by_name():
    names = ('r1', 'lg', 'l1', 'l2')
    moved = chunk().reordered(names)
    assert moved.joint_names == names
    np.testing.assert_array_equal(moved.positions[0], [3, 2, 0, 1])
    np.testing.assert_array_equal(moved.reordered(BODY.joint_names).positions, chunk().positions)


def test_wrong_names_are_all_listed():
    with pytest.raises(ChunkError, match=r"missing \['x'\], unknown \['l1', 'l2'\]") as caught:
        chunk().reordered(('lg', 'r1', 'x'))
    assert caught.value.gate == 'names'


@pytest.mark.parametrize('shape', [(0, 4), (3, 3), (4,)])
def test_wrong_shape_is_refused(shape):
    with pytest.raises(ChunkError, match='shape'):
        chunk(positions=np.zeros(shape))
