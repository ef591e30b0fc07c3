# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros inspect BAG``: what is in it, and does it fit this robot and contract?"""

import argparse
import json
import sys
from array import array
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dp_ros.bags.bag_fit import FieldFit, bag_fit
from dp_ros.bags.episodes import Span, spans
from dp_ros.bags.files import STORAGES, ZSTD
from dp_ros.bags.jpeg import COMPRESSED_TYPE, IMAGE_TYPE
from dp_ros.bags.reader import Bag, open_bag
from dp_ros.bags.storage import at
from dp_ros.bags.time_statistics import TimeStatistics, TopicRates
from dp_ros.bags.topics import absolute
from dp_ros.cli.tables import print_row, print_table
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.contract.compare import compare
from dp_ros.contract.strict_yaml import parse_strict_yaml
from dp_ros.errors import BagError, ConfigError, DpRosError

# What the recorder says of itself stands in rows; these are long texts of their own.
LONG = ('binding', 'contract', 'outcomes')
MOST_WIDE, MOST_TEXTS = 100, 5
# Earlier log times are those of a simulation's clock.
REAL_CLOCK_NS = 10**18


def is_bag(path: Path) -> bool:
    """Whether a path looks like a bag: a storage file, or a directory with one or with the metadata of one."""
    files = path.iterdir() if path.is_dir() else [path] if path.is_file() else []
    return any(Path(f.name.removesuffix(ZSTD)).suffix in STORAGES or f.name == 'metadata.yaml' for f in files)


def run(args: argparse.Namespace) -> int:
    """Print tables; exit code 1 if the bag is damaged, cut off, or does not fit contract and binding."""
    with open_bag(args.path) as bag:
        contract, binding = _contract(args, bag), _binding(args, bag)
        namespace = args.namespace if args.namespace is not None else bag.custom_data.get('namespace', '')
        cameras = [] if binding is None else [absolute(c.topic, namespace) for c in binding.cameras.values()]
        cameras = [topic for topic in cameras if topic in bag.topics] or _images(bag) or list(bag.topics)
        times, silences = _times(bag, cameras)
        if args.read:
            _read(bag)
        _print_head(bag)
        _print_recorder(bag, contract)
        _print_episodes(bag, silences, args.gap)
        _print_topics(bag, times)
        whole = _print_problems(bag, args.read)
        if contract is None or binding is None:
            if args.contract or args.checkpoint or args.binding:
                lacks = '--contract or --checkpoint' if contract is None else '--binding'
                raise ConfigError(f'{args.path}: whether it fits needs {lacks} as well: the bag holds none')
            return int(not whole)
        differences = compare(contract, binding.robot())
        fits = bag_fit(bag, contract, binding, times, namespace)
        return int(not _print_fit(contract, binding, differences, fits) or not whole)


def _contract(args: argparse.Namespace, bag: Bag) -> Contract | None:
    """As given; else what the recorder kept."""
    path = args.checkpoint or args.contract
    if path is not None:
        return Contract.from_json(path / 'contract.json' if path.is_dir() else path)
    text = bag.custom_data.get('contract')
    try:
        return None if not text else Contract.from_dict(json.loads(text), f'contract in bag {bag.name!r}')
    except (ValueError, DpRosError) as error:
        bag.problems.add(f'the contract that its recorder kept cannot be read: {error}')
        return None


def _binding(args: argparse.Namespace, bag: Bag) -> Binding | None:
    if args.binding is not None:
        return Binding.from_yaml(args.binding)
    text, where = bag.custom_data.get('binding'), f'binding in bag {bag.name!r}'
    try:
        return None if not text else Binding.from_dict(parse_strict_yaml(text, where), where)
    except DpRosError as error:
        bag.problems.add(f'the binding that its recorder kept cannot be read: {error}')
        return None


def _images(bag: Bag) -> list[str]:
    return [topic for topic, info in bag.topics.items() if info.type in (IMAGE_TYPE, COMPRESSED_TYPE)]


def _times(bag: Bag, watched: Collection[str]) -> tuple[dict[str, TimeStatistics], np.ndarray]:
    """Statistics of all topics, and the sorted times of those that are watched for silences."""
    rates = TopicRates()
    kept: array[int] = array('q')
    for topic, stamps in bag.times():
        rates.add_block(topic, stamps)
        if topic in watched:
            kept.extend(stamps.tolist())
    return rates.finish(), np.sort(np.frombuffer(kept, np.int64)) if kept else np.zeros(0, np.int64)


def _read(bag: Bag) -> None:
    """Every message once: damage inside chunks shows only then."""
    total = sum(info.count for info in bag.topics.values() if not info.problem)
    for _ in tqdm(bag.messages(), total=total, unit='messages', leave=False):
        pass


def _print_head(bag: Bag) -> None:
    seconds = (bag.end_ns - bag.start_ns) / 1e9
    print(f'bag {bag.path}')
    known = f', recorded on {bag.distribution}' if bag.distribution else ''
    print_row('format', f'{bag.storage}, {bag.compression or "not compressed"}{known}')
    print_row('size', f'{bag.disk_bytes / 1e6:.1f} MB')
    print_row('messages', f'{sum(i.count for i in bag.topics.values())} on {len(bag.topics)} topics')
    print_row('duration', f'{seconds:.3f} s, from {_clock(bag.start_ns)} to {_clock(bag.end_ns)}')
    how = 'its table of messages' if bag.storage == 'sqlite3' else 'its index alone'
    print_row('looked up in', how if bag.indexed else 'all of it: no whole index, or compressed as a file')


def _print_recorder(bag: Bag, contract: Contract | None) -> None:
    for name, value in sorted(bag.custom_data.items()):
        if name not in LONG and value:
            print_row(f'  {name}', _short(value))
    recorded = bag.custom_data.get('contract_hash')
    if recorded and contract is not None and recorded != contract.hash:
        print_row('', f'recorded for another contract than {contract.name} ({contract.hash[:8]})')


def _print_episodes(bag: Bag, watched: np.ndarray, gap_s: float) -> None:
    try:
        found: Sequence[Span] = spans(bag, 'marks', (), 0)
    except BagError as error:
        found = []
        if 'no episode is marked' not in str(error):
            bag.problems.add(str(error))
    if found:
        outcomes = Counter(span.outcome for span in found)
        told = ', '.join(f'{count} {outcome}' for outcome, count in outcomes.most_common())
        print_row('episodes by marks', f'{len(found)}: {told}')
        lengths = [(span.stop_ns - span.start_ns) / 1e9 for span in found]
        print_row('', f'{min(lengths):.1f} to {max(lengths):.1f} s, {sum(lengths):.1f} s together')
        texts = list(dict.fromkeys(span.instruction for span in found if span.instruction))
        for text in texts[:MOST_TEXTS]:
            print_row('', f'instruction: {_short(text)}')
        if len(texts) > MOST_TEXTS:
            print_row('', f'and {len(texts) - MOST_TEXTS} further instructions')
    else:
        print_row('episodes by marks', 'none is marked; the whole bag counts as one')
    steps = np.diff(watched)
    print_row(
        'episodes by gaps',
        f'{int((steps > gap_s * 1e9).sum()) + bool(len(watched))}, by silences of {gap_s:g} s',
    )


def _print_topics(bag: Bag, times: dict[str, TimeStatistics]) -> None:
    rows = []
    for topic, info in bag.topics.items():
        found = times.get(topic, TimeStatistics())
        first = '' if found.first_ns is None else f'{(found.first_ns - bag.start_ns) / 1e9:.3f} s'
        gap = f'{found.largest_ns / 1e6:.1f} ms' if found.gaps else ''
        when = f'{(found.largest_at_ns - bag.start_ns) / 1e9:.3f} s' if found.gaps else ''
        rate = f'{found.rate_hz:.2f} Hz' if found.gaps else ''
        rows.append([topic, info.type, str(info.count), rate, first, gap, when])
    print('topics')
    print_table(
        ['topic', 'type', 'messages', 'rate', 'first after', 'largest gap', 'began at'], rows, range(2, 7)
    )
    for topic, info in bag.topics.items():
        if info.problem:
            print(f'  {topic} cannot be read: {info.problem}')


def _print_problems(bag: Bag, read: bool) -> bool:
    if not bag.problems:
        print_row(
            'whole',
            'yes, every message was read' if read else 'as far as its index tells; --read reads it all',
        )
        return True
    print_row('whole', 'no')
    for problem in bag.problems:
        print(f'  {problem}')
    return False


def _print_fit(
    contract: Contract, binding: Binding, differences: Sequence[str], fits: Sequence[FieldFit]
) -> bool:
    wrong = len(differences) + sum(len(row.problems) for row in fits)
    print(f'\ncontract {contract.name} ({contract.hash[:8]}), binding {binding.name}: ', end='')
    print(f'{wrong} differences' if wrong else 'fits')
    rows = [[row.name, row.topic or '-', 'no' if row.problems else 'yes', row.found] for row in fits]
    print_table(['field', 'topic', 'fits', 'holds'], rows)
    for difference in differences:
        print(f'  differs: {difference}')
    for row in fits:
        for problem in row.problems:
            print(f'  differs: {row.name}: {problem}')
        for note in row.notes:
            print(f'  note: {row.topic}: {note}')
    sys.stdout.flush()
    return not wrong


def _clock(log_ns: int) -> str:
    if log_ns < REAL_CLOCK_NS:
        return at(log_ns)
    return datetime.fromtimestamp(log_ns / 1e9, timezone.utc).strftime('%Y-%m-%d %H:%M:%S UTC')


def _short(text: str) -> str:
    line = ' '.join(text.split())
    return line if len(line) <= MOST_WIDE else line[: MOST_WIDE - 1] + '…'
