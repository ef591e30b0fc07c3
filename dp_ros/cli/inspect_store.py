# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros inspect STORE``: what is in it, what is odd about it, and does it fit this robot?"""

import argparse
from collections.abc import Sequence
from itertools import islice
from typing import Any

from dp_ros.cli.inspect_contract import print_contract, print_robot
from dp_ros.cli.tables import print_row, print_table
from dp_ros.contract.binding import Binding
from dp_ros.data.bag_episodes import summary_of
from dp_ros.data.episode_facts import episode_facts
from dp_ros.data.episode_sketch import Sketch, pairs, sketch_of
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import DpRosError
from dp_ros.evaluation.data_summary import DataSummary

DIGITS = 4
MOST_PAIRS = 10


def run(args: argparse.Namespace) -> int:
    """Print tables; exit code 1 if an episode is damaged or, with a binding, if the robot does not fit."""
    with EpisodeStore.open(args.path) as store:
        contract = store.contract
        bounds = {}
        if args.binding is not None:
            bounds = Binding.from_yaml(args.binding).position_bounds(contract.joint_names)
        summary = DataSummary(contract)
        lengths: list[int] = []
        sketches: list[tuple[str, Sketch]] = []
        damaged: list[str] = []
        for index, file in enumerate(store.files):
            try:
                episode = store.read(index)
                sketches.append((str(index), sketch_of(file)))
            except DpRosError as error:
                damaged.append(str(error))
                continue
            lengths.append(len(episode))
            facts = dict(summary_of(episode)) | episode_facts(episode, contract, bounds, pictures=False)
            summary.add(str(index), {'outcome': episode.metadata.get('outcome', ''), **facts})
        print(f'episode store {args.path}')
        print_contract(contract)
        print_row('source', ', '.join(f'{k} {v}' for k, v in store.info.items() if isinstance(v, str | int)))
        if store.sources:
            print_row('bags', f'{len(store.sources)}')
        print_row('episodes', f'{len(lengths)} readable, {len(damaged)} damaged')
        if lengths:
            _print_data(summary, lengths)
            _print_odd(summary, sketches, store)
        for text in damaged:
            print(f'damaged: {text}')
    return int(not print_robot(contract, args.binding) or bool(damaged))


def _print_data(summary: DataSummary, lengths: Sequence[int]) -> None:
    totals = summary.totals()
    outcomes = ', '.join(f'{count} {name}' for name, count in totals['outcomes'].items() if name)
    if outcomes:
        print_row('outcomes', outcomes)
    print_row('frames', f'{sum(lengths)}, {min(lengths)} to {max(lengths)} an episode')
    shortest, longest = min(summary.lengths_s), max(summary.lengths_s)
    print_row('robot time', f'{summary.seconds:.1f} s, {shortest:.1f} to {longest:.1f} s an episode')
    rate = (summary.observations - summary.episodes) / summary.seconds if summary.seconds else 0.0
    print_row('rate', f'{rate:.2f} Hz, longest time without an observation {max(summary.gaps_ms):.0f} ms')
    print_row('nothing moves', f'{100 * totals["still_share"]:.1f} % of the time')
    joints = totals['joints']
    known = any(joint['limits'] for joint in joints)
    head = ['joint', 'commanded', 'measured', 'std', 'lag', 'error']
    rows = [_joint(joint, known) for joint in joints]
    print_table(head + ['limits', 'outside'] * known, rows, range(3, 6))


def _joint(joint: dict[str, Any], limits: bool) -> list[str]:
    commanded, measured = joint['commanded'], joint['measured']
    lag, error = joint['median_lag_ms'], joint['median_rms']
    row = [
        joint['name'],
        f'{commanded["min"]:+.{DIGITS}f} to {commanded["max"]:+.{DIGITS}f} {joint["unit"]}',
        f'{measured["min"]:+.{DIGITS}f} to {measured["max"]:+.{DIGITS}f}',
        f'{measured["std"]:.{DIGITS}f}',
        '' if lag is None else f'{lag:.0f} ms',
        '' if error is None else f'{error:.{DIGITS}f}',
    ]
    if limits and joint['limits']:
        low, high = joint['limits']
        outside = max(commanded['outside'], measured['outside'])
        row += [f'{low:+.{DIGITS}f} to {high:+.{DIGITS}f}', f'{100 * outside:.2f} %' if outside else 'never']
    elif limits:
        row += ['unknown', '']
    return row


def _print_odd(summary: DataSummary, sketches: Sequence[tuple[str, Sketch]], store: EpisodeStore) -> None:
    for finding in summary.findings():
        figures = finding.figures()
        worst = (
            f'{figures["worst"]:.4g} {finding.unit}' if finding.unit else f'{100 * figures["worst"]:.0f} %'
        )
        more = ', …' if finding.count > len(finding.examples) else ''
        episodes = f'in {finding.count} episodes ({", ".join(finding.examples)}{more})'
        print(f'odd: {finding.what}: {episodes}, worst {worst}')
    found = list(islice(pairs([sketch for _, sketch in sketches], store.contract), MOST_PAIRS + 1))
    for pair in found[:MOST_PAIRS]:
        how = 'equal' if pair.equal else 'nearly equal'
        print(f'odd: episodes {sketches[pair.first][0]} and {sketches[pair.second][0]} are {how}')
    if len(found) > MOST_PAIRS:
        print('odd: and further pairs of equal or nearly equal episodes')
