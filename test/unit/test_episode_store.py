# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Episode store: round trip, append, resume, damage, a full disk."""

import os
import resource
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import StoreError
from dp_ros.share import share_path


@pytest.fixture
def contract() -> Contract:
    return Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))


def make_episode(contract: Contract, seed: int, frames: int = 6) -> Episode:
    rng = np.random.default_rng(seed)
    width = len(contract.joint_names)
    return Episode(
        stamps_ns=np.arange(frames) * contract.timing.period_ns,
        proprio=rng.normal(size=(frames, width)).astype(np.float32),
        actions=rng.normal(size=(frames, width)).astype(np.float32),
        images={c.name: rng.integers(0, 256, (frames, *c.size, 3), dtype=np.uint8) for c in contract.cameras},
        privileged=rng.normal(size=(frames, 3)).astype(np.float32),
        metadata={'seed': str(seed), 'strict_success': 'True'},
    )


def assert_equal(a: Episode, b: Episode) -> None:
    assert a.metadata == b.metadata
    assert a.tensors().keys() == b.tensors().keys()
    for name, value in a.tensors().items():
        assert value.dtype == b.tensors()[name].dtype
        np.testing.assert_array_equal(value, b.tensors()[name])


def test_round_trip_append_and_resume(tmp_path: Path, contract: Contract) -> None:
    info = {'task': 'aloha_transfer_cube', 'settings': {'noise': 0.03}}
    episodes = [make_episode(contract, seed) for seed in (7, 9, 12)]
    episodes[1] = replace(episodes[1], privileged=None)
    with EpisodeStore.create(tmp_path / 's', contract, info) as store:
        assert [store.append(e) for e in episodes[:2]] == [0, 1]
    with EpisodeStore.open(tmp_path / 's', writable=True) as store:
        assert len(store) == 2
        assert store.append(episodes[2]) == 2
    store = EpisodeStore.open(tmp_path / 's')
    assert store.contract == contract
    assert store.info == info
    assert store.seeds() == [7, 9, 12]
    assert [e.seed for e in store] == [7, 9, 12]
    for written, read in zip(episodes, store, strict=True):
        assert_equal(written, read)


def test_a_store_is_not_overwritten_and_has_one_writer(tmp_path: Path, contract: Contract) -> None:
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        with pytest.raises(StoreError, match='already there'):
            EpisodeStore.create(tmp_path, contract, {})
        with pytest.raises(StoreError, match='another process'):
            EpisodeStore.open(tmp_path, writable=True)
        store.append(make_episode(contract, 0))
        assert len(EpisodeStore.open(tmp_path)) == 1
    reader = EpisodeStore.open(tmp_path)
    with pytest.raises(StoreError, match='writable=True'):
        reader.append(make_episode(contract, 1))


@pytest.mark.parametrize('change', ['short', 'flipped', 'header', 'garbage', 'empty'])
def test_damage_is_found(tmp_path: Path, contract: Contract, change: str) -> None:
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        store.append(make_episode(contract, 0))
    path = tmp_path / 'episodes' / '000000.safetensors'
    content = bytearray(path.read_bytes())
    if change == 'short':
        content = content[:-10]
    elif change == 'flipped':
        content[-1000] ^= 1
    elif change == 'header':
        content[0] ^= 255
    else:
        content = bytearray(b'' if change == 'empty' else b'not an episode at all')
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r'000000\.safetensors.*damaged'):
        EpisodeStore.open(tmp_path).read(0)


def test_a_store_that_cannot_be_made(tmp_path: Path, contract: Contract) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(StoreError, match='cannot make the store'):
        EpisodeStore.create(tmp_path / 'file' / 'store', contract, {})


def test_missing_and_damaged_stores(tmp_path: Path, contract: Contract) -> None:
    with pytest.raises(StoreError, match='no episode store'):
        EpisodeStore.open(tmp_path / 'nothing')
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        for seed in range(3):
            store.append(make_episode(contract, seed))
    with pytest.raises(StoreError, match='legal: 0 to 2'):
        store.read(3)
    (tmp_path / 'episodes' / '000001.safetensors').unlink()
    with pytest.raises(StoreError, match=r'expected 000001\.safetensors'):
        EpisodeStore.open(tmp_path)
    (tmp_path / 'store.json').write_text('{')
    with pytest.raises(StoreError, match=r'store\.json'):
        EpisodeStore.open(tmp_path)


def test_episodes_of_another_shape_are_refused_with_all_reasons(tmp_path: Path, contract: Contract) -> None:
    good = make_episode(contract, 0)
    bad = replace(good, actions=good.actions[:, :13], images={})
    broken = replace(good, proprio=np.full_like(good.proprio, np.nan))
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        with pytest.raises(StoreError, match=r'(?s)actions must be.*images\.top is missing'):
            store.append(bad)
        with pytest.raises(StoreError, match='not finite'):
            store.append(broken)
        assert len(store) == 0
        assert not any((tmp_path / 'episodes').iterdir())


def test_file_too_large_keeps_nothing(tmp_path: Path, contract: Contract) -> None:
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        store.append(make_episode(contract, 0))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            with pytest.raises(StoreError, match='nothing half written is kept'):
                store.append(make_episode(contract, 1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert os.listdir(tmp_path / 'episodes') == ['000000.safetensors']
        assert store.append(make_episode(contract, 1)) == 1
    assert_equal(EpisodeStore.open(tmp_path).read(1), make_episode(contract, 1))


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 200 KiB: room for two episodes."""
    path = tmp_path / 'disk'
    path.mkdir()
    mounted = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', 'size=200k', 'tmpfs', str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip('mounting a small file system needs root')
    yield path
    subprocess.run(['umount', str(path)], check=True)


def test_full_disk_keeps_nothing_half_written(small_disk: Path, contract: Contract) -> None:
    with EpisodeStore.create(small_disk / 's', contract, {}) as store:
        store.append(make_episode(contract, 0))
        store.append(make_episode(contract, 1))
        with pytest.raises(StoreError, match='No space left'):
            store.append(make_episode(contract, 2))
    with EpisodeStore.open(small_disk / 's', writable=True) as again:
        assert len(again) == 2
        for seed, episode in enumerate(again):
            assert_equal(episode, make_episode(contract, seed))


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path, contract: Contract) -> None:
    EpisodeStore.create(tmp_path, contract, {}).close()
    leftover = tmp_path / 'episodes' / '000000.safetensors.part'
    leftover.write_bytes(b'half')
    assert len(EpisodeStore.open(tmp_path)) == 0
    assert leftover.exists()
    EpisodeStore.open(tmp_path, writable=True).close()
    assert not leftover.exists()
