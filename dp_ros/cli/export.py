# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros export``: what a backend needs of a checkpoint, written beside it."""

import argparse
from dataclasses import replace
from pathlib import Path

from dp_ros.policy.artefact import SETTINGS
from dp_ros.policy.backends import EXPORTED
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.config import MODES, SAMPLER_NAMES, SCHEDULE_NAMES
from dp_ros.policy.modes import make_controller
from dp_ros.policy.runtime import export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--checkpoint', type=Path, required=True, help='checkpoint directory')
    parser.add_argument('--backend', required=True, help=f'one of: {", ".join(EXPORTED)}')
    parser.add_argument('--out', type=Path, help='folder to write (default: CHECKPOINT/backends/BACKEND)')
    control = parser.add_argument_group(
        "the tick's settings, part of the artefact (default: the checkpoint's own)"
    )
    control.add_argument('--mode', choices=MODES)
    control.add_argument('--evaluations', type=int, help='network evaluations a tick, or a chunk')
    control.add_argument('--guidance', type=float, help='strength of guidance')
    control.add_argument('--restart-sigma', type=float, help='noise on the last chunk (truncated mode)')
    control.add_argument('--sampler', choices=SAMPLER_NAMES, help='of a chunk')
    control.add_argument('--schedule', choices=SCHEDULE_NAMES, help='noise levels of a chunk')


def run(args: argparse.Namespace) -> int:
    """Export, check and say what it costs in exactness."""
    policy = load_checkpoint(args.checkpoint)
    changes = {name: getattr(args, name) for name in SETTINGS if getattr(args, name) is not None}
    controller = make_controller(policy, control=replace(policy.config.control, **changes))
    artefact = export(controller, args.backend, args.checkpoint, args.out)
    print(
        f'{artefact.folder}: largest error against the eager tick {artefact.largest_error:.2g} standardised units'
    )
    return 0
