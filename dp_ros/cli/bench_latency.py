# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros bench latency``: a tick by stage, with percentiles and the bound of a matrix product in the same run."""

import argparse
import json
import platform
from pathlib import Path

import torch

from dp_ros.errors import ConfigError
from dp_ros.evaluation.latency import measure_ticks
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.streaming import make_controller
from dp_ros.whole_file import whole_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--checkpoint', type=Path, required=True, help='checkpoint directory')
    parser.add_argument('--ticks', type=int, default=300, help='counted ticks, after 20 that are not')
    parser.add_argument('--threads', type=int, help="CPU threads (default: PyTorch's own choice)")
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--json', type=Path, help='write the figures here')


def run(args: argparse.Namespace) -> int:
    """Measure and print a table."""
    if args.ticks < 1:
        raise ConfigError(f'--ticks must be at least 1, got {args.ticks}')
    if args.threads:
        torch.set_num_threads(args.threads)
    controller = make_controller(load_checkpoint(args.checkpoint, args.device))
    figures = measure_ticks(controller, args.ticks)
    figures['machine'] = f'{platform.machine()}, torch {torch.__version__}'
    print(f'{"stage":10s} {"p50":>8s} {"p95":>8s} {"p99":>8s}  ms')
    for stage, values in figures['stages_ms'].items():
        print(f'{stage:10s} {values["p50"]:8.2f} {values["p95"]:8.2f} {values["p99"]:8.2f}')
    print(
        f'{figures["flop"] / 1e6:.1f} MFLOP a tick, matrix product {figures["matmul_gflops"]:.0f} GFLOP/s, '
        f'bound {figures["bound_ms"]:.2f} ms; encode + network is {figures["ratio_to_bound"]:.1f} times the bound '
        f'({figures["threads"]} threads)'
    )
    if args.json:
        with whole_file(args.json, 'the figures') as beside:
            beside.write_text(json.dumps(figures, indent=2) + '\n')
    return 0
