# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros bench peers``: from an observation to the next actions, beside LeRobot's policies in the same run."""

import argparse
import platform
from pathlib import Path
from typing import Any

from dp_ros.cli.tables import print_table
from dp_ros.errors import ConfigError
from dp_ros.evaluation.bar_chart import write_bars
from dp_ros.evaluation.peers import ROWS, race
from dp_ros.policy.runtime import BACKEND_NAMES, EAGER
from dp_ros.whole_file import write_json

# One row of ours beside one of theirs, with as many cameras, and how much faster the former is to be.
TARGETS = (('ours-1', 'narrow-1', 60), ('ours-1', 'act-1', 16))
COMPARED = (
    *((ours, theirs) for ours, theirs, _ in TARGETS),
    ('shipped', 'narrow-1'),
    ('shipped', 'act-1'),
    ('ours-2', 'narrow-2'),
    ('ours-2', 'act-2'),
    ('ours-28m', 'narrow-1'),
    ('ours-52m', 'act-1'),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    keys = [row.key for row in ROWS]
    parser.add_argument(
        '--checkpoint', type=Path, default=Path('checkpoints/aloha_transfer_cube'), help='of ours'
    )
    parser.add_argument('--backend', default=EAGER, choices=BACKEND_NAMES, help='of ours (default: eager)')
    parser.add_argument(
        '--rows', nargs='+', default=keys, choices=keys, metavar='ROW', help=f'of: {", ".join(keys)}'
    )
    parser.add_argument('--threads', type=int, default=1, help='of each policy (default: 1)')
    parser.add_argument('--rounds', type=int, default=5, help='turns of each policy (default: 5)')
    parser.add_argument('--seconds', type=float, default=1.0, help='of a turn, roughly (default: 1)')
    parser.add_argument(
        '--python', type=Path, default=Path('.venv-peers/bin/python'), help="the peers' interpreter"
    )
    parser.add_argument('--json', type=Path, help='write the figures here')
    parser.add_argument('--plot', type=Path, help='draw the medians into this SVG')


def run(args: argparse.Namespace) -> int:
    """Measure and print the tables."""
    for name, value in (('--threads', args.threads), ('--rounds', args.rounds)):
        if value < 1:
            raise ConfigError(f'{name} must be at least 1, got {value}')
    if not args.seconds > 0:
        raise ConfigError(f'--seconds must be more than 0, got {args.seconds}')
    if args.plot and args.plot.suffix != '.svg':
        raise ConfigError(f'--plot must be a .svg file, got {args.plot}')
    rows = [row for row in ROWS if row.key in args.rows]
    script = Path('bench/peers/lerobot_worker.py')
    raced = race(
        rows, args.python, script, args.checkpoint, args.backend, args.threads, args.rounds, args.seconds
    )
    figures = {
        'threads': args.threads,
        'rounds': args.rounds,
        'machine': platform.machine(),
        'rows': raced,
        'ratios': ratios(raced),
    }
    _print(figures)
    if args.json:
        write_json(args.json, 'the figures', figures, indent=2)
    if args.plot:
        bars = [(_label(row), row['ms']['p50'], row['ours']) for row in raced]
        title = f'From an observation to the next actions, {args.threads} thread(s), median'
        write_bars(args.plot, title, bars, 'ms', logarithmic=True)
    return 0


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times faster ours are, by medians, and what is asked of them, for the pairs whose rows are there."""
    median = {row['key']: row['ms']['p50'] for row in rows}
    asked = {(ours, theirs): times for ours, theirs, times in TARGETS}
    return [
        {
            'ours': ours,
            'theirs': theirs,
            'times': median[theirs] / median[ours],
            'target': asked.get((ours, theirs)),
        }
        for ours, theirs in COMPARED
        if ours in median and theirs in median
    ]


def _label(row: dict[str, Any]) -> str:
    return f'{row["name"]}, {row["cameras"]} cam., {row["parameters"] / 1e6:.1f} M'


def _print(figures: dict[str, Any]) -> None:
    rows = [
        [
            row['key'],
            row['name'] + ('' if row['backend'] == EAGER else f' ({row["backend"]})'),
            f'{row["parameters"] / 1e6:.1f} M',
            f'{row["cameras"]} of {"x".join(map(str, row["size"]))}',
            str(row['replans']),
            f'{row["ms"]["p50"]:.2f}',
            f'{row["ms"]["p95"]:.2f}',
        ]
        for row in figures['rows']
    ]
    head = ['row', 'policy', 'parameters', 'cameras', 'replans', 'p50 ms', 'p95 ms']
    print_table(head, rows, right=(2, 4, 5, 6))
    print(
        f'{figures["threads"]} thread(s) each; weights are random but for the shipped policy, at the same cost'
    )
    for pair in figures['ratios']:
        target = f' (to be {pair["target"]})' if pair['target'] else ''
        print(f'{pair["ours"]} is {pair["times"]:.1f} times faster than {pair["theirs"]}{target}')
