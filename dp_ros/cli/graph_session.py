# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One run of ``dp_ros bench graph``: the processes, what they publish and when, and what they use meanwhile."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dp_ros.cli.process_usage import UsageLog
from dp_ros.cli.ros_processes import Fleet, ProcessError, free_domain, local_environment, parameters
from dp_ros.contract import Contract
from dp_ros.evaluation.graph_timing import graph_figures, ticks_of
from dp_ros.policy.due import DueRule

NODES = ('policy_node', 'action_node', 'sim_node')
# Any module that computes for ever will do.
_ENDLESS = ('-n', '1000000000000', '-r', '1', 'pass')
# A policy that stands still needs no gate against its own jitter, and sim_node's arms sag a little under their load.
_MOTION = {'dry_run': False, 'start_jump_rad': 0.5, 'max_tracking_error_rad': 1.0}


@dataclass(frozen=True, kw_only=True)
class GraphRun:
    """What is measured.

    Attributes:
        checkpoint, binding: of both nodes.
        camera_hz: pictures a second.
        seconds, warm_up_s: recorded, and before.
        load: busy processes beside.
        threads: numeric threads of policy_node.
        task: run sim_node with this task in real time instead of the benchmark's robot; empty: do not.
        parameters: more parameters, by node.
    """

    checkpoint: Path
    binding: str
    camera_hz: float
    seconds: float
    warm_up_s: float = 2.0
    load: int = 0
    threads: int = 1
    task: str = ''
    parameters: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def run_graph(run: GraphRun, folder: Path) -> dict[str, Any]:
    """Figures of one run; logs and the record stay in ``folder``.

    Raises:
        ProcessError: a process ended early, or the arms were never engaged; with the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record_file = folder / 'record.json'
    record_file.unlink(missing_ok=True)
    with Fleet(folder / 'logs', local_environment(free_domain())) as fleet:
        started = _start(fleet, run, record_file)
        with UsageLog({name: process.pid for name, process in started.items()}) as log:
            code = fleet.wait_for('graph_robot')
        tails = '\n'.join(fleet.tail(name) for name in ('graph_robot', *NODES))
        codes = fleet.stop(NODES, at_once=len(NODES))
    if code or not record_file.is_file():
        raise ProcessError(f'nothing was measured\n{tails}')
    record = json.loads(record_file.read_text())
    figures = _figures(run, record)
    figures['processes'] = log.between(record['begin_ns'], record['end_ns'])
    figures['exit_codes'] = {name: code for name, code in codes.items() if name in NODES}
    return figures


def _start(fleet: Fleet, run: GraphRun, record_file: Path) -> dict[str, Any]:
    """All processes; returns those whose use counts."""
    simulated = bool(run.task)
    common = {
        'checkpoint': run.checkpoint, 'binding': run.binding, 'autostart': True, 'use_sim_time': simulated,
        'discovery_s': 0.3,
    }  # fmt: skip
    values: dict[str, dict[str, object]] = {
        'policy_node': {**common, 'frozen_camera_s': 0.0 if simulated else 1.0},
        'action_node': {**common, **_MOTION},
    }
    if simulated:
        values['sim_node'] = {
            'task': run.task, 'binding': run.binding, 'realtime': True, 'camera_hz': run.camera_hz,
        }  # fmt: skip
    started = {}
    for name, own in values.items():
        options = parameters(name, **{**own, **run.parameters.get(name, {})})
        threads = run.threads if name == 'policy_node' else 1
        started[name] = fleet.start(name, f'dp_ros.nodes.{name}', options, threads, images=name == 'sim_node')
    options = [
        '--checkpoint', str(run.checkpoint), '--binding', run.binding, '--record', str(record_file),
        '--camera-hz', str(run.camera_hz), '--seconds', str(run.seconds), '--warm-up', str(run.warm_up_s),
        *(['--listen'] if simulated else []),
    ]  # fmt: skip
    started['graph_robot'] = fleet.start(
        'graph_robot', 'dp_ros.nodes.graph_robot', options, images=not simulated
    )
    for i in range(run.load):
        fleet.start(f'busy_{i}', 'timeit', _ENDLESS)
    return started


def _figures(run: GraphRun, record: Mapping[str, Any]) -> dict[str, Any]:
    timing = Contract.from_json(run.checkpoint / 'contract.json').timing
    rule = DueRule(timing.tick_ns, timing.period_ns)
    expected_ns = rule.spacing_ns(round(1e9 / run.camera_hz))
    ticks = ticks_of(record)
    figures = graph_figures(ticks, expected_ns)
    figures |= {
        'tick_hz': 1e9 / timing.tick_ns,
        'camera_hz': run.camera_hz,
        'load': run.load,
        'state': record['state'],
        'late_pictures': record['late_pictures'],
        'diagnostics': {
            name: line
            for name, line in record['diagnostics'].items()
            if name.endswith(('counters', 'simulation'))
        },
        'series': {
            'seconds': [round((tick.stamp_ns - ticks[0].stamp_ns) * 1e-9, 4) for tick in ticks],
            'stamp to controller': [
                None if tick.window_ns is None else round((tick.window_ns - tick.stamp_ns) / 1e6, 3)
                for tick in ticks
            ],
            'tick': [round(tick.network_ms, 3) for tick in ticks],
        },
    }
    return figures
