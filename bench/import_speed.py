# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""How fast `dp_ros import` reads a bag, beside `rosbags` alone that iterates the same one; prints Markdown.

    python bench/import_speed.py --gigabytes 1 --repeats 5 --json import.json
    python bench/import_speed.py --gigabytes 5 --memory

The bag is made first: two cameras of 640x480 rgb8 at 30 Hz, joints of two arms at 200 Hz, commands at 50 Hz, in
chunks of a MiB. Both sides run in fresh processes, one after the other, again and again, so that other work on the
machine meets both; the file is in the system's cache for all, or with ``--cold`` for none. `rosbags` iterates all
messages twice: as bytes, which is the least that any reader has to do, and deserialized. An import is everything from
opening the bag to a store on the disk that holds its episode, hash included. The start of Python is left out on either
side. A ratio is `rosbags`' time over ours: of the fastest run of each; the median and the range of the turns; and of
processor time, which counts the hash although another core does it.

``--memory`` imports once by the command itself and watches all its processes: what they have resident, and how much of
that is their own, without the pages of files, which the system takes back when it needs them.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml
from camera_bag import INPUTS, LEADER, WINDOWS, binding_data, contract_for, make_bag
from rosbags.highlevel import AnyReader

from dp_ros.contract.binding import Binding
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.data.importer import ImportSettings, import_bag
from dp_ros.whole_file import whole_file

Timing = dict[str, float]


def iterate(bag: Path, deserialize: bool) -> int:
    """All messages by `rosbags` alone; bytes of them."""
    size = 0
    with AnyReader([bag]) as reader:
        for connection, _, raw in reader.messages():
            size += len(raw)
            if deserialize:
                reader.deserialize(raw, connection.msgtype)
    return size


def imported(bag: Path, folder: Path, network_input: str, commands: str) -> int:
    """The bag as a new store in the folder; bytes of the messages that were read."""
    contract, binding = contract_for(network_input), Binding.from_dict(binding_data(commands))
    with EpisodeStore.create(folder / 'store', contract, {}) as store:
        settings = ImportSettings()
        done = import_bag(bag, contract, binding, settings, store.staging())
        store.append_all(done.files, done.source(settings))
    assert not done.skipped, done.skipped
    return done.size


def timed(way: str, bag: Path, folder: Path, network_input: str, commands: str) -> Timing:
    """Wall and processor seconds of one way in this process, bytes of messages, and MiB at most."""
    if way == 'import':
        (folder / 'store').exists() and shutil.rmtree(folder / 'store')
        work: Callable[[], int] = lambda: imported(bag, folder, network_input, commands)  # noqa: E731
    else:
        work = lambda: iterate(bag, way == 'deserialized')  # noqa: E731
    wall, processor = time.perf_counter(), time.process_time()
    size = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {'wall_s': wall, 'processor_s': processor, 'bytes': size, 'peak_mib': peak}


def in_cache(bag: Path, cold: bool) -> None:
    """Put the files of a bag into the system's cache, or out of it."""
    os.sync()
    for path in bag.iterdir():
        with path.open('rb') as file:
            if cold:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            else:
                while file.read(1 << 22):
                    pass


def measure(args: argparse.Namespace, bag: Path, folder: Path, network_input: str) -> dict[str, list[Timing]]:
    """All ways, turn by turn, each in a new process."""
    out: dict[str, list[Timing]] = {way: [] for way in WAYS}
    for turn in range(args.repeats):
        for way in WAYS if turn % 2 == 0 else reversed(WAYS):
            in_cache(bag, args.cold)
            with get_context('spawn').Pool(1) as pool:
                out[way].append(pool.apply(timed, (way, bag, folder, network_input, args.commands)))
    return out


def row(case: str, runs: dict[str, list[Timing]]) -> str:
    """A line of the table."""
    fastest = {way: {c: min(run[c] for run in found) for c in CLOCKS} for way, found in runs.items()}
    size = runs['import'][0]['bytes']
    cells = [case, *(f'{size / fastest[way]["wall_s"] / 1e6:.0f}' for way in WAYS)]
    for way in WAYS[:2]:
        pairs = [b['wall_s'] / a['wall_s'] for a, b in zip(runs['import'], runs[way], strict=True)]
        ratio, processor = (fastest[way][c] / fastest['import'][c] for c in CLOCKS)
        cells += [
            f'**{ratio:.2f}**',
            f'{statistics.median(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})',
        ]
        cells.append(f'{processor:.2f}')
    cells.append(f'{max(run["peak_mib"] for run in runs["import"]):.0f}')
    return f'| {" | ".join(cells)} |'


WAYS, CLOCKS = ('bytes', 'deserialized', 'import'), ('wall_s', 'processor_s')
HEAD = (
    '| chunks, network input | bytes, MB/s | deserialized, MB/s | import, MB/s | of bytes | turns | processor '
    '| of deserialized | turns | processor | import, MiB |\n' + '| --- ' * 11 + '|'
)


def memory(bag: Path, folder: Path, network_input: str, commands: str) -> dict[str, float]:
    """The command on one bag: seconds, and the most that its processes had at once, MiB."""
    (folder / 'contract.json').write_text(contract_for(network_input).to_json())
    (folder / 'binding.yaml').write_text(yaml.safe_dump(binding_data(commands)))
    options = {'--contract': 'contract.json', '--binding': 'binding.yaml', '--out': 'watched'}
    command = [sys.executable, '-m', 'dp_ros.cli.main', 'import', str(bag)]
    for option, name in options.items():
        command += [option, str(folder / name)]
    peaks = {'resident_mib': 0.0, 'own_mib': 0.0}
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            found = [_status(pid) for pid in _family(process.pid)]
            for name, key in (('resident_mib', 'VmRSS'), ('own_mib', 'RssAnon')):
                peaks[name] = max(peaks[name], sum(status.get(key, 0) for status in found) / 1024)
            time.sleep(0.05)
        error = process.stderr.read() if process.stderr else ''
    if process.returncode:
        raise RuntimeError(f'{" ".join(command)}: {process.returncode}\n{error}')
    return {'wall_s': time.perf_counter() - began, **peaks}


def _family(pid: int) -> list[int]:
    """A process and all its descendants."""
    try:
        children = Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    except OSError:
        return []
    return [pid, *(p for child in children for p in _family(int(child)))]


def _status(pid: int) -> dict[str, int]:
    """The sizes, KiB, in what the kernel says of a process; none once it has ended."""
    try:
        lines = Path(f'/proc/{pid}/status').read_text().splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.endswith(' kB'))
    return {field[0].rstrip(':'): int(field[1]) for field in fields}


def main() -> None:
    """Make the bags, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--gigabytes', type=float, default=5.0, help='of messages in a bag (default: 5)')
    parser.add_argument('--repeats', type=int, default=3, help='turns; 0: memory alone (default: 3)')
    parser.add_argument('--inputs', nargs='+', choices=INPUTS, default=list(INPUTS))
    parser.add_argument('--compression', nargs='+', choices=['none', 'zstd'], default=['none', 'zstd'])
    parser.add_argument('--commands', choices=[LEADER, WINDOWS], default=LEADER)
    parser.add_argument('--cold', action='store_true', help='read from the disk, not from the cache')
    parser.add_argument('--memory', action='store_true', help='watch the memory of the command')
    parser.add_argument('--folder', type=Path, help='for bags and stores (default: the temporary one)')
    parser.add_argument('--json', type=Path, help='also write all runs')
    args = parser.parse_args()
    results: dict[str, Any] = {'arguments': {k: str(v) for k, v in vars(args).items()}, 'cases': {}}
    with tempfile.TemporaryDirectory(prefix='import_speed_', dir=args.folder) as name:
        folder = Path(name)
        print(HEAD if args.repeats else '', flush=True)
        for compression in args.compression:
            bag = folder / compression
            make_bag(bag, round(args.gigabytes * 1e9), compression, args.commands)
            for network_input in args.inputs:
                case = f'{compression}, {network_input}'
                found = results['cases'][case] = {}
                if args.repeats:
                    found['runs'] = measure(args, bag, folder, network_input)
                    print(row(case, found['runs']), flush=True)
                if args.memory:
                    found['memory'] = memory(bag, folder, network_input, args.commands)
                    shutil.rmtree(folder / 'watched')
                    print(f'\n{case}: {found["memory"]}\n', flush=True)
            shutil.rmtree(bag)
    if args.json:
        with whole_file(args.json, 'the results') as beside:
            beside.write_text(json.dumps(results, indent=1) + '\n')


if __name__ == '__main__':
    main()
