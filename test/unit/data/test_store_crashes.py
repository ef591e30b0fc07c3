# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Episode store: a full disk, and a writer that is killed at any moment, leave the store as it was."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made_episodes import irregular_episode, regular_episode

from dp_ros.contract import Contract
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import StoreError
from dp_ros.share import share_path


@pytest.fixture
def contract() -> Contract:
    return Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))


def test_file_too_large_keeps_nothing(tmp_path: Path, contract: Contract) -> None:
    source = {'name': 'bag', 'sha256': '1'}
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        store.append(regular_episode(contract, 0))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        try:
            with pytest.raises(StoreError, match='nothing half written is kept'):
                # The first fits, the second does not.
                store.append_all([regular_episode(contract, 1, 2), regular_episode(contract, 2)], source)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert os.listdir(tmp_path / 'episodes') == ['000000.safetensors']
        assert store.append_all([regular_episode(contract, 1)], source) == range(1, 2)
    assert EpisodeStore.open(tmp_path).seeds() == [0, 1]


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 260 KiB: room for three episodes."""
    path = tmp_path / 'disk'
    path.mkdir()
    mounted = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', 'size=260k', 'tmpfs', str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip('mounting a small file system needs root')
    yield path
    subprocess.run(['umount', str(path)], check=True)


def test_full_disk_keeps_nothing_half_written(small_disk: Path, contract: Contract) -> None:
    with EpisodeStore.create(small_disk / 's', contract, {}) as store:
        store.append(regular_episode(contract, 0))
        before = (small_disk / 's' / 'store.json').read_bytes()
        with pytest.raises(StoreError, match='No space left'):
            store.append_all(
                (regular_episode(contract, k) for k in range(1, 9)), {'name': 'bag', 'sha256': '1'}
            )
        assert (small_disk / 's' / 'store.json').read_bytes() == before
        assert os.listdir(small_disk / 's' / 'episodes') == ['000000.safetensors']
        assert store.append(regular_episode(contract, 2)) == 1
    assert EpisodeStore.open(small_disk / 's').seeds() == [0, 2]


# Appends bags of three episodes without end, and says so before each; run in test/unit/data.
_WRITER = """
import sys
from pathlib import Path
from made_episodes import irregular_episode
from dp_ros.data.episode_store import EpisodeStore
with EpisodeStore.open(Path(sys.argv[1]), writable=True) as store:
    for bag in range(len(store) // 3, 10_000):
        print(bag, flush=True)
        made = (irregular_episode(store.contract, 3 * bag + k) for k in range(3))
        store.append_all(made, {'name': f'bag {bag}', 'sha256': str(bag)})
"""


def test_a_writer_killed_at_any_moment_leaves_whole_bags(tmp_path: Path, contract: Contract) -> None:
    EpisodeStore.create(tmp_path / 's', contract, {}).close()
    wait, committed = random.Random(0), 0
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, '-c', _WRITER, str(tmp_path / 's')],
            cwd=Path(__file__).parent, stdout=subprocess.PIPE,
            env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[3])},
        )  # fmt: skip
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(wait.uniform(0.0, 0.1))  # not to wait for something, but to hit any moment
        writer.send_signal(signal.SIGKILL)
        last = writer.communicate()[0].split()
        store = EpisodeStore.open(tmp_path / 's')
        # The bag that was announced last may be there or not; all before it are, and nothing else is.
        begun = int(last[-1]) if last else committed
        assert len(store) // 3 in (begun, begun + 1) and len(store) % 3 == 0
        committed = len(store) // 3
        assert [s['name'] for s in store.sources] == [f'bag {k}' for k in range(committed)]
        for k, episode in enumerate(store):
            np.testing.assert_array_equal(episode.commands, irregular_episode(contract, k).commands)
    EpisodeStore.open(tmp_path / 's', writable=True).close()
    assert len(os.listdir(tmp_path / 's' / 'episodes')) == 3 * committed


def test_leftovers_of_a_killed_writer_are_no_part_of_the_store(tmp_path: Path, contract: Contract) -> None:
    with EpisodeStore.create(tmp_path, contract, {}) as store:
        store.append(regular_episode(contract, 0))
        (store.staging() / 'half').write_bytes(b'half')
    whole = tmp_path / 'episodes' / '000001.safetensors'
    whole.write_bytes((tmp_path / 'episodes' / '000000.safetensors').read_bytes())
    half, note = tmp_path / 'episodes' / '000002.safetensors.part', tmp_path / 'episodes' / 'note.txt'
    half.write_bytes(b'half')
    note.write_text('not ours')
    assert len(EpisodeStore.open(tmp_path)) == 1
    assert half.exists()
    EpisodeStore.open(tmp_path, writable=True).close()
    assert sorted(os.listdir(tmp_path)) == ['contract.json', 'episodes', 'store.json']
    assert sorted(os.listdir(tmp_path / 'episodes')) == ['000000.safetensors', 'note.txt']
