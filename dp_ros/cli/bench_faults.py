# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros bench faults``: the fault matrix through real nodes, and whether each fault ends as its file says."""

import argparse
import dataclasses
import importlib.util
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dp_ros.cli.fault_session import FaultSession
from dp_ros.contract.strict_yaml import load_strict_yaml
from dp_ros.errors import ConfigError
from dp_ros.evaluation.fault_judge import Verdict, judge
from dp_ros.share import share_path
from dp_ros.simulation.fault_files import FaultSpec, load_faults
from dp_ros.simulation.fault_site import ARMS
from dp_ros.whole_file import write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--json', type=Path, help='write every row here')
    parser.add_argument('--only', nargs='+', metavar='NAME', help='these faults alone (default: all)')
    parser.add_argument('--arms', choices=(*ARMS, 'both'), default='both', help='which robot (default: both)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--faults', type=Path, help='folder of fault files (default: the shipped ones)')
    parser.add_argument('--out', type=Path, help='keep logs and traces here')


def run(args: argparse.Namespace) -> int:
    """Print the table; 1 where any row is not as specified."""
    if importlib.util.find_spec('rclpy') is None:
        raise ConfigError(
            'bench faults needs ROS 2: source a distribution, or pip install "dp_ros[ros-jazzy]"'
        )
    folder = args.faults or share_path('config', 'faults')
    specs = load_faults(folder, args.only)
    rows: list[Verdict] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='faults_') as temporary:
        out = args.out or Path(temporary)
        for arms in ARMS if args.arms == 'both' else (args.arms,):
            print(_heading(arms), flush=True)
            for verdict in matrix(specs, folder, out.resolve() / arms, arms, args.seed):
                rows.append(verdict)
                print(_line(verdict), flush=True)
    failed = [row for row in rows if not row.ok]
    violations = sum(len(row.violations) for row in rows)
    print(
        f'{len(rows)} rows, {len(rows) - len(failed)} as specified, {violations} limit violations, '
        f'{time.monotonic() - began:.0f} s'
    )
    if args.json:
        table = [{**dataclasses.asdict(row), 'ok': row.ok} for row in rows]
        write_json(args.json, 'the fault matrix', {'seed': args.seed, 'rows': table})
    return 1 if failed else 0


def matrix(specs: Iterable[FaultSpec], folder: Path, out: Path, arms: str, seed: int) -> Iterator[Verdict]:
    """One verdict after the other, all through one set of nodes; what needs other parameters comes last."""
    ordered = sorted(specs, key=lambda spec: (spec.policy, sorted(spec.action_node.items())))
    real = any(spec.policy == 'real' for spec in ordered)
    with FaultSession(out, arms, real) as session:
        for i, spec in enumerate(ordered):
            data: dict[str, Any] = load_strict_yaml(Path(folder) / f'{spec.name}.yaml')
            seen, trace = session.run(spec, data, seed + 100 * i)
            yield judge(spec, arms, seen, trace, session.bounds, session.reaction_s)


def _heading(arms: str) -> str:
    names = ('fault', 'arms', 'observed state', 'counter', 'v/vmax', 'a/amax', 'viol', 'stop', 'recovery')
    return (
        f'\n{arms} arm{"s" if arms == "two" else ""}: stop = seconds to rest from detection / from the fault\n'
        + (_columns(*names))
    )


def _line(row: Verdict) -> str:
    stop = '/'.join(
        '-' if s is None else f'{s:.2f}' for s in (row.stop_from_detection_s, row.stop_from_fault_s)
    )
    counter = f'{row.counter.partition("/")[2]} {row.before} -> {row.after}' if row.counter else '-'
    shares = [f'{row.peaks.get(name, 0.0):.2f}' for name in ('velocity', 'acceleration')]
    text = _columns(
        row.fault, row.arms, row.observed, counter, *shares, str(len(row.violations)), stop, row.recovery
    )
    mark = 'ok' if row.ok else 'FAILED'
    return f'{text}  {mark}' + ''.join(f'\n      {problem}' for problem in row.problems)


def _columns(*texts: str) -> str:
    widths = (27, 4, 44, 32, 6, 6, 4, 11, 29)
    return ' '.join(
        (text if len(text) <= width else text[: width - 1] + '…').ljust(width)
        for text, width in zip(texts, widths, strict=True)
    )
