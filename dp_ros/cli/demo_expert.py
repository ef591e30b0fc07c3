# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros demo --expert``: demonstrations through the ROS graph, as `dp_ros collect` makes them without it."""

import argparse

from dp_ros.cli.ros_processes import Fleet, parameters
from dp_ros.errors import ConfigError
from dp_ros.share import share_path

BINDING = 'aloha_sim_leader'
CONTRACT = share_path('config', 'contracts', 'aloha_transfer_cube.json')
NOISE_RAD = 0.03
# The leader may be slow; what is late would not be what was planned.
_WAIT_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this way to run the demo."""
    parser.add_argument(
        '--expert',
        action='store_true',
        help='no policy: the scripted expert leads the arms, to record demonstrations; failures are marked as such',
    )
    parser.add_argument(
        '--noise',
        type=float,
        help=f'with --expert: largest scale of the noise on the commands, rad (default: {NOISE_RAD})',
    )


def check(args: argparse.Namespace) -> None:
    """Fill in the noise; ConfigError for options that make no sense together."""
    if not args.expert:
        if args.noise is not None:
            raise ConfigError('--noise is for --expert: a policy is executed as it is')
        return
    for name, given in (
        ('--checkpoint', args.checkpoint is not None),
        ('--task', args.task is not None),
        ('--realtime', args.realtime),
    ):
        if given:
            raise ConfigError(
                f'{name} does not go with --expert: it knows no policy, passes the cube, and runs in lockstep'
            )
    if args.noise is None:
        args.noise = NOISE_RAD
    if not 0.0 <= args.noise <= 1.0:
        raise ConfigError(f'--noise must lie between 0 and 1 rad, got {args.noise}')


def start(fleet: Fleet, args: argparse.Namespace) -> None:
    """Start the robot, and the expert as its operator."""
    values = {
        'binding': args.binding,
        'first_seed': args.seed,
        'teleoperated': True,
        'engaged_topic': 'expert_node/engaged',
        'wait_s': _WAIT_S,
    }
    fleet.start('sim_node', 'dp_ros.nodes.sim_node', parameters('sim_node', **values), images=True)
    operator = {
        'contract': CONTRACT,
        'binding': args.binding,
        'episodes': args.episodes,
        'seed': args.seed,
        'noise': args.noise,
    }
    options = [text for key, value in operator.items() for text in (f'--{key}', str(value))]
    options += ['--bag'] if args.record is not None else []
    fleet.start('operator', 'dp_ros.nodes.expert_node', options, log=False)
