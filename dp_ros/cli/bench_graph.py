# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros bench graph``: from a camera's stamp to the controllers' message, through real nodes over real DDS."""

import argparse
import importlib.util
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import torch

from dp_ros.cli.graph_checkpoint import (
    export_tick,
    random_policy,
    still_checkpoint,
    two_cameras,
    write_graph_site,
)
from dp_ros.cli.graph_session import NODES, GraphRun, run_graph
from dp_ros.cli.ros_processes import ProcessError
from dp_ros.contract import Contract
from dp_ros.errors import ConfigError
from dp_ros.evaluation.graph_plot import write_plot
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.policy import Policy
from dp_ros.policy.runtime import BACKEND_NAMES, EAGER
from dp_ros.share import share_path
from dp_ros.simulation.robot import make_task
from dp_ros.whole_file import write_json

SHIPPED = 'aloha_transfer_cube'
TASK, TASK_BINDING, TASK_CAMERA_HZ = SHIPPED, 'aloha_sim', 25.0
# What ROS, Python and scheduling may add to the tick: p50 and p99, milliseconds.
TARGETS = {'p50': 5.0, 'p99': 15.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        '--checkpoint', type=Path,
        help='whose network to run (default: random weights of the shipped size with two cameras; with --sim the '
        'shipped one)',
    )  # fmt: skip
    parser.add_argument(
        '--tick-hz', type=float, nargs='+',
        help='ticks a second, at most one a picture; actions are replaced by standing still (default: 20; with '
        '--sim as the checkpoint says, and its own actions)',
    )  # fmt: skip
    parser.add_argument('--camera-hz', type=float, help='pictures a second (default: 30, with --sim 25)')
    parser.add_argument('--load', type=int, nargs='+', default=[0], help='busy processes beside (default: 0)')
    parser.add_argument('--minutes', type=float, default=0.1, help='of each run (default: 0.1)')
    parser.add_argument(
        '--warm-up', type=float, default=2.0, metavar='S', help='before it counts (default: 2)'
    )
    parser.add_argument('--sim', action='store_true', help=f'sim_node in real time as the robot ({TASK})')
    parser.add_argument('--threads', type=int, default=1, help='numeric threads of policy_node (default: 1)')
    parser.add_argument(
        '--backend', default=EAGER, choices=BACKEND_NAMES,
        help="what computes policy_node's ticks, exported first for a checkpoint of the benchmark (default: eager)",
    )  # fmt: skip
    parser.add_argument(
        '--set', nargs='+', default=[], metavar='NODE.PARAMETER=VALUE', help='more parameters of the nodes'
    )
    parser.add_argument('--json', type=Path, help='write the figures here')
    parser.add_argument('--plot', type=Path, help='draw each tick here, as SVG')
    parser.add_argument('--out', type=Path, help='keep logs and records here')


def run(args: argparse.Namespace) -> int:
    """Print the tables; 1 where a tick came late or not at all, or the arms stopped following."""
    if importlib.util.find_spec('rclpy') is None:
        raise ConfigError(
            'bench graph needs ROS 2: source a distribution, or pip install "dp_ros[ros-jazzy]"'
        )
    if args.minutes <= 0.0 or args.threads < 1 or min(args.load) < 0:
        raise ConfigError(
            f'--minutes must be positive, --threads at least 1 and --load at least 0, got {args.minutes:g}, '
            f'{args.threads}, {args.load}'
        )
    more = node_parameters([f'policy_node.backend={args.backend}', *args.set])
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix='graph_') as temporary:
        out = (args.out or Path(temporary)).resolve()
        for tick_hz in args.tick_hz or [None if args.sim else 20.0]:
            asked = _asked(args, tick_hz, out, more)
            for load in args.load:
                name = 'own' if tick_hz is None else f'{tick_hz:g}'
                try:
                    row = run_graph(GraphRun(**{**asked, 'load': load}), out / f'{name}_hz_{load}_busy')
                except ProcessError as error:
                    print(f'tick {name} Hz, {load} busy processes: {error}')
                    return 1
                rows.append(row)
                _print(row)
    if args.json:
        machine = {'processors': os.cpu_count(), 'machine': platform.machine(), 'threads': args.threads}
        plain = [{k: v for k, v in row.items() if k != 'series'} for row in rows]
        write_json(
            args.json, 'the figures', {**machine, 'backend': args.backend, 'set': args.set, 'runs': plain}
        )
    if args.plot:
        write_plot(args.plot, rows)
    wrong = [
        r for r in rows if r['late'] or r['skipped'] or not r['ticks'] or not r['state'].startswith('RUN')
    ]
    return 1 if wrong else 0


def node_parameters(texts: list[str]) -> dict[str, dict[str, object]]:
    """'NODE.PARAMETER=VALUE' each to parameters by node.

    Raises:
        ConfigError: another form, or another node.
    """
    out: dict[str, dict[str, object]] = {}
    for text in texts:
        place, _, value = text.partition('=')
        node, _, name = place.partition('.')
        if node not in NODES or not name or '=' not in text:
            raise ConfigError(f'--set {text!r}: expected NODE.PARAMETER=VALUE with NODE one of {list(NODES)}')
        out.setdefault(node, {})[name] = value
    return out


def _asked(args: argparse.Namespace, tick_hz: float | None, out: Path, more: Any) -> dict[str, Any]:
    shipped = share_path('checkpoints', SHIPPED)
    common = {
        'seconds': 60.0 * args.minutes, 'warm_up_s': args.warm_up, 'threads': args.threads, 'parameters': more,
    }  # fmt: skip
    directory = out / f'checkpoint_{tick_hz}'
    if args.sim:
        checkpoint = (args.checkpoint or shipped).resolve()
        if tick_hz is not None:
            policy = load_checkpoint(checkpoint)
            checkpoint = still_checkpoint(directory, policy, _task_pose(), tick_hz)
            export_tick(checkpoint, args.backend)
        camera_hz = args.camera_hz or TASK_CAMERA_HZ
        return common | {
            'checkpoint': checkpoint, 'binding': TASK_BINDING, 'camera_hz': camera_hz, 'task': TASK,
        }  # fmt: skip
    policy = _policy(args.checkpoint)
    assert tick_hz is not None
    checkpoint = still_checkpoint(directory, policy, torch.zeros(len(policy.contract.joint_names)), tick_hz)
    export_tick(checkpoint, args.backend)
    binding = write_graph_site(out / 'site', policy.contract)
    return common | {'checkpoint': checkpoint, 'binding': str(binding), 'camera_hz': args.camera_hz or 30.0}


def _policy(checkpoint: Path | None) -> Policy:
    if checkpoint is not None:
        return load_checkpoint(checkpoint)
    shipped = Contract.from_json(share_path('config', 'contracts', f'{SHIPPED}.json'))
    return random_policy(two_cameras(shipped))


def _task_pose() -> torch.Tensor:
    """Where the simulated arms start."""
    robot = make_task(TASK)
    try:
        robot.reset(0)
        return torch.tensor(robot.joint_positions())
    finally:
        robot.close()


def _print(row: dict[str, Any]) -> None:
    print(
        f'\nTick at {row["expected_hz"]:.1f} Hz ({row["tick_hz"]:.1f} asked, pictures at {row["camera_hz"]:g} Hz), '
        f'{row["load"]} busy processes: {row["ticks"]} ticks in {row["seconds"]:.1f} s'
    )
    print(f'  {"ms":28s} {"p50":>8s} {"p95":>8s} {"p99":>8s} {"largest":>8s}')
    for name, values in row['ms'].items():
        print(f'  {name:28s}' + ''.join(f' {values[key]:8.2f}' for key in ('p50', 'p95', 'p99', 'largest')))
    over = [f'{key} {row["ms"]["added"][key]:.1f} > {most:g} ms' for key, most in TARGETS.items()
            if not row['ms']['added'][key] <= most]  # fmt: skip
    print(f'  added to the tick: {"; ".join(over) if over else "within its targets"}')
    print(
        f'  {row["late"]} late, {row["skipped"]} skipped, {row["unfollowed"]} without windows; {row["state"]}'
    )
    for name, use in row['processes'].items():
        print(
            f'  {name:12s} {use["rss_start_mib"]:7.1f} to {use["rss_end_mib"]:7.1f} MiB, {use["threads"]:3d} threads, '
            f'{100 * use["cpu"]:5.1f} % of a core'
        )
