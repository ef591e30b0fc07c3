# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros play``: publish a bag on the ROS graph. The command becomes the process of play_node."""

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from dp_ros.cli.ros_processes import image_environment, parameters
from dp_ros.errors import ConfigError

_NODE = 'dp_ros.nodes.play_node'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('bag', type=Path, help='directory of a bag, or one storage file')
    parser.add_argument(
        '--rate', type=float, default=1.0, help='seconds of the bag a second; 0: as fast as it goes'
    )
    parser.add_argument(
        '--paused', action='store_true', help='begin paused; the space key, ~/resume, ~/toggle'
    )
    parser.add_argument('--loop', action='store_true', help='begin again at the end; the clock jumps back')
    parser.add_argument(
        '--clock-hz', type=float, default=200.0, help='times a second at which /clock is published'
    )
    parser.add_argument('--topics', nargs='+', default=[], help='publish these only')
    parser.add_argument(
        '--start', type=float, default=0.0, metavar='S', help='leave out so much of the beginning'
    )
    parser.add_argument('--duration', type=float, default=0.0, metavar='S', help='play so much of the bag')
    parser.add_argument('--namespace', default='', help='namespace of the nodes that the binding is read in')
    parser.add_argument('--remap', action='append', default=[], metavar='A:=B', help='publish topic A as B')
    parser.add_argument(
        '--binding', default='', help='publish what a robot with this binding says, nothing else'
    )
    parser.add_argument('--checkpoint', type=Path, help='the checkpoint that the policy runs, for --lockstep')
    parser.add_argument(
        '--lockstep',
        action='store_true',
        help='wait for each chunk that the running policy_node owes; its chunks are then those of dp_ros replay',
    )


def run(args: argparse.Namespace) -> int:
    """Does not return: this process becomes the player, with its keys, signals and exit code."""
    if importlib.util.find_spec('rclpy') is None:
        raise ConfigError(
            'dp_ros play needs ROS 2: source a distribution, or pip install "dp_ros[ros-jazzy]"'
        )
    command = [sys.executable, '-m', _NODE, *node_arguments(args)]
    sys.stdout.flush()
    os.execve(sys.executable, command, {**image_environment(), **os.environ})


def node_arguments(args: argparse.Namespace) -> list[str]:
    """What play_node is started with."""
    out = parameters(
        'play_node',
        # A path that begins with a slash cannot be taken for a number.
        bag=args.bag.resolve(),
        rate=float(args.rate),
        paused=args.paused,
        loop=args.loop,
        clock_hz=float(args.clock_hz),
        topics=' '.join(args.topics),
        start_s=float(args.start),
        duration_s=float(args.duration),
        binding=args.binding,
        checkpoint=args.checkpoint.resolve() if args.checkpoint else '',
        lockstep=args.lockstep,
    )
    if args.namespace:
        out += ['-r', f'__ns:=/{args.namespace.strip("/")}']
    for rule in args.remap:
        if ':=' not in rule:
            raise ConfigError(f'--remap takes A:=B, got {rule!r}')
        out += ['-r', rule]
    return out
