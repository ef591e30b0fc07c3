# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""How regularly action_node publishes its windows in real time, on an idle machine and with every core busy.

python bench/publish_jitter.py --seconds 60 --json FILE

No simulated time: action_node runs on the system clock, driven by a scripted policy and a robot of this process;
another process listens. Reported are p50, p99 and the largest |gap - period| as action_node says it in /diagnostics and
as the listener sees it (windows right after a chunk are extra ones and do not count), the smallest margin that the
controllers still had, and the limits of what a controller model commanded from what arrived. Exit code 1 where a window
was exhausted or a limit violated.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from trajectory_msgs.msg import JointTrajectory

from dp_ros.cli.fault_session import FaultSession, action_defaults, fault_environment, ros_arguments
from dp_ros.cli.ros_processes import Fleet, free_domain
from dp_ros.contract.binding import Binding
from dp_ros.evaluation.fault_judge import limit_violations, peaks
from dp_ros.nodes import qos
from dp_ros.nodes.fault_world import CHUNK_TOPIC, STEP_NS, FaultWorld, controller_topic, make_node
from dp_ros.nodes.process import StopSignal
from dp_ros.whole_file import whole_file

# A window that follows a chunk so closely was published because of it.
EXTRA_S = 0.008
WARM_UP_S = 5.0


def listen(path: Path, topic: str) -> None:
    """In a process of its own: arrival times of windows and chunks, undecoded; written to ``path`` at SIGINT."""
    stop = StopSignal()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('listener')
    arrivals: dict[str, list[float]] = {'windows': [], 'chunks': []}
    for name, heard in (('windows', topic), ('chunks', CHUNK_TOPIC)):
        node.create_subscription(
            JointTrajectory,
            heard,
            lambda _, times=arrivals[name]: times.append(time.monotonic()),
            qos.RECORD_OUT,
            raw=True,
        )
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not stop.is_set():
        executor.spin_once(timeout_sec=0.1)
    path.write_text(json.dumps(arrivals))
    rclpy.try_shutdown()


def jitter_ms(windows: list[float], chunks: list[float], period_s: float) -> np.ndarray:
    """|gap - period| of the regular windows, milliseconds."""
    before = np.searchsorted(chunks, windows, side='right') - 1
    since = np.array([t - chunks[i] if i >= 0 else np.inf for t, i in zip(windows, before, strict=True)])
    regular = since >= EXTRA_S
    gaps = np.diff(windows)
    return 1e3 * np.abs(gaps - period_s)[regular[1:] & regular[:-1]]


def measure(busy: int, seconds: float, out: Path) -> dict:
    """One run beside so many busy processes."""
    session = FaultSession(out, 'two')
    domain = free_domain()
    environment = fault_environment(domain)
    binding = Binding.from_yaml(out / 'site' / 'binding.yaml')
    defaults = action_defaults()
    topic = controller_topic(binding, session.contract.embodiment.arms[0].name)
    said: dict[str, dict[str, str]] = {}

    def on_diagnostics(message: DiagnosticArray) -> None:
        for status in message.status:
            said[status.name] = {v.key: v.value for v in status.values}

    with Fleet(out / 'logs', environment) as fleet:
        rclpy.init(args=[], domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
        ear = subprocess.Popen(
            [sys.executable, __file__, '--listen', str(out / 'heard.json'), topic], env=environment
        )
        try:
            past_ns = round(float(defaults['past_s']) * 1e9)
            world = FaultWorld(make_node('publish_jitter'), session.contract, binding, past_ns)
            world.node.create_subscription(DiagnosticArray, '/diagnostics', on_diagnostics, qos.RECORD_OUT)
            options = ros_arguments('action_node', {**session.action, 'use_sim_time': False})
            fleet.start('action_node', 'dp_ros.nodes.action_node', options)
            for i in range(busy):
                fleet.start(f'busy_{i}', 'timeit', ['-n', '1000000000000', '-r', '1', 'pass'])
            # This process is a robot, whose computer is another one: it must not starve with action_node.
            _set_niceness(-10)
            while not world.engage(False)[0]:
                world.spin(0.2)
            world.now_ns = world.heard_ns = time.time_ns() // STEP_NS * STEP_NS
            world.real_pace = True
            world.tick(50)
            if not world.tick_until(lambda: world.engage(True)[0], 10.0):
                raise SystemExit(f'cannot engage: {fleet.tail("action_node")}')
            world.tick(round(WARM_UP_S * 50))
            world.robot.forget()
            began = time.monotonic()
            world.tick(round(seconds * 50))
            ended, state = time.monotonic(), world.state
        finally:
            ear.send_signal(signal.SIGINT)
            ear.wait()
            _set_niceness(0)
            rclpy.try_shutdown()
            fleet.stop(('action_node',))
    arrivals = json.loads((out / 'heard.json').read_text())
    arrivals = {name: [t for t in times if began <= t <= ended] for name, times in arrivals.items()}
    heard = jitter_ms(arrivals['windows'], arrivals['chunks'], 1.0 / float(defaults['rate_hz']))
    trace = world.robot.trace()
    windows, counters = said.get('action_node: windows', {}), said.get('action_node: counters', {})
    return {
        'busy': busy,
        'seconds': seconds,
        'state': state,
        'listener_ms': {
            **{f'p{q}': round(float(np.percentile(heard, q)), 3) for q in (50, 99) if len(heard)},
            'max': round(float(heard.max(initial=0.0)), 3),
            'windows': len(heard),
        },
        'node_says': {k: v for k, v in windows.items() if k.startswith(('jitter', 'margin', 'distance'))},
        'publish_gaps': int(counters.get('publish_gaps', 0)),
        'violations': [str(v) for v in limit_violations(trace, session.bounds)],
        'peaks': {k: round(v, 4) for k, v in peaks(trace, session.bounds).items()},
    }


def _set_niceness(value: int) -> None:
    """Of this process, where that is allowed; what it starts afterwards inherits it."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, value)


def main() -> int:
    """0 where no window was exhausted and no limit violated."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--busy', type=int, default=os.cpu_count(), help='busy processes of the loaded run')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--listen', nargs=2, metavar=('FILE', 'TOPIC'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.listen:
        listen(Path(args.listen[0]), args.listen[1])
        return 0
    os.environ.update(
        {k: v for k, v in fault_environment(0).items() if k.startswith(('ROS_AUTO', 'ROS_LOCAL'))}
    )
    rows = []
    for busy in (0, args.busy):
        with tempfile.TemporaryDirectory(prefix='jitter_') as out:
            rows.append(measure(busy, args.seconds, Path(out)))
        print(json.dumps(rows[-1], indent=1), flush=True)
    if args.json:
        with whole_file(args.json, 'the jitter') as beside:
            beside.write_text(json.dumps({'processors': os.cpu_count(), 'runs': rows}, indent=1) + '\n')
    wrong = [
        row for row in rows if row['publish_gaps'] or row['violations'] or not row['state'].startswith('RUN')
    ]
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
