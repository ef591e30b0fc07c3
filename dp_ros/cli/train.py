# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros train``: from an experiment file to a checkpoint."""

import argparse
import json
import platform
import resource
import time
from dataclasses import replace
from pathlib import Path

import torch

from dp_ros.policy.checkpoint import save_checkpoint
from dp_ros.training.data import golden_observation
from dp_ros.training.experiment import Experiment
from dp_ros.training.loop import train
from dp_ros.training.model_card import model_card


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--experiment', type=Path, required=True, help='config/experiments/NAME.yaml')
    parser.add_argument('--out', type=Path, help='checkpoint directory (default: runs/NAME/checkpoint)')
    parser.add_argument('--run', type=Path, help='snapshot and TensorBoard files (default: runs/NAME)')
    parser.add_argument('--store', help="episode store, in place of the experiment's")
    parser.add_argument('--device', default='cpu', help='cpu or cuda (default: cpu)')
    parser.add_argument('--threads', type=int, help="CPU threads (default: PyTorch's own choice)")
    parser.add_argument(
        '--compile', action='store_true', help="the cameras' encoders by torch.compile (needs a C++ compiler)"
    )


def run(args: argparse.Namespace) -> int:
    """Train, or go on from the run's snapshot, and write the checkpoint."""
    if args.threads:
        torch.set_num_threads(args.threads)
    experiment = Experiment.from_yaml(args.experiment, store=args.store)
    folder = args.run or Path('runs') / experiment.name
    out = args.out or folder / 'checkpoint'
    minutes = train_checkpoint(experiment, folder, out, args.device, compiled=args.compile)
    if minutes is not None:
        print(f'{out}: checkpoint written after {minutes:.1f} minutes')
    return 0


def train_checkpoint(
    experiment: Experiment,
    folder: Path,
    out: Path,
    device: str,
    stop_after: int | None = None,
    compiled: bool = False,
) -> float | None:
    """Train, or go on from the run's snapshot, and write the checkpoint.

    Args:
        experiment: the resolved experiment.
        folder: of snapshots and TensorBoard files.
        out: of the checkpoint.
        device: of the network.
        stop_after: write it after so many steps in total.
        compiled: see :func:`~dp_ros.training.loop.train`.

    Returns:
        minutes that it took; None in a process that is not the main one.
    """
    start = time.monotonic()
    result = train(experiment, folder, device, stop_after, compiled)
    if not result.is_main:
        return None
    minutes = (time.monotonic() - start) / 60
    facts = {
        'minutes of this command': f'{minutes:.1f}',
        'peak memory': f'{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB',
        'machine': f'{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}',
        'validation': json.dumps({k: round(v, 4) for k, v in result.figures.items()}),
    }
    if stop_after is not None:
        facts['stopped after'] = f'{stop_after} steps'
    card = model_card(experiment, result.policy, facts)
    config = result.policy.config
    config = replace(config, provenance={**config.provenance, 'validation': result.figures})
    save_checkpoint(out, replace(result.policy, config=config), golden_observation(result.data), card)
    return minutes
