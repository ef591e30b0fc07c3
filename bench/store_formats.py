# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""How fast forms of storage give random training windows, and how large they are; prints Markdown.

    pip install --no-deps --target FOLDER zarr numcodecs donfig google-crc32c h5py pyarrow av
    PYTHONPATH=FOLDER python bench/store_formats.py data/aloha_transfer_cube --episodes 100

None of these packages is a dependency of the project. A window is what training takes for one sample of a policy with
To = 1: a frame, its joints, and the Tp commands from it on. Every form holds the same episodes of the given store; what
is read is compared with them. Reading is timed in processor time, so that other work on the machine counts little, with
the files in the system's cache; opening and writing in wall time, writing until the disk has everything. ``--size``
enlarges the pictures first: a stand-in for larger ones, smoother than real ones. The error is the mean of a value, of
255.
"""

import argparse
import os
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import cv2
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.whole_file import flush

TP, SECONDS = 32, 3.0
Window = tuple[np.ndarray, np.ndarray, np.ndarray]


class Form(ABC):
    """A way to keep episodes on disk. ``name`` says which; the camera is the store's first."""

    name: str

    @abstractmethod
    def write(self, folder: Path, episodes: list[Episode], camera: str) -> None:
        """Write all."""

    @abstractmethod
    def open(self, folder: Path, camera: str) -> None:
        """Make ready for reading in any order."""

    @abstractmethod
    def rows(self, episode: int) -> tuple[np.ndarray, np.ndarray]:
        """Joints and commands (N, A) of an episode; small enough to stay in memory in any form."""

    @abstractmethod
    def frame(self, episode: int, index: int) -> np.ndarray:
        """One frame (H, W, 3)."""

    def frames(self, episode: int) -> Iterator[np.ndarray]:
        """All frames of an episode in order."""
        return (self.frame(episode, k) for k in range(len(self.rows(episode)[0])))


class Safetensors(Form):
    """What dp_ros has: an episode a file, uncompressed, mapped, checked against its checksum when it is opened."""

    name = 'safetensors, raw (dp_ros)'

    def __init__(self, contract: Contract) -> None:
        self.contract = contract

    def write(self, folder: Path, episodes: list[Episode], camera: str) -> None:
        with EpisodeStore.create(folder, self.contract, {}) as store:
            store.append_all(episodes, {'name': 'all', 'sha256': '0'})

    def open(self, folder: Path, camera: str) -> None:
        self.camera, self.episodes = camera, list(EpisodeStore.open(folder))

    def rows(self, episode: int) -> tuple[np.ndarray, np.ndarray]:
        return self.episodes[episode].proprio[:, -1], self.episodes[episode].commands

    def frame(self, episode: int, index: int) -> np.ndarray:
        return self.episodes[episode].images[self.camera][index].copy()


class Hdf5(Form):
    """A group an episode in one file; frames in one block, or compressed one by one."""

    def __init__(self, **options: object) -> None:
        self.name = f'HDF5, {"gzip 4, a chunk a frame" if options else "raw"}'
        self.options = options

    def write(self, folder: Path, episodes: list[Episode], camera: str) -> None:
        with h5py.File(folder / 'all.h5', 'w') as file:
            for k, e in enumerate(episodes):
                group = file.create_group(str(k))
                group['proprio'], group['commands'] = e.proprio[:, -1], e.commands
                frames = e.images[camera]
                chunks = (1, *frames.shape[1:]) if self.options else None
                group.create_dataset('frames', data=frames, chunks=chunks, **self.options)

    def open(self, folder: Path, camera: str) -> None:
        # No cache of chunks: it would hold half of these episodes, and hardly anything of a large store.
        file = h5py.File(folder / 'all.h5', 'r', rdcc_nbytes=0)
        groups = [file[str(k)] for k in range(len(file))]
        self.kept = [(g['proprio'][:], g['commands'][:]) for g in groups]
        self.data = [g['frames'] for g in groups]

    def rows(self, episode: int) -> tuple[np.ndarray, np.ndarray]:
        return self.kept[episode]

    def frame(self, episode: int, index: int) -> np.ndarray:
        return self.data[episode][index]


class Zarr(Hdf5):
    """Version 3, an episode a shard, a frame a chunk: without shards every frame would be a file."""

    def __init__(self, compressors: object, name: str) -> None:
        self.compressors, self.name = compressors, f'zarr, {name}, a chunk a frame'

    def write(self, folder: Path, episodes: list[Episode], camera: str) -> None:
        root = zarr.open_group(folder, mode='w')
        for k, e in enumerate(episodes):
            group, frames = root.create_group(str(k)), e.images[camera]
            group.create_array('proprio', data=e.proprio[:, -1])
            group.create_array('commands', data=e.commands)
            shape = {'chunks': (1, *frames.shape[1:]), 'shards': frames.shape}
            group.create_array('frames', data=frames, compressors=self.compressors, **shape)

    def open(self, folder: Path, camera: str) -> None:
        root = zarr.open_group(folder, mode='r')
        groups = [root[str(k)] for k in range(len(list(root.group_keys())))]
        self.kept = [(g['proprio'][:], g['commands'][:]) for g in groups]
        self.data = [g['frames'] for g in groups]


class Arrow(Form):
    """LeRobot's image layout: a row a frame, each picture a blob; here an Arrow file an episode, mapped."""

    def __init__(self, kind: str) -> None:
        self.kind, self.name = kind, f'Arrow IPC, {kind}'

    def table(self, e: Episode, camera: str) -> pa.Table:
        frames = list(e.images[camera])
        if self.kind == 'raw':
            blobs = [f.tobytes() for f in frames]
        else:
            suffix, flags = ('.jpg', [cv2.IMWRITE_JPEG_QUALITY, 95]) if 'JPEG' in self.kind else ('.png', [])
            blobs = [cv2.imencode(suffix, f[..., ::-1], flags)[1].tobytes() for f in frames]
        rows = {'proprio': list(e.proprio[:, -1]), 'commands': list(e.commands), 'frame': blobs}
        return pa.table(rows)

    def write(self, folder: Path, episodes: list[Episode], camera: str) -> None:
        self.shape = episodes[0].images[camera].shape[1:]
        for k, e in enumerate(episodes):
            table = self.table(e, camera)
            with (
                pa.OSFile(str(folder / f'{k:06d}.arrow'), 'wb') as sink,
                pa.ipc.new_file(sink, table.schema) as w,
            ):
                w.write_table(table)

    def open(self, folder: Path, camera: str) -> None:
        self.keep([pa.ipc.open_file(pa.memory_map(str(p))).read_all() for p in sorted(folder.iterdir())])

    def keep(self, tables: list[pa.Table]) -> None:
        self.tables = [t['frame'].combine_chunks() for t in tables]
        self.kept = [tuple(np.stack(t[name].to_numpy()) for name in ('proprio', 'commands')) for t in tables]

    def rows(self, episode: int) -> tuple[np.ndarray, np.ndarray]:
        return self.kept[episode]

    def frame(self, episode: int, index: int) -> np.ndarray:
        return self.decoded(np.frombuffer(self.tables[episode][index].as_buffer(), np.uint8))

    def decoded(self, blob: np.ndarray) -> np.ndarray:
        if self.kind == 'raw':
            return blob.reshape(self.shape).copy()
        return cv2.cvtColor(cv2.imdecode(blob, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


class Parquet(Arrow):
    """LeRobot's files themselves: a Parquet file an episode, read from disk for every window."""

    def __init__(self, kind: str) -> None:
        self.kind, self.name = kind, f'Parquet, {kind}'

    def write(self, folder: Path, episodes: list[Episode], camera: str) -> None:
        for k, e in enumerate(episodes):
            pq.write_table(self.table(e, camera), folder / f'{k:06d}.parquet')

    def open(self, folder: Path, camera: str) -> None:
        self.files = [pq.ParquetFile(p, memory_map=True) for p in sorted(folder.iterdir())]
        self.keep([f.read() for f in self.files])
        del self.tables

    def frame(self, episode: int, index: int) -> np.ndarray:
        column = self.files[episode].read(columns=['frame'])['frame']
        return self.decoded(np.frombuffer(column[index].as_buffer(), np.uint8))

    def frames(self, episode: int) -> Iterator[np.ndarray]:
        column = self.files[episode].read(columns=['frame'])['frame']
        return (self.decoded(np.frombuffer(blob.as_buffer(), np.uint8)) for blob in column)


class Video(Form):
    """LeRobot's video layout: H.264, every second frame a key frame; the small columns as in the other forms."""

    name = 'MP4, H.264, crf 23, key frame each 2'

    def write(self, folder: Path, episodes: list[Episode], camera: str) -> None:
        self.kept = [(e.proprio[:, -1], e.commands) for e in episodes]
        for k, e in enumerate(episodes):
            frames = e.images[camera]
            with av.open(str(folder / f'{k:06d}.mp4'), 'w') as out:
                options = {'crf': '23', 'g': '2', 'bf': '0'}
                stream = out.add_stream('libx264', rate=25, options=options)
                stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], 'yuv420p'
                for frame in frames:
                    out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
                out.mux(stream.encode())

    def open(self, folder: Path, camera: str) -> None:
        self.containers = [av.open(str(p)) for p in sorted(folder.iterdir())]
        for container in self.containers:
            container.streams.video[0].thread_count = 1

    def rows(self, episode: int) -> tuple[np.ndarray, np.ndarray]:
        return self.kept[episode]

    def frame(self, episode: int, index: int) -> np.ndarray:
        container = self.containers[episode]
        stream = container.streams.video[0]
        wanted = round(index / 25 / stream.time_base)
        container.seek(wanted, stream=stream)
        for frame in container.decode(stream):
            if frame.pts >= wanted:
                return frame.to_ndarray(format='rgb24')
        raise IndexError(index)

    def frames(self, episode: int) -> Iterator[np.ndarray]:
        container = self.containers[episode]
        container.seek(0)
        return (frame.to_ndarray(format='rgb24') for frame in container.decode(video=0))


def measure(form: Form, episodes: list[Episode], camera: str, folder: Path) -> str:
    """A row of the table."""
    started = time.perf_counter()
    form.write(folder, episodes, camera)
    files = [p for p in folder.rglob('*') if p.is_file()]
    for path in files:
        flush(path)
    wrote = time.perf_counter() - started
    size = sum(p.stat().st_size for p in files)
    started = time.perf_counter()
    form.open(folder, camera)
    opened = time.perf_counter() - started
    rng, error, count, spent = np.random.default_rng(0), 0.0, 0, 0.0
    while spent < SECONDS:
        e = int(rng.integers(len(episodes)))
        n = int(rng.integers(len(episodes[e])))
        started = time.process_time()
        proprio, commands = form.rows(e)
        window: Window = form.frame(e, n), proprio[n].copy(), commands[n : n + TP].copy()
        spent += time.process_time() - started
        count += 1
        assert (window[1] == episodes[e].proprio[n, -1]).all()
        error += float(np.abs(window[0].astype(int) - episodes[e].images[camera][n]).mean())
    started, passed = time.process_time(), 0
    for e in range(len(episodes)):
        passed += sum(1 for _ in form.frames(e))
        if time.process_time() - started > SECONDS:
            break
    sequential = passed / (time.process_time() - started)
    return (
        f'| {form.name} | {count / spent:,.0f} | {sequential:,.0f} | {opened:.2f} | {wrote:.2f} '
        f'| {size / 2**20:.1f} | {len(files)} | {error / count:.2f} |'
    )


def enlarged(episode: Episode, camera: str, size: int) -> Episode:
    """With pictures of size x size."""
    frames = [cv2.resize(f, (size, size), interpolation=cv2.INTER_CUBIC) for f in episode.images[camera]]
    return replace(episode, images={camera: np.array(frames)})


def main() -> None:
    """Measure all forms, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('store', type=Path)
    parser.add_argument('--episodes', type=int, default=100)
    parser.add_argument('--size', type=int, help='enlarge pictures to this edge, px')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    store = EpisodeStore.open(args.store)
    contract, camera = store.contract, store.contract.cameras[0].name
    episodes = [store.read(k) for k in range(min(args.episodes, len(store)))]
    if args.size:
        episodes = [enlarged(e, camera, args.size) for e in episodes]
        described = replace(contract.cameras[0], size=(args.size, args.size))
        contract = replace(contract, cameras=(described,))
    forms: list[Form] = [
        Safetensors(contract),
        Hdf5(),
        Hdf5(compression='gzip', compression_opts=4),
        Zarr(None, 'raw'),
        Zarr(zarr.codecs.ZstdCodec(level=3), 'zstd'),
        *(Arrow(kind) for kind in ('raw', 'PNG', 'JPEG 95')),
        Parquet('PNG'),
        Video(),
    ]
    edge = episodes[0].images[camera].shape[1]
    print(f'{len(episodes)} episodes, {sum(map(len, episodes))} frames of {edge} x {edge} px\n')
    print(
        '| form | random windows per CPU s | frames in order per CPU s | open, s | write, s | MiB | files | error |'
    )
    print('| --- | --- | --- | --- | --- | --- | --- | --- |')
    for form in forms:
        with tempfile.TemporaryDirectory(dir=os.environ.get('TMPDIR')) as folder:
            print(
                measure(form, episodes, camera, Path(folder) / 'all' if form is forms[0] else Path(folder)),
                flush=True,
            )


if __name__ == '__main__':
    main()
