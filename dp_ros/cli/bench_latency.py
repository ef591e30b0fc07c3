# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros bench latency``: a tick by stage, backends side by side, beside the machine's bound in the same run."""

import argparse
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dp_ros.errors import ConfigError
from dp_ros.evaluation.latency import measure_ticks
from dp_ros.policy.backends import BACKENDS
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.modes import make_controller
from dp_ros.policy.runtime import BACKEND_NAMES, EAGER, use_backend
from dp_ros.whole_file import write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--checkpoint', type=Path, required=True, help='checkpoint directory')
    parser.add_argument(
        '--backend', nargs='+', default=[EAGER], help=f'measured in turn, of: {", ".join(BACKEND_NAMES)}'
    )
    parser.add_argument('--ticks', type=int, default=300, help='counted ticks of each, after 20 that are not')
    parser.add_argument('--threads', type=int, help="CPU threads (default: PyTorch's own choice)")
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--json', type=Path, help='write the figures here')


def run(args: argparse.Namespace) -> int:
    """Measure and print a table."""
    if args.ticks < 1:
        raise ConfigError(f'--ticks must be at least 1, got {args.ticks}')
    if args.threads is not None:
        if args.threads < 1:
            raise ConfigError(f'--threads must be at least 1, got {args.threads}')
        torch.set_num_threads(args.threads)
    policy = load_checkpoint(args.checkpoint, args.device)
    controllers = {}
    for name in args.backend:
        controller = make_controller(policy)
        # All with as many threads as the matrix product that they are compared with.
        controllers[use_backend(controller, name, args.checkpoint, torch.get_num_threads())] = controller
    figures = measure_ticks(controllers, args.ticks)
    figures['machine'] = platform.machine()
    libraries = {
        'torch',
        *(library for name in controllers if name in BACKENDS for library in BACKENDS[name].modules),
    }
    figures['versions'] = {library: version(library) for library in sorted(libraries)}
    _show(figures)
    if args.json:
        write_json(args.json, 'the figures', figures, indent=2)
    return 0


def _show(figures: dict[str, Any]) -> None:
    print(f'{"backend":14s} {"stage":10s} {"p50":>8s} {"p95":>8s} {"p99":>8s}  ms')
    for name, measured in figures['backends'].items():
        for stage, values in measured['stages_ms'].items():
            print(f'{name:14s} {stage:10s} {values["p50"]:8.2f} {values["p95"]:8.2f} {values["p99"]:8.2f}')
    print(
        f'{figures["flop"] / 1e6:.1f} MFLOP a tick; matrix product {figures["matmul_gflops"]:.0f} GFLOP/s, '
        f'copy {figures["copy_gbytes"]:.1f} GB/s, bound {figures["bound_ms"]:.2f} ms ({figures["threads"]} threads)'
    )
    for name, measured in figures['backends'].items():
        print(f'{name}: encode + network is {measured["ratio_to_bound"]:.2f} times the bound')
