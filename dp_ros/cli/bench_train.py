# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros bench train``: samples a second of a training run, by stage, and what holds it up."""

import argparse
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dp_ros.cli.tables import print_table
from dp_ros.errors import ConfigError
from dp_ros.evaluation.bar_chart import write_bars
from dp_ros.evaluation.latency import matmul_rate
from dp_ros.evaluation.statistics import percentiles
from dp_ros.training.data import load_data
from dp_ros.training.experiment import Experiment
from dp_ros.training.speed import STAGES, time_steps
from dp_ros.whole_file import write_json

# Threads that get less than this share of the cores they ask for wait for other processes rather than compute.
_CROWDED = 0.8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--experiment', type=Path, required=True, help='config/experiments/NAME.yaml')
    parser.add_argument('--store', help="episode store, in place of the experiment's")
    parser.add_argument('--steps', type=int, default=20, help='counted steps (default: 20)')
    parser.add_argument('--warmup', type=int, default=3, help='steps before them (default: 3)')
    parser.add_argument('--threads', type=int, help="CPU threads (default: PyTorch's own choice)")
    parser.add_argument('--device', default='cpu', help='cpu or cuda (default: cpu)')
    parser.add_argument(
        '--compile',
        action='store_true',
        help="the cameras' encoders by torch.compile, as `dp_ros train` offers it",
    )
    parser.add_argument('--json', type=Path, help='write the figures here')
    parser.add_argument('--plot', type=Path, help='draw the stages into this SVG')


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, name the bottleneck."""
    for name, value in (('--steps', args.steps), ('--warmup', args.warmup)):
        if value < 1:
            raise ConfigError(f'{name} must be at least 1, got {value}')
    if args.plot and args.plot.suffix != '.svg':
        raise ConfigError(f'--plot must be a .svg file, got {args.plot}')
    if args.threads:
        torch.set_num_threads(args.threads)
    experiment = Experiment.from_yaml(args.experiment, store=args.store)
    figures = measure(experiment, args.device, args.steps, args.warmup, args.compile)
    _print(figures)
    if args.json:
        write_json(args.json, 'the figures', figures, indent=2)
    if args.plot:
        bars = [(name, figures['stages_ms'][name]['p50'], name == figures['slowest']) for name in STAGES]
        write_bars(args.plot, f'One training step of {experiment.name}, by stage', bars, 'ms')
    return 0


def measure(
    experiment: Experiment, device: str, steps: int, warmup: int, compiled: bool = False
) -> dict[str, Any]:
    """Figures of one experiment, ready for JSON; milliseconds are medians over steps."""
    times = time_steps(experiment, load_data(experiment), device, steps, warmup, compiled)
    rate = matmul_rate(torch.device(device))
    wall_s = np.sum([times.stages_s[name] for name in STAGES], axis=0)
    step_s, data_s = float(np.median(wall_s)), float(np.median(times.stages_s['data']))
    medians = {name: float(np.median(times.stages_s[name])) for name in STAGES}
    slowest = max(medians, key=lambda name: medians[name])
    threads = torch.get_num_threads()
    cores = float(np.median(times.cpu_s)) / step_s
    return {
        'experiment': experiment.name,
        'parameters': times.parameters,
        'batch_size': experiment.training.batch_size,
        'samples_per_s': experiment.training.batch_size / step_s,
        'step_ms': asdict(percentiles([1e3 * s for s in wall_s])),
        'stages_ms': {name: asdict(percentiles([1e3 * s for s in times.stages_s[name]])) for name in STAGES},
        'slowest': slowest,
        'bottleneck': _bottleneck(slowest, cores, threads, device),
        'feed_ratio': step_s / data_s,
        'flop': times.flop,
        'matmul_gflops': rate / 1e9,
        'ratio_to_bound': step_s * rate / times.flop,
        'cores_used': cores,
        'threads': threads,
        'compiled': compiled,
        'device': device,
        'machine': f'{platform.machine()}, torch {torch.__version__}',
        'losses': times.losses,
    }


def _bottleneck(slowest: str, cores: float, threads: int, device: str) -> str:
    """In words: who waits for whom."""
    if slowest == 'data':
        return 'the store: the network waits for windows'
    if device == 'cpu' and cores < _CROWDED * threads:
        return f'the processor: {threads} threads got {cores:.1f} cores; other processes, or work that cannot be split'
    return (
        f'arithmetic, most of it in the {slowest} pass'
        if slowest != 'average'
        else 'the average of the weights'
    )


def _print(figures: dict[str, Any]) -> None:
    total = figures['step_ms']['p50']
    rows = [
        [name, f'{v["p50"]:.1f}', f'{v["p95"]:.1f}', f'{v["p50"] / total:.0%}']
        for name, v in figures['stages_ms'].items()
    ]
    rows.append(['step', f'{total:.1f}', f'{figures["step_ms"]["p95"]:.1f}', ''])
    print_table(['stage', 'p50 ms', 'p95 ms', 'share'], rows, right=(1, 2, 3))
    print(
        f'{figures["samples_per_s"]:.1f} samples/s in batches of {figures["batch_size"]}, '
        f'{figures["parameters"] / 1e6:.2f} M parameters, {figures["threads"]} threads on {figures["cores_used"]:.1f} '
        f'cores ({figures["device"]})\n'
        f'{figures["flop"] / 1e9:.1f} GFLOP a step; a matrix product reaches {figures["matmul_gflops"]:.0f} GFLOP/s '
        f'here, the step is {figures["ratio_to_bound"]:.1f} times that bound\n'
        f'bottleneck: {figures["bottleneck"]}; windows come {figures["feed_ratio"]:.0f} times faster than steps'
    )
