# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros inspect``: what is in a bag, an episode store or a checkpoint, and does it fit this robot?"""

import argparse
from importlib import import_module
from pathlib import Path

from dp_ros.cli.inspect_bag import is_bag
from dp_ros.errors import ConfigError, StoreError

# Options that only some of what can be inspected has.
OPTIONS = {
    'inspect_checkpoint': {'binding', 'plot'},
    'inspect_store': {'binding'},
    'inspect_bag': {'binding', 'contract', 'checkpoint', 'namespace', 'gap', 'read'},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('path', type=Path, help='bag, episode store, or checkpoint directory')
    parser.add_argument(
        '--binding', type=Path, help='also compare with the robot, or the topics, that this binding describes'
    )
    checkpoint = parser.add_argument_group('of a checkpoint')
    checkpoint.add_argument('--plot', type=Path, help='SVG of which experts it uses at which noise level')
    bag = parser.add_argument_group('of a bag')
    needed = bag.add_mutually_exclusive_group()
    needed.add_argument('--contract', type=Path, help='what is needed (default: what its recorder kept)')
    needed.add_argument('--checkpoint', type=Path, help='what this checkpoint needs')
    bag.add_argument('--namespace', help="of the binding's relative topics (default: the recorder's)")
    bag.add_argument(
        '--gap', type=float, default=1.0, help='seconds of silence between episodes (default: 1)'
    )
    bag.add_argument('--read', action='store_true', help='read every message, to find damage inside')


def run(args: argparse.Namespace) -> int:
    """Print tables; exit code 1 if something is damaged, or if robot, contract and bag do not fit each other."""
    if (args.path / 'store.json').is_file():
        kind = 'inspect_store'
    elif (args.path / 'manifest.json').is_file():
        kind = 'inspect_checkpoint'
    elif is_bag(args.path):
        kind = 'inspect_bag'
    else:
        raise StoreError(
            f'{args.path}: neither a checkpoint (manifest.json) nor an episode store (store.json) nor a bag '
            '(.mcap or .db3)'
        )
    for name in sorted(set().union(*OPTIONS.values()) - OPTIONS[kind]):
        if getattr(args, name) not in (None, False, 1.0):
            raise ConfigError(f'{args.path}: --{name} has no meaning for it: {kind[8:]}')
    # A bag needs no torch, whose import takes seconds.
    return int(import_module(f'dp_ros.cli.{kind}').run(args))
