# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Figures of an episode are those of its arrays; duplicates are found whatever lies between them."""

import base64
import json
from itertools import combinations

import cv2
import numpy as np
import pytest
from bag_maker import example_contract
from made_episodes import irregular_episode

from dp_ros.data.episode_facts import episode_facts
from dp_ros.data.episode_file import write_episode
from dp_ros.data.episode_sketch import MOMENTS, NEAR, Sketch, pairs, sketch_of
from dp_ros.errors import StoreError

CONTRACT = example_contract()


def test_the_figures_are_those_of_the_arrays():
    episode = irregular_episode(CONTRACT, seed=1)
    bounds = {'left_j1': (-0.5, 0.5), 'left_j2': (-9.0, float('inf'))}
    facts = json.loads(json.dumps(episode_facts(episode, CONTRACT, bounds, pictures=True)))
    for j, joint in enumerate(facts['joints']):
        for which, values in (('measured', episode.proprio[:, -1, j]), ('commanded', episode.commands[:, j])):
            found = joint[which]
            expected = [values.mean(), values.std(), values.min(), values.max()]
            assert [found[k] for k in ('mean', 'std', 'min', 'max')] == pytest.approx(expected, abs=1e-5)
            assert found['count'] == len(values)
    first, second, finger = facts['joints']
    assert first['commanded']['outside'] == pytest.approx((np.abs(episode.commands[:, 0]) > 0.5).mean())
    assert (first['limits'], second['limits'], finger['limits']) == ([-0.5, 0.5], None, None)
    assert second['measured']['outside'] == 0.0
    assert 'outside' not in finger['measured']
    steps = np.diff(episode.stamps_ns)
    assert facts['gaps']['largest_ms'] == pytest.approx(steps.max() / 1e6, abs=0.01)
    assert facts['gaps']['long'] == (steps > 2.5 * np.median(steps)).sum()


def test_at_a_limit_is_not_outside():
    episode = irregular_episode(CONTRACT, seed=1)
    low, high = float(episode.commands[:, 0].min()), float(episode.commands[:, 0].max())
    facts = episode_facts(episode, CONTRACT, {'left_j1': (low, high)}, pictures=False)
    commanded = facts['joints'][0]['commanded']
    assert commanded['outside'] == 0.0
    assert commanded['at_limit'] >= 2 / len(episode.commands)


def test_pictures_are_what_first_middle_and_last_observation_show():
    episode = irregular_episode(CONTRACT, seed=1)
    episode.images['top'][:] = np.arange(len(episode.images['top']), dtype=np.uint8)[:, None, None, None] * 20
    facts = episode_facts(episode, CONTRACT, {}, pictures=True)
    shown = facts['cameras']['top']['pictures']
    assert [seconds for seconds, _ in shown] == sorted(seconds for seconds, _ in shown)
    for (_, data), place in zip(shown, (0, 10, 19), strict=True):
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert abs(int(pixels.mean()) - 20 * int(episode.image_index['top'][place, -1])) <= 2
    assert facts['cameras']['top']['contrast'] == 0.0
    assert facts['cameras']['top']['frames'] == len(np.unique(episode.image_index['top']))
    assert 'pictures' not in episode_facts(episode, CONTRACT, {}, pictures=False)['cameras']['top']


def test_a_sketch_tells_equal_and_different_episodes_apart(tmp_path):
    for name, seed in (('a', 1), ('b', 2), ('c', 1)):
        write_episode(irregular_episode(CONTRACT, seed), tmp_path / name)
    sketches = [sketch_of(tmp_path / name) for name in 'abc']
    assert sketches[0].path.shape == (MOMENTS, 6)
    assert [(p.first, p.second, p.equal) for p in pairs(sketches, CONTRACT)] == [(0, 2, True)]
    (tmp_path / 'b').write_bytes(b'nothing')
    with pytest.raises(StoreError, match='cannot be compared'):
        sketch_of(tmp_path / 'b')


def test_pairs_are_those_that_all_comparisons_would_find():
    rng = np.random.default_rng(0)
    near = np.array([NEAR['rad'], NEAR['rad'], NEAR['m']] * 2)
    centres = rng.normal(size=(6, MOMENTS, 6))
    sketches = [
        Sketch(centres[k % 6] + near * rng.uniform(-0.7, 0.7, (MOMENTS, 6)), 10 + (k % 4) * 0.15)
        for k in range(60)
    ]
    wanted = {
        (i, k)
        for i, k in combinations(range(60), 2)
        if (np.abs(sketches[i].path - sketches[k].path) <= near).all()
        and abs(sketches[i].seconds - sketches[k].seconds)
        <= 0.02 * max(sketches[i].seconds, sketches[k].seconds)
    }
    sketches.append(Sketch(sketches[0].path, sketches[0].seconds))
    wanted |= {(i, 60) for i, k in wanted if k == 0} | {(k, 60) for i, k in wanted if i == 0} | {(0, 60)}
    found = {(p.first, p.second) for p in pairs(sketches, CONTRACT)}
    assert found == wanted
