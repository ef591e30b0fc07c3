# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What training draws as goals of its samples."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_episodes import regular_episode

from dp_ros.contract import Arm, Camera, Contract, Embodiment, Joint, Timing
from dp_ros.data.demonstrations import Demonstrations
from dp_ros.errors import StoreError

CONTRACT = Contract(
    name='goals',
    embodiment=Embodiment(arms=(Arm(name='arm', joints=(Joint(name='a'),)),)),
    cameras=(Camera(name='top', source_size=(8, 8), crop=(0, 0, 8, 8), size=(8, 8)),),
    timing=Timing(obs_horizon=2, pred_horizon=4, action_horizon=2, period_ns=40_000_000),
    goals=('instruction', 'image'),
)
NONE, TEXT, IMAGE = range(3)
PUSH, OPEN = ('push', 'press it'), ('open',)


def episode(seed, texts):
    made = regular_episode(CONTRACT, seed)
    text = {'instruction': texts[0] if len(texts) == 1 else json.dumps(texts)} if texts else {}
    return replace(made, metadata=text)


def demonstrations(*texts, contract=CONTRACT, **settings):
    return Demonstrations(contract, [episode(i, t) for i, t in enumerate(texts)], **settings)


def draw(data, numbers, image_share=0.5, dropout=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return data.goals.draw(np.array(numbers), generator, image_share, dropout)


def test_each_sample_has_a_goal_that_its_episode_has():
    data = demonstrations(PUSH, (), OPEN)
    numbers = [0, 1, 2] * 200
    drawn = draw(data, numbers)
    kinds = {n: set(drawn.kind_B[n::3].tolist()) for n in range(3)}
    assert kinds == {0: {TEXT, IMAGE}, 1: {IMAGE}, 2: {TEXT, IMAGE}}
    said = {n: {data.goals.texts[i] for i in drawn.text_B[n::3] if i >= 0} for n in range(3)}
    assert said == {0: set(PUSH), 1: set(), 2: set(OPEN)}
    assert draw(data, [0] * 50, image_share=0.0).kind_B.unique().tolist() == [TEXT]
    assert draw(data, [0] * 50, image_share=1.0).kind_B.unique().tolist() == [IMAGE]
    assert torch.equal(drawn.kind_B, draw(data, numbers).kind_B)


def test_goals_are_dropped_per_sample():
    data = demonstrations(PUSH)
    kept, dropped = draw(data, [0] * 2000), draw(data, [0] * 2000, dropout=0.1)
    gone = dropped.kind_B == NONE
    assert 120 < gone.sum() < 280
    assert torch.equal(dropped.kind_B[~gone], kept.kind_B[~gone])  # the others are what they were
    assert draw(data, [0] * 50, dropout=1.0).kind_B.unique().tolist() == [NONE]


def test_the_goal_image_is_the_last_picture():
    data = demonstrations(PUSH, OPEN)
    pictures = data.goals.pictures(np.array([1, 0]), torch.tensor([True, True]))
    for row, seed in enumerate((1, 0)):
        assert np.array_equal(pictures[row], episode(seed, PUSH).images['top'][-1])


def test_equal_instructions_are_one_task():
    data = demonstrations(PUSH, OPEN, PUSH, ())
    task = draw(data, range(4)).task_B.tolist()
    assert task[0] == task[2] != task[1]
    assert task[3] == -1


def test_a_share_of_each_task_keeps_its_text_but_one_at_least():
    texts = [PUSH] * 50 + [OPEN] * 10

    def labelled(share, seed=0):
        data = demonstrations(*texts, labelled_share=share, seed=seed)
        return (draw(data, range(60), image_share=0.0).text_B >= 0).numpy(), data

    for share, push, opened in ((1.0, 50, 10), (0.1, 5, 1), (0.02, 1, 1)):
        kept, data = labelled(share)
        assert (kept[:50].sum(), kept[50:].sum()) == (push, opened)
        assert set(data.goals.texts) == {*PUSH, *OPEN}
    assert np.array_equal(labelled(0.1)[0], labelled(0.1)[0])
    assert not np.array_equal(labelled(0.1)[0], labelled(0.1, seed=1)[0])


def test_kinds_that_the_contract_lacks_are_never_drawn():
    text_only = demonstrations(PUSH, (), contract=replace(CONTRACT, goals=('instruction',)))
    assert draw(text_only, [0, 1] * 20).kind_B.tolist() == [TEXT, NONE] * 20
    assert text_only.goals.pictures(np.array([0]), torch.tensor([True])) is None
    image_only = demonstrations(PUSH, (), contract=replace(CONTRACT, goals=('image',)))
    assert draw(image_only, [0, 1] * 20).kind_B.tolist() == [IMAGE, IMAGE] * 20
    assert demonstrations(PUSH, contract=replace(CONTRACT, goals=())).goals is None
    with pytest.raises(StoreError, match='no episode has one'):
        demonstrations((), contract=replace(CONTRACT, goals=('instruction',)))


@pytest.mark.parametrize('text', ['["push", 3]', '["push"', '[""]'])
def test_broken_paraphrases_are_refused(text):
    with pytest.raises(StoreError, match='metadata instruction'):
        _ = replace(episode(0, ()), metadata={'instruction': text}).instructions


def test_later_pictures_stay_within_the_episode():
    data = demonstrations(PUSH, OPEN)  # six anchors each
    later = data.future(torch.tensor([0, 4, 7]), steps=3)['top']
    wanted = [episode(0, PUSH).images['top'][i] for i in (3, 5)] + [episode(1, OPEN).images['top'][4]]
    assert np.array_equal(later, np.stack(wanted))
