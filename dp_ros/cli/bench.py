# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros bench``: measurements that anyone can repeat, one module each."""

import argparse
import importlib

from dp_ros.cli.idle_threads import sleep_when_idle

BENCHES = {
    'family': 'the ablation set of a benchmark: trained or loaded, rolled out, in one table',
    'graph': "from a camera's stamp to the controllers' message through real nodes",
    'latency': 'latency of a tick by stage',
    'peers': "time from an observation to the next actions, beside LeRobot's policies in the same run",
    'train': 'samples a second of a training run, by stage, and what holds it up',
    'motion': 'how well joint trajectory controllers follow our windows and the messages of other stacks',
    'faults': 'what the action node does in every fault of the matrix',
}
# Those that train, as `dp_ros train` does.
TRAINS = ('family', 'train')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command; a bench has its own, shown by ``dp_ros bench NAME --help``."""
    listed = '; '.join(f'{name}: {words}' for name, words in BENCHES.items())
    parser.add_argument('bench', choices=sorted(BENCHES), help=listed)
    # Parsed by the bench itself, so that only its module is imported.
    parser.add_argument('options', nargs=argparse.REMAINDER, help='options of the bench')


def run(args: argparse.Namespace) -> int:
    """Run the bench."""
    if args.bench in TRAINS:
        sleep_when_idle()
    module = importlib.import_module(f'dp_ros.cli.bench_{args.bench}')
    words = BENCHES[args.bench]
    parser = argparse.ArgumentParser(
        prog=f'dp_ros bench {args.bench}', description=f'{words[0].upper()}{words[1:]}.'
    )
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(args.options)))
