# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Episode store: round trip, append, sources, damage, older and newer versions."""

import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_episodes import irregular_episode, regular_episode
from safetensors.numpy import load_file, save_file

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.data.episode_file import write_episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import StoreError
from dp_ros.share import share_path


@pytest.fixture
def contract() -> Contract:
    return Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))


def assert_equal(a: Episode, b: Episode) -> None:
    assert a.metadata == b.metadata
    assert a.tensors().keys() == b.tensors().keys()
    for name, value in a.tensors().items():
        assert value.dtype == b.tensors()[name].dtype
        np.testing.assert_array_equal(value, b.tensors()[name])


def bag(name: str, **more: object) -> dict:
    return {'name': name, 'sha256': f'hash of {name}', **more}


def test_round_trip_append_and_resume(tmp_path: Path, contract: Contract) -> None:
    info = {'task': 'aloha_transfer_cube', 'settings': {'noise': 0.03}}
    episodes = [regular_episode(contract, seed) for seed in (7, 9, 12)]
    episodes[1] = replace(episodes[1], privileged=None)
    with EpisodeStore.create(tmp_path / 's', contract, info) as store:
        assert [store.append(e) for e in episodes[:2]] == [0, 1]
    with EpisodeStore.open(tmp_path / 's', writable=True) as store:
        assert len(store) == 2
        assert store.append(episodes[2]) == 2
    store = EpisodeStore.open(tmp_path / 's')
    assert store.contract == contract
    assert (store.version, store.info, store.sources) == (2, info, ())
    assert store.seeds() == [7, 9, 12]
    assert [e.seed for e in store] == [7, 9, 12]
    for written, read in zip(episodes, store, strict=True):
        assert_equal(written, read)
    with pytest.raises(ValueError, match='read-only'):
        store.read(0).commands[0] = 0
    # Any reader of safetensors opens the files.
    assert (
        load_file(tmp_path / 's' / 'episodes' / '000000.safetensors').keys() == episodes[0].tensors().keys()
    )


def test_the_episodes_of_a_bag_come_all_or_none_with_their_source(tmp_path: Path, contract: Contract) -> None:
    episodes = [irregular_episode(contract, seed) for seed in range(5)]

    def failing():
        yield episodes[2]
        raise ZeroDivisionError

    with EpisodeStore.create(tmp_path, contract, {}) as store:
        store.append(regular_episode(contract, 7))
        assert store.append_all(episodes[:2], bag('one', settings={'namespace': ''})) == range(1, 3)
        before = (tmp_path / 'store.json').read_bytes()
        with pytest.raises(ZeroDivisionError):
            store.append_all(failing(), bag('two'))
        with pytest.raises(StoreError, match='not finite'):
            bad = replace(episodes[3], commands=np.full_like(episodes[3].commands, np.nan))
            store.append_all([episodes[2], bad], bag('two'))
        with pytest.raises(StoreError, match='no episodes given'):
            store.append_all([], bag('two'))
        with pytest.raises(StoreError, match=r"renamed is here already, imported 20.* as 'one'"):
            store.append_all(episodes[2:], {**bag('one'), 'name': 'renamed'})
        with pytest.raises(StoreError, match=r"needs 'sha256'"):
            store.append_all(episodes[2:], {'name': 'two'})
        with pytest.raises(StoreError, match='JSON cannot say it'):
            store.append_all(episodes[2:], bag('two', path=tmp_path))
        assert (tmp_path / 'store.json').read_bytes() == before
        assert len(list((tmp_path / 'episodes').iterdir())) == len(store) == 3
        assert store.append_all(episodes[2:], bag('two')) == range(3, 6)
    store = EpisodeStore.open(tmp_path)
    assert [(s['name'], s['episodes']) for s in store.sources] == [('one', [1, 2]), ('two', [3, 4, 5])]
    assert store.sources[0]['settings'] == {'namespace': ''}
    for k, episode in enumerate(episodes):
        assert_equal(store.read(1 + k), episode)


def test_a_source_can_be_replaced(tmp_path: Path, contract: Contract) -> None:
    episodes = [irregular_episode(contract, seed) for seed in range(5)]
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        store.append_all(episodes[:2], bag('one'))
        store.append_all(episodes[2:3], bag('two'))
        mapped = store.read(0)
        assert store.append_all(episodes[3:], bag('one'), replace=True) == range(1, 3)
        assert_equal(mapped, episodes[0])  # who reads it goes on reading it
    store = EpisodeStore.open(tmp_path)
    assert [s['name'] for s in store.sources] == ['two', 'one']
    for got, wanted in zip(store, episodes[2:], strict=True):
        assert_equal(got, wanted)
    assert len(list((tmp_path / 'episodes').iterdir())) == 3


def test_files_that_other_processes_wrote_are_taken_in(tmp_path: Path, contract: Contract) -> None:
    episodes = [irregular_episode(contract, seed) for seed in range(2)]
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        files = [store.staging() / f'{k}.safetensors' for k in range(2)]
        for file, episode in zip(files, episodes, strict=True):
            write_episode(episode, file)
        (store.staging() / 'damaged').write_bytes(files[1].read_bytes()[:-5])
        with pytest.raises(StoreError, match='damaged'):
            store.append_all([store.staging() / 'damaged'], bag('damaged'))
        assert store.append_all(files, bag('one')) == range(2)
        assert not files[0].exists()
    for got, wanted in zip(EpisodeStore.open(tmp_path), episodes, strict=True):
        assert_equal(got, wanted)
    EpisodeStore.open(tmp_path, writable=True).close()
    assert not (tmp_path / 'staging').exists()


def test_a_store_is_not_overwritten_and_has_one_writer(tmp_path: Path, contract: Contract) -> None:
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        with pytest.raises(StoreError, match='already there'):
            EpisodeStore.create(tmp_path, contract, {})
        with pytest.raises(StoreError, match='another process'):
            EpisodeStore.open(tmp_path, writable=True)
        store.append(regular_episode(contract, 0))
        assert len(EpisodeStore.open(tmp_path)) == 1
    reader = EpisodeStore.open(tmp_path)
    with pytest.raises(StoreError, match='writable=True'):
        reader.append(regular_episode(contract, 1))


@pytest.mark.parametrize('change', ['short', 'long', 'flipped', 'metadata', 'header', 'garbage', 'empty'])
def test_damage_is_found(tmp_path: Path, contract: Contract, change: str) -> None:
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        store.append(regular_episode(contract, 0))
    path = tmp_path / 'episodes' / '000000.safetensors'
    content = bytearray(path.read_bytes())
    if change == 'short':
        content = content[:-10]
    elif change == 'long':
        content += b'more'
    elif change == 'flipped':
        content[-1000] ^= 1
    elif change == 'metadata':
        content = content.replace(b'strict_success', b'strict_sukcess')
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
    (tmp_path / 'episodes').mkdir()
    (tmp_path / 'episodes' / '000000.safetensors').write_text('')
    with pytest.raises(StoreError, match='holds episodes but no store'):
        EpisodeStore.create(tmp_path, contract, {})


def test_missing_and_damaged_stores(tmp_path: Path, contract: Contract) -> None:
    for writable in (False, True):
        with pytest.raises(StoreError, match='no episode store'):
            EpisodeStore.open(tmp_path / 'nothing', writable)
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        for seed in range(3):
            store.append(regular_episode(contract, seed))
    with pytest.raises(StoreError, match='legal: 0 to 2'):
        store.read(3)
    (tmp_path / 'episodes' / '000001.safetensors').unlink()
    with pytest.raises(StoreError, match=r'000001\.safetensors is missing \(1 of 3\)'):
        EpisodeStore.open(tmp_path)
    (tmp_path / 'store.json').write_text('{')
    with pytest.raises(StoreError, match=r'store\.json'):
        EpisodeStore.open(tmp_path)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'dp_store': 3}, 'dp_store is 3; this dp_ros reads versions 1 and 2'),
        ({'dp_store': 0}, 'dp_store is 0; this dp_ros reads'),
        ({'episodes': [0, 0]}, 'damaged'),
        ({'episodes': ['zero']}, 'damaged'),
        ({'sources': [{'name': 'b', 'sha256': 'x', 'episodes': [4]}]}, 'damaged'),
        ({'sources': [{'name': 'b'}]}, 'damaged'),
        ({'info': None}, 'damaged'),
    ],
)
def test_an_index_that_cannot_be_understood(
    tmp_path: Path, contract: Contract, change: dict, message: str
) -> None:
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        store.append(regular_episode(contract, 0))
    index = json.loads((tmp_path / 'store.json').read_text())
    (tmp_path / 'store.json').write_text(json.dumps({**index, **change}))
    with pytest.raises(StoreError, match=rf'store\.json: {message}'):
        EpisodeStore.open(tmp_path)
    (tmp_path / 'store.json').write_text('[2]')
    with pytest.raises(StoreError, match='dp_store is None'):
        EpisodeStore.open(tmp_path)


def test_episodes_of_another_shape_are_refused_with_all_reasons(tmp_path: Path, contract: Contract) -> None:
    good = regular_episode(contract, 0)
    cases = {
        r'(?s)commands must be.*images\.top is missing': {'commands': good.commands[:, :13], 'images': {}},
        'proprio holds values that are not finite': {'proprio': np.full_like(good.proprio, np.nan)},
        r'proprio must be float32 \(6, 1, 14\)': {'proprio': good.proprio[:, 0]},
        r'image_index.top must lie between 0 and 5': {'image_index': {'top': good.image_index['top'] + 1}},
        'unknown tensor .image_index.wrist': {'image_index': {**good.image_index, 'wrist': good.stamps_ns}},
        'command_stamps_ns must hold at least one stamp and increase': {
            'command_stamps_ns': good.stamps_ns[::-1]
        },
        r'images.top must be uint8 \(any, 64, 64, 3\)': {'images': {'top': good.images['top'][:0]}},
        r'privileged must be float32': {'privileged': good.privileged[1:]},
        'stamps_ns must hold at least one stamp': {
            'stamps_ns': good.stamps_ns[:0], 'proprio': good.proprio[:0], 'privileged': None,
            'image_index': {'top': good.image_index['top'][:0]},
        },
    }  # fmt: skip
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        for message, change in cases.items():
            with pytest.raises(StoreError, match=message):
                store.append(replace(good, **change))
        assert len(store) == 0
        assert not any((tmp_path / 'episodes').iterdir())


@pytest.fixture
def version_1(tmp_path: Path, contract: Contract) -> tuple[Path, list[Episode]]:
    """A store as version 1 wrote it: frames one period apart, the history left to the reader."""
    path, episodes = tmp_path / 'old', [regular_episode(contract, seed) for seed in (3, 5)]
    EpisodeStore.create(path, contract, {}).close()
    (path / 'store.json').write_text(json.dumps({'dp_store': 1, 'task': 'aloha_transfer_cube'}))
    for k, e in enumerate(episodes):
        tensors = {
            'stamps_ns': e.stamps_ns, 'proprio': e.proprio[:, -1], 'actions': e.commands,
            'images.top': e.images['top'], 'privileged': e.privileged,
        }  # fmt: skip
        value = 0
        for name in sorted(tensors):
            value = zlib.crc32(tensors[name].tobytes(), zlib.crc32(name.encode(), value))
        save_file(
            {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
            path / 'episodes' / f'{k:06d}.safetensors',
            {**e.metadata, 'crc32': f'{value:08x}'},
        )
    return path, episodes


def test_a_store_of_version_1_is_read_but_not_written(version_1: tuple[Path, list[Episode]]) -> None:
    path, episodes = version_1
    (path / 'episodes' / '000002.safetensors.part').write_bytes(b'half')
    store = EpisodeStore.open(path)
    assert (store.version, len(store), store.info) == (1, 2, {'task': 'aloha_transfer_cube'})
    assert store.seeds() == [3, 5]
    for written, read in zip(episodes, store, strict=True):
        assert_equal(read, written)
    with pytest.raises(StoreError, match='version 1 is read as it is but not written any more'):
        EpisodeStore.open(path, writable=True)
    EpisodeStore.open(path)
    shutil.move(path / 'episodes' / '000000.safetensors', path / 'episodes' / '000007.safetensors')
    with pytest.raises(StoreError, match=r'expected 000000\.safetensors'):
        EpisodeStore.open(path)
