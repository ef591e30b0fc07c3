# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros``: one command, one module per subcommand. Needs no ROS (``demo`` starts the nodes' processes)."""

import argparse
import importlib
import keyword
import sys

from dp_ros import __version__
from dp_ros.cli.idle_threads import sleep_when_idle
from dp_ros.errors import DpRosError

COMMANDS = {
    'demo': 'two arms pass a cube, driven through the ROS 2 graph; ends with a video and a report',
    'collect': 'record demonstrations of a scripted expert in simulation into an episode store',
    'train': 'train a policy from an experiment file; resumes by itself',
    'rollout': 'run a checkpoint in closed loop against its simulated task, without ROS',
    'export': 'write what a backend needs to compute the ticks of a checkpoint, beside it',
    'import': 'bring rosbags into an episode store, with a report of what they hold',
    'replay': 'ask a checkpoint what it would have done on a bag, without ROS; ends with a report',
    'play': 'publish a bag on the ROS graph, with its clock',
    'inspect': 'print what a bag, an episode store or a checkpoint holds, and whether it fits a robot',
    'bench': 'repeat a measurement: latency of a tick, motion through controllers, faults',
}


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand; errors that dp_ros raises on purpose print one message and give exit code 2."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog='dp_ros', description=__doc__.split(':')[0].replace('`', ''))
    parser.add_argument('--version', action='version', version=f'dp_ros {__version__}')
    subparsers = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    # Only the module of the asked command is imported: torch and the simulator take seconds.
    asked = next((a for a in argv if a in COMMANDS), None)
    if asked == 'train':
        sleep_when_idle()
    modules = {}
    for name, text in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text, description=text[0].upper() + text[1:] + '.')
        if name == asked:
            # A keyword of Python cannot name a module that others import.
            module = name + '_' * keyword.iskeyword(name)
            modules[name] = importlib.import_module(f'dp_ros.cli.{module}')
            modules[name].add_arguments(subparser)
    args = parser.parse_args(argv)
    try:
        code = modules[args.command].run(args)
    except DpRosError as error:
        print(f'dp_ros {args.command}: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f'\ndp_ros {args.command}: interrupted', file=sys.stderr)
        return 130
    return int(code)


if __name__ == '__main__':
    sys.exit(main())
