# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros import``: rosbags into an episode store, each bag as a whole or not at all."""

import argparse
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from datetime import datetime, timezone
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dp_ros import __version__
from dp_ros.bags.marks import OUTCOMES
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.contract.compare import require_match
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.data.importer import ImportedBag, ImportSettings, import_bag
from dp_ros.errors import ConfigError, DpRosError, KnownBagError, StoreError
from dp_ros.evaluation.import_report import ImportReport
from dp_ros.observation.limits import ObservationLimits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('bags', nargs='+', type=Path, metavar='BAG', help='directory, .mcap or .db3')
    parser.add_argument(
        '--contract', type=Path, required=True, help='contract.json, or a checkpoint directory'
    )
    parser.add_argument('--binding', type=Path, required=True, help='which topics carry what')
    parser.add_argument('--out', type=Path, required=True, help='episode store, made or appended to')
    parser.add_argument('--namespace', default='', help='of relative topics (default: none)')
    parser.add_argument(
        '--episodes',
        default='auto',
        metavar='HOW',
        help='marks, gaps, whole, or a YAML list (default: marks where there are any, else whole)',
    )
    parser.add_argument(
        '--gap', type=float, default=1.0, help='seconds of silence between episodes (default: 1)'
    )
    parser.add_argument(
        '--outcome',
        nargs='+',
        choices=[o for o in OUTCOMES if o != 'discard'],
        default=['success', 'unmarked'],
        help='which episodes to take (default: success unmarked)',
    )
    parser.add_argument('--processes', type=int, default=1, help='bags that are read at once (default: 1)')
    parser.add_argument(
        '--replace', action='store_true', help='import bags anew that are in the store already'
    )
    parser.add_argument(
        '--no-frozen-watch',
        action='store_true',
        help='pictures carry no noise, as in simulation: equal ones are fine',
    )
    parser.add_argument(
        '--report',
        type=Path,
        metavar='PATH',
        help='also write what the bags hold: report.html and report.json in a folder, or one .html or .json file',
    )


def run(args: argparse.Namespace) -> int:
    """Import; exit code 1 if anything was skipped, 2 if nothing could be imported."""
    if args.processes < 1 or args.gap <= 0:
        raise ConfigError('--processes must be at least 1, --gap more than 0')
    contract = Contract.from_json(
        args.contract / 'contract.json' if args.contract.is_dir() else args.contract
    )
    binding = Binding.from_yaml(args.binding)
    # Once for all bags, before anything is made.
    require_match(contract, binding.robot(), f'the robot of binding {binding.name!r}')
    settings = ImportSettings(
        namespace=args.namespace,
        episodes=args.episodes,
        gap_ns=round(args.gap * 1e9),
        outcomes=tuple(args.outcome),
        limits=ObservationLimits(frozen_camera_ns=0) if args.no_frozen_watch else ObservationLimits(),
        facts=args.report is not None,
    )
    report = None
    if args.report is not None:
        report = ImportReport(args.report, contract, _provenance(args))
    began = time.monotonic()
    skipped: list[str] = []
    known_bags: list[str] = []
    done: list[ImportedBag] = []
    with _store(args.out, contract) as store:
        known = {} if args.replace else {source['sha256']: source['name'] for source in store.sources}
        tasks = [(path, contract, binding, settings, store.staging(), known) for path in args.bags]
        for path, result in _imported(tasks, args.processes):
            try:
                imported = result.result()
                _require_new(imported, done)
                places = store.append_all(imported.files, imported.source(settings), replace=args.replace)
            except BrokenProcessPool:
                skipped.append(
                    f'{path}: its reading process, or one beside it, ended by itself: out of memory?'
                )
            except DpRosError as error:
                skipped.append(f'{path}: {error}')
                if isinstance(error, KnownBagError):
                    known_bags.append(skipped[-1])
            except Exception as error:  # a mistake of ours costs one bag, not those after it
                traceback.print_exception(error)
                skipped.append(f'{path}: {type(error).__name__}, which should not happen: {error}')
            else:
                done.append(imported)
                if report is not None:
                    report.add(imported, [store.files[i] for i in places])
        skipped += [line for imported in done for line in imported.skipped]
        _print(done, skipped, time.monotonic() - began, store)
        if report is not None:
            print('report: ' + ', '.join(str(path) for path in report.write(store, skipped, known_bags)))
    if not done:
        return 2
    return 1 if skipped else 0


def _provenance(args: argparse.Namespace) -> dict[str, str]:
    return {
        'binding': str(args.binding),
        'episodes': f'{args.episodes}, outcomes {", ".join(args.outcome)}',
        'made': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'dp_ros': __version__,
    }


@contextmanager
def _store(path: Path, contract: Contract) -> Iterator[EpisodeStore]:
    """The store, for writing; one without episodes does not stay."""
    with _opened(path, contract) as store:
        try:
            yield store
        finally:
            store.remove_if_empty()


def _opened(path: Path, contract: Contract) -> EpisodeStore:
    info = {'made_by': 'dp_ros import'}
    if not (path / 'store.json').exists():
        return EpisodeStore.create(path, contract, info)
    store = EpisodeStore.open(path, writable=True)
    if store.contract.hash != contract.hash:
        if store.remove_if_empty():  # of an import that was killed
            return EpisodeStore.create(path, contract, info)
        found = store.contract
        store.close()
        raise StoreError(
            f'{path}: its episodes are of contract {found.name!r} ({found.hash[:8]}), not of {contract.name!r} '
            f'({contract.hash[:8]}); choose another --out'
        )
    return store


def _require_new(imported: ImportedBag, done: Sequence[ImportedBag]) -> None:
    same = next((other for other in done if other.sha256 == imported.sha256), None)
    if same is not None:
        raise KnownBagError(f'bag {imported.name!r} has the content of {same.path}: left out')


def _imported(
    tasks: Sequence[tuple[Any, ...]], processes: int
) -> Iterator[tuple[Path, 'Future[ImportedBag]']]:
    """Path and result of each bag, in order, with a progress bar."""
    context = get_context('spawn')
    shares, sizes = context.Array('d', max(1, len(tasks))), context.Array('q', max(1, len(tasks)))
    stop = context.Event()
    arguments = (shares, sizes, stop)
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=arguments)
    bar = tqdm(
        total=len(tasks),
        unit='bag',
        bar_format='{l_bar}{bar}| {n:.2f}/{total} bags [{elapsed}<{remaining}{postfix}]',
    )
    try:
        waiting = deque((task[0], pool.submit(_import, i, task)) for i, task in enumerate(tasks))
        began = time.monotonic()
        while waiting:
            wait([waiting[0][1]], timeout=0.5)
            bar.n = min(sum(shares[:]), len(tasks))
            bar.set_postfix_str(f'{sum(sizes[:]) / 1e6 / (time.monotonic() - began):.0f} MB/s', refresh=True)
            if waiting[0][1].done():
                yield waiting.popleft()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        bar.close()


_shares: Any = None
_sizes: Any = None
_stop: Any = None


class _Stopped(Exception):
    """The parent wants no more."""


def _start(shares: Any, sizes: Any, stop: Any) -> None:
    # Ctrl-C reaches the whole process group; the parent alone decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    global _shares, _sizes, _stop
    _shares, _sizes, _stop = shares, sizes, stop


def _end_with_parent() -> None:
    """A parent that was killed tells nobody."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _import(number: int, task: tuple[Any, ...]) -> ImportedBag:
    def progress(share: float, size: int) -> None:
        _shares[number], _sizes[number] = share, size
        if _stop.is_set():
            raise _Stopped

    try:
        path, contract, binding, settings, staging, known = task
        return import_bag(path, contract, binding, settings, staging, known, progress)
    finally:
        _shares[number] = 1.0


def _count(number: int, what: str) -> str:
    return f'{number} {what}{"" if number == 1 else "s"}'


def _print(done: Sequence[ImportedBag], skipped: Sequence[str], seconds: float, store: EpisodeStore) -> None:
    for imported in done:
        observations = sum(e['observations'] for e in imported.episodes)
        length = sum(e['seconds'] for e in imported.episodes)
        print(
            f'{imported.name}: {_count(len(imported.episodes), "episode")}, {observations} observations, '
            f'{length:.1f} s, {imported.size / 1e6:.0f} MB at '
            f'{imported.size / 1e6 / max(imported.seconds, 1e-9):.0f} MB/s'
        )
        for note in imported.notes:
            print(f'  {note}')
    counters: Counter[str] = sum((i.counters for i in done), Counter())
    if counters:
        print('messages: ' + ', '.join(f'{name} {count}' for name, count in sorted(counters.items())))
    for line in skipped:
        print(f'skipped: {line}', file=sys.stderr)
    print(
        f'{store.path}: {_count(len(store), "episode")}, {_count(len(done), "bag")} in {seconds:.1f} s, '
        f'{_count(len(skipped), "thing")} skipped'
    )
