# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Kill policy_node or action_node at random moments of moving episodes, and measure how the arms come to rest.

python bench/kill_moments.py --target policy --kills 50 --log out/kills_policy.jsonl
python bench/kill_moments.py --target action --kills 50 --log out/kills_action.jsonl

The real graph: sim_node in lockstep, policy_node with a checkpoint, action_node, one operator. All times are simulated
and read off ~/commanded of sim_node, which holds position and velocity of every joint each control period.

Detection: policy killed - the tick at which action_node says HOLD; action killed - there is nobody to detect it, the
controllers run into the brake that their last window ends with.
Onset of braking: policy - the end of the freeze horizon after the detection (counted from one period before HOLD was
heard, the earliest moment at which it can have been decided); action - the end of the last window's future.
Bound, joint by joint: at rest within vmax/amax + one control period of the onset. Peak acceleration: second
difference of the commanded positions from the kill on, as a share of the limit.

A killed process alone is started again. Every kill is a line of the log; a run that was cut off goes on where it was.
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from dp_ros.cli.demo import START_JUMP_RAD
from dp_ros.cli.fault_session import action_defaults, fault_environment, ros_arguments
from dp_ros.cli.ros_processes import Fleet, free_domain
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.errors import DpRosError
from dp_ros.messages.stamps import header_ns, to_ns
from dp_ros.nodes import qos
from dp_ros.nodes.fault_world import controller_topic
from dp_ros.share import share_path

PERIOD_NS = 20_000_000
# Simulated seconds of an episode among which the moments are drawn.
MOMENTS = (0.3, 6.0)
REST = 1e-9


class KillBench:
    """The operator: hears everything, asks for everything, owns the processes."""

    def __init__(self, args: argparse.Namespace, fleet: Fleet):
        self.fleet = fleet
        self.checkpoint = args.checkpoint or share_path('checkpoints', 'aloha_transfer_cube')
        self.contract = Contract.from_json(Path(self.checkpoint) / 'contract.json')
        self.binding = Binding.from_yaml(share_path('config', 'bindings', 'aloha_sim.yaml'))
        self.defaults = action_defaults()
        self.node = rclpy.create_node('kill_moments')
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.processes: dict = {}
        self.commanded: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.clock_ns = self.window_ns = self.hold_ns = 0
        self.state, self.engaged, self.episode = '', False, {}
        node, names = self.node, self.contract.joint_names

        def on_commanded(message):
            order = [message.name.index(name) for name in names]
            rows = np.array(message.position)[order], np.array(message.velocity)[order]
            self.commanded[header_ns(message)] = rows

        def on_window(message):
            self.window_ns = max(self.window_ns, header_ns(message))

        node.create_subscription(JointState, 'sim_node/commanded', on_commanded, qos.RECORD_OUT)
        node.create_subscription(Clock, '/clock', self._on_clock, qos.CLOCK)
        node.create_subscription(String, 'action_node/state', self._on_state, qos.LATCHED)
        node.create_subscription(Bool, 'action_node/engaged', self._on_engaged, qos.LATCHED)
        node.create_subscription(DiagnosticStatus, 'sim_node/episode', self._on_episode, qos.LATCHED)
        topic = controller_topic(self.binding, self.contract.embodiment.arms[0].name)
        node.create_subscription(JointTrajectory, topic, on_window, qos.RECORD_OUT)
        kinds = {'action_node/engage': SetBool, 'policy_node/reset': Trigger, 'sim_node/reset': Trigger}
        self.clients = {name: node.create_client(kind, name) for name, kind in kinds.items()}

    def start(self, name: str) -> None:
        """Start one of the three nodes."""
        robot = {'binding': 'aloha_sim'}
        if name != 'sim_node':
            robot |= {'checkpoint': self.checkpoint, 'autostart': True, 'use_sim_time': True}
        own = {
            'sim_node': {'wait_s': 1.0},
            'policy_node': {'frozen_camera_s': 0.0},
            'action_node': {
                'dry_run': False,
                'check_preview': False,
                'start_jump_rad': START_JUMP_RAD['lockstep'],
            },
        }[name]
        options = ros_arguments(name, {**robot, 'discovery_s': 0.3, **own})
        self.processes[name] = self.fleet.start(
            name,
            f'dp_ros.nodes.{name}',
            options,
            threads=2 if name == 'policy_node' else 1,
            images=name == 'sim_node',
        )

    def kill(self, name: str) -> None:
        """SIGKILL, and wait until the process is gone."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def until(self, predicate, seconds: float, what: str) -> None:
        """Spin until it holds; an error after so many seconds of wall clock."""
        end = time.monotonic() + seconds
        while not predicate():
            if time.monotonic() > end:
                raise DpRosError(
                    f'waited {seconds:.0f} s in vain for {what}; state {self.state!r}\n'
                    + '\n'.join(self.fleet.tail(name) for name in self.processes)
                )
            self.executor.spin_once(timeout_sec=0.02)

    def call(self, name: str, request=None) -> tuple[bool, str]:
        """Call a service."""
        client = self.clients[name]
        self.until(client.service_is_ready, 60.0, f'service {name}')
        future = client.call_async(request or Trigger.Request())
        self.until(future.done, 30.0, f'an answer of {name}')
        return future.result().success, future.result().message

    def drive(self) -> None:
        """Reset and engage; returns once the episode runs."""
        self.until(lambda: self.call('policy_node/reset')[0], 30.0, 'the policy to reset')
        self.until(lambda: self.call('sim_node/reset')[0], 60.0, 'the robot to reset')
        self.until(lambda: self.episode.get('state') == 'standing', 30.0, 'the reset to show')
        self.commanded.clear()
        self.window_ns = self.hold_ns = 0
        answer = (False, '')

        def engaged() -> bool:
            nonlocal answer
            if not self.engaged:
                answer = self.call('action_node/engage', SetBool.Request(data=True))
                if 'would not start from here' in answer[1]:
                    # Previews repeat the noise of their seed, so this one would be refused for ever: take the next.
                    self.call('policy_node/reset')
            end = time.monotonic() + 1.0
            while time.monotonic() < end and not (self.state.startswith('RUN') and self.commanded):
                self.executor.spin_once(timeout_sec=0.05)
            return self.state.startswith('RUN') and bool(self.commanded)

        self.until(engaged, 60.0, f'the arms to follow ({answer[1]})')

    def settled(self, since_ns: int, counted: str) -> bool:
        """Nothing has moved by command for half a second, not before ``since_ns``."""
        stamps = sorted(self.commanded)
        if counted and not self.state.startswith(counted):
            return False
        last = [stamp for stamp in stamps if stamp > stamps[-1] - 500_000_000]
        resting = all(np.abs(self.commanded[stamp][1]).max() <= REST for stamp in last)
        return resting and stamps[-1] > since_ns + 700_000_000

    def _on_clock(self, message) -> None:
        self.clock_ns = to_ns(message.clock)

    def _on_state(self, message) -> None:
        self.state = message.data
        if message.data.startswith(('HOLD', 'FAULT')) and not self.hold_ns:
            self.hold_ns = self.clock_ns

    def _on_engaged(self, message) -> None:
        self.engaged = message.data

    def _on_episode(self, message) -> None:
        self.episode = {'state': message.message, **{v.key: v.value for v in message.values}}


def one_kill(bench: KillBench, target: str, seed: int, index: int) -> dict:
    """One episode, one kill; the figures."""
    rng = np.random.default_rng((seed, index))
    moment = rng.uniform(*MOMENTS)
    began = time.monotonic()
    bench.drive()
    start_ns = min(bench.commanded)
    bench.until(lambda: max(bench.commanded) - start_ns >= moment * 1e9, 60.0, 'the moment')
    # Any moment within a period as well.
    time.sleep(float(rng.uniform(0.0, 0.02)))
    kill_ns = max(bench.commanded)
    # A HOLD of before, heard late, is not the answer to this kill.
    bench.hold_ns = 0
    bench.kill(f'{target}_node')
    bench.until(
        lambda: bench.settled(kill_ns, 'HOLD' if target == 'policy' else ''), 60.0, 'the arms to rest'
    )
    figures = {
        'target': target,
        'index': index,
        'seed': seed,
        'moment_s': round((kill_ns - start_ns) * 1e-9, 3),
    }
    figures |= measured(bench, target, kill_ns)
    bench.until(lambda: f'{target}_node' not in bench.node.get_node_names(), 30.0, 'the ghost to vanish')
    bench.start(f'{target}_node')
    if target == 'policy':
        bench.call('action_node/engage', SetBool.Request(data=False))
    bench.until(lambda: not bench.engaged, 30.0, 'action_node to let go')
    return {**figures, 'wall_s': round(time.monotonic() - began, 1)}


def measured(bench: KillBench, target: str, kill_ns: int) -> dict:
    """Times and peaks from what was commanded; 'missed' names every bound that was not kept."""
    stamps = np.array(sorted(bench.commanded))
    positions = np.array([bench.commanded[stamp][0] for stamp in stamps])
    velocities = np.array([bench.commanded[stamp][1] for stamp in stamps])
    names = bench.contract.joint_names
    limits = bench.binding.limits(names)
    seconds = {key: float(bench.defaults[key]) for key in ('freeze_s', 'past_s', 'future_s', 'point_s')}
    if target == 'policy':
        detected_ns = bench.hold_ns - PERIOD_NS
        onset_ns = detected_ns + round(seconds['freeze_s'] * 1e9)
    else:
        detected_ns = None
        onset_ns = bench.window_ns + round((seconds['past_s'] + seconds['future_s']) * 1e9)
    moving = np.abs(velocities) > REST
    last = np.array([np.flatnonzero(column)[-1] if column.any() else 0 for column in moving.T])
    rest_ns = stamps[np.minimum(last + 1, len(stamps) - 1)]
    after_s = (rest_ns - onset_ns) * 1e-9
    bound_s = limits.velocity / limits.acceleration + PERIOD_NS * 1e-9
    acceleration = np.diff(positions, 2, axis=0) / (PERIOD_NS * 1e-9) ** 2
    gaps = np.diff(stamps) != PERIOD_NS
    # Where a message of ~/commanded was lost there is no second difference to take; lost after the kill is a miss.
    known = ~(gaps[1:] | gaps[:-1])
    share = np.where(known[:, None], np.abs(acceleration) / limits.acceleration, 0.0)
    since = stamps[2:] >= kill_ns
    slices = bench.contract.embodiment.slices
    speed = np.abs(velocities[np.searchsorted(stamps, kill_ns)]) / limits.velocity
    out = {
        'speed_at_kill': {arm: round(float(speed[part].max()), 3) for arm, part in slices.items()},
        'kill_to_detection_s': None if detected_ns is None else round((detected_ns - kill_ns) * 1e-9, 3),
        'kill_to_onset_s': round((onset_ns - kill_ns) * 1e-9, 3),
        'onset_to_rest_s': {arm: round(float(after_s[part].max()), 3) for arm, part in slices.items()},
        'kill_to_rest_s': round(float(rest_ns.max() - kill_ns) * 1e-9, 3),
        'bound_s': round(float(bound_s.max()), 3),
        'tightest_margin_s': round(float((bound_s - after_s).min()), 3),
        'peak_acceleration': {
            arm: round(float(share[since][:, part].max()), 4) for arm, part in slices.items()
        },
        'peak_acceleration_before': round(float(share[~since].max(initial=0.0)), 4),
    }
    missed = [
        f'{names[i]} rests {after_s[i]:.3f} s after the onset' for i in np.flatnonzero(after_s > bound_s)
    ]
    missed += [
        f'{names[i]} accelerates with {share[:, i].max():.3f} of its limit'
        for i in np.flatnonzero((share > 1.01).any(0))
    ]
    missed += ['steps of ~/commanded after the kill are missing'] if gaps[stamps[1:] > kill_ns].any() else []
    return {**out, 'steps_lost': int(gaps.sum()), 'missed': missed}


def table(rows: list[dict]) -> str:
    """Median and extremes of all kills."""
    lines = [f'{"":34s}{"median":>9s}{"largest":>9s}']
    series = {
        'kill to detection (s)': [
            r['kill_to_detection_s'] for r in rows if r['kill_to_detection_s'] is not None
        ],
        'kill to onset of the brake (s)': [r['kill_to_onset_s'] for r in rows],
        'onset to rest (s), worst arm': [max(r['onset_to_rest_s'].values()) for r in rows],
        'kill to rest (s)': [r['kill_to_rest_s'] for r in rows],
        'acceleration / limit after': [max(r['peak_acceleration'].values()) for r in rows],
        'acceleration / limit before': [r['peak_acceleration_before'] for r in rows],
        'speed at the kill / limit': [max(r['speed_at_kill'].values()) for r in rows],
        'wall clock of a kill (s)': [r['wall_s'] for r in rows],
    }
    lines += [f'{k:34s}{np.median(v):9.3f}{np.max(v):9.3f}' for k, v in series.items() if v]
    lines.append(f'smallest margin to the bound: {min(r["tightest_margin_s"] for r in rows):.3f} s')
    return '\n'.join(lines)


def main() -> int:
    """0 where every kill kept every bound."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--target', choices=('policy', 'action'), required=True)
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--checkpoint', type=Path)
    parser.add_argument('--log', type=Path, required=True, help='one JSON line a kill; appended to')
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.log.read_text().splitlines()] if args.log.is_file() else []
    rows = [row for row in rows if (row['target'], row['seed']) == (args.target, args.seed)]
    todo = [i for i in range(args.kills) if i not in {row['index'] for row in rows}]
    args.log.parent.mkdir(parents=True, exist_ok=True)
    if todo:
        domain = free_domain()
        with Fleet(args.log.parent / f'logs_{args.target}', fault_environment(domain)) as fleet:
            rclpy.init(args=[], domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
            try:
                bench = KillBench(args, fleet)
                for name in ('sim_node', 'policy_node', 'action_node'):
                    bench.start(name)
                for index in todo:
                    rows.append(one_kill(bench, args.target, args.seed, index))
                    with args.log.open('a') as log:
                        log.write(json.dumps(rows[-1]) + '\n')
                    print(json.dumps(rows[-1]), flush=True)
            finally:
                rclpy.try_shutdown()
                fleet.stop(('policy_node', 'action_node', 'sim_node'), at_once=3)
    missed = sum(bool(row['missed']) for row in rows)
    print(f'\n{len(rows)} kills of {args.target}_node, {missed} missed a bound\n{table(rows)}')
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main())
