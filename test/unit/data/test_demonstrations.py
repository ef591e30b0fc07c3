# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Windows: by index for regular episodes, by the commands' curve for any, and the same from a store as from memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_episodes import irregular_episode, regular_episode

from dp_ros.contract import Arm, Camera, Contract, Embodiment, Joint, Timing
from dp_ros.data.demonstrations import Demonstrations, Windows
from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import StoreError

CONTRACT = Contract(
    name='toy',
    embodiment=Embodiment(arms=(Arm(name='arm', joints=(Joint(name='a'), Joint(name='b'))),)),
    cameras=(
        Camera(name='top', source_size=(8, 8), crop=(0, 0, 8, 8), size=(8, 8)),
        Camera(name='wrist', source_size=(6, 8), crop=(0, 0, 6, 8), size=(6, 8)),
    ),
    timing=Timing(obs_horizon=3, pred_horizon=8, action_horizon=2, period_ns=40_000_000),
)
TIMING = CONTRACT.timing


def assert_same(a: Windows, b: Windows) -> None:
    assert torch.equal(a.proprio, b.proprio)
    assert torch.equal(a.actions, b.actions)
    assert torch.equal(a.valid, b.valid)
    assert a.images.keys() == b.images.keys()
    assert all(torch.equal(a.images[name], b.images[name]) for name in a.images)


def test_windows_of_regular_episodes_are_rows_by_index() -> None:
    made = [regular_episode(CONTRACT, seed, n) for seed, n in ((0, 3), (1, 1), (2, 30))]
    # Minus zero is a value that arithmetic would lose.
    made[2].commands[4] = -0.0
    data = Demonstrations(CONTRACT, made)
    assert data.lengths == [3, 1, 30] and len(data) == 34
    windows = data.windows(torch.arange(34))
    n = 0
    for episode in made:
        count = len(episode)
        newest = episode.proprio[:, -1]
        for k in range(count):
            seen = np.maximum([k - 2, k - 1, k], 0)
            ahead = np.arange(k, k + TIMING.pred_horizon)
            assert windows.proprio[n].numpy().tobytes() == newest[seen].tobytes()
            assert (
                windows.actions[n].numpy().tobytes()
                == episode.commands[np.minimum(ahead, count - 1)].tobytes()
            )
            assert windows.valid[n].tolist() == (ahead < count).tolist()
            for name, image in episode.images.items():
                assert (windows.images[name][n].numpy() == image[seen]).all()
            n += 1
    assert data.actions.numpy().tobytes() == np.concatenate([e.commands for e in made]).tobytes()


def test_labels_of_irregular_anchors_lie_on_the_curve() -> None:
    made = [irregular_episode(CONTRACT, seed) for seed in range(3)] + [regular_episode(CONTRACT, 3)]
    data = Demonstrations(CONTRACT, made)
    held = Demonstrations(CONTRACT, made, hold_after_end=True)
    windows = data.windows(torch.arange(len(data)))
    assert held.windows(torch.arange(len(data))).valid.all()
    n = 0
    for episode in made:
        for k, stamp_ns in enumerate(episode.stamps_ns):
            at_ns = stamp_ns + np.arange(TIMING.pred_horizon) * TIMING.period_ns
            since = (at_ns - episode.command_stamps_ns[0]).astype(float)
            points = (episode.command_stamps_ns - episode.command_stamps_ns[0]).astype(float)
            for joint in range(2):  # np.interp holds at both ends as well
                wanted = np.interp(since, points, episode.commands[:, joint].astype(float))
                np.testing.assert_allclose(windows.actions[n, :, joint], wanted, atol=1e-6)
            assert windows.valid[n].tolist() == (at_ns <= episode.command_stamps_ns[-1]).tolist()
            assert (windows.proprio[n].numpy() == episode.proprio[k]).all()
            for name, image in episode.images.items():
                assert (windows.images[name][n].numpy() == image[episode.image_index[name][k]]).all()
            n += 1
    assert not windows.valid.all() and windows.valid.any()


def test_a_label_on_a_point_is_the_point_and_neighbours_do_not_matter() -> None:
    episode = irregular_episode(CONTRACT, 0)
    on_points = replace(episode, command_stamps_ns=episode.stamps_ns, commands=episode.commands[:20])
    alone = Demonstrations(CONTRACT, [on_points])
    assert alone.actions.numpy().tobytes() == on_points.commands.tobytes()
    amid = Demonstrations(
        CONTRACT, [irregular_episode(CONTRACT, 1), on_points, irregular_episode(CONTRACT, 2)]
    )
    assert_same(amid.windows(torch.arange(20, 40)), alone.windows(torch.arange(20)))


def test_a_store_gives_the_same_windows_as_memory_and_keeps_no_file_open(tmp_path: Path) -> None:
    made = [irregular_episode(CONTRACT, seed) for seed in range(30)]
    with EpisodeStore.create(tmp_path, CONTRACT, {}) as store:
        store.append_all(made, {'name': 'bag', 'sha256': '1'})
    opened = len(list(Path('/proc/self/fd').iterdir()))
    stored = Demonstrations(CONTRACT, EpisodeStore.open(tmp_path))
    assert len(list(Path('/proc/self/fd').iterdir())) <= opened
    index = torch.randint(len(stored), (64,))
    assert_same(stored.windows(index), Demonstrations(CONTRACT, made).windows(index))


def test_what_cannot_be_trained_on_is_refused() -> None:
    with pytest.raises(StoreError, match='no episodes'):
        Demonstrations(CONTRACT, [])
    with pytest.raises(StoreError, match='40000000 ns apart'):
        Episode.regular(
            TIMING,
            stamps_ns=np.arange(3) * 50_000_000,
            proprio=np.zeros((3, 2), np.float32),
            images={},
            actions=np.zeros((3, 2), np.float32),
        )
