# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The operator of `dp_ros demo`: engages the arms by the services that a robot's operator uses, and records.

A process of its own, so that it can do no more than any operator can: it is not part of the robot.
"""

import argparse
import os
import platform
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median

import rclpy
from lifecycle_msgs.srv import GetState
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import SetBool, Trigger

from dp_ros import __version__
from dp_ros.errors import DpRosError
from dp_ros.evaluation.record import EpisodeRecord, RunRecord
from dp_ros.nodes.demo_recorder import DemoRecorder
from dp_ros.nodes.operator import CALL_S, START_S, Interrupted, Operator, OperatorError, Recording
from dp_ros.nodes.process import StopSignal
from dp_ros.nodes.site import checkpoint_contract, load_binding

_EPISODE_S = 180.0
_ENGAGE_TRIES = 5
_SUCCESS_TARGET = 0.8


class DemoOperator(Operator):
    """Runs episodes one after the other."""

    def __init__(self, args: argparse.Namespace, stop: StopSignal):
        super().__init__('demo_operator', stop)
        self._args = args
        self._contract = checkpoint_contract(args.checkpoint)
        binding = load_binding(args.binding)
        self._recorder = DemoRecorder(self, self._contract, binding, round(args.frame_every * 1e9))
        self.ask(GetState, 'policy_node/get_state', 'action_node/get_state')
        self.ask(Trigger, 'policy_node/reset', 'sim_node/reset')
        self.ask(SetBool, 'action_node/engage')
        self._bag = Recording(self) if args.bag else None
        self._factors: list[float] = []
        self.record = self._new_record()

    def run(self) -> None:
        """Wait for the nodes, then run the episodes into :attr:`record`."""
        for node in ('policy_node', 'action_node'):
            self._until(f'{node} to be active', partial(self._is_active, node), START_S)
        self._until('the simulated robot', lambda: bool(self._recorder.episode), START_S)
        for index in range(self._args.episodes):
            self.record.episodes.append(self._episode(index))
            self._show('')
            self._say(self._line(index))
        # Counters come once a second.
        self._until('diagnostics', self._pause(1.5), 3.0)
        self.record.counters = dict(sorted(self._recorder.counters.items()))
        self.record.provenance['real-time factor'] = f'{median(self._factors):.2f} (median of the episodes)'

    def _episode(self, index: int) -> EpisodeRecord:
        seed = self._args.seed + index
        self._call('policy_node/reset')
        self._recorder.begin()
        if self._bag is not None:
            self._bag.announce(f'{self._contract.name}, seed {seed}')
        self._until('the simulated robot to reset', lambda: self._reset_to(seed), 30.0)
        if self._bag is not None:
            self._bag.start()
        # An operator looks at the preview before engaging.
        reset_ns = self._recorder.now_ns
        self._until('a preview of the policy', lambda: self._recorder.preview_ns >= reset_ns, 30.0)
        began, tries = time.monotonic(), 0
        end = began + _EPISODE_S
        while self._recorder.episode.get('state') != 'done' and time.monotonic() < end:
            if not self._recorder.engaged and tries < _ENGAGE_TRIES:
                tries += 1
                self._engage()
            self._spin()
            self._show(self._line(index))
        wall_s = time.monotonic() - began
        self._factors.append(float(self._recorder.episode.get('real_time_factor', 0.0)))
        self._until('the last commands', self._recorder.complete, 2.0, must=False)
        episode = self._recorder.end(wall_s, {'engagements': tries})
        if self._bag is not None:
            self._bag.end(episode.strict_success)
        self._call('action_node/engage', SetBool.Request(data=False))
        self._until('action_node to let go', lambda: not self._recorder.engaged, CALL_S)
        return episode

    def _engage(self) -> None:
        """Ask until the arms may be engaged: joints or a look at the graph may lack a moment longer."""
        answer = None

        def engaged() -> bool:
            nonlocal answer
            answer = self._call('action_node/engage', SetBool.Request(data=True))
            return bool(answer.success)

        try:
            self._until('action_node to engage', engaged, CALL_S, every_s=0.5)
        except OperatorError as error:
            raise OperatorError(f'{error}: {answer.message if answer else "no answer"}') from error
        self._until('the engagement to show', lambda: self._recorder.engaged, 2.0, must=False)

    def _reset_to(self, seed: int) -> bool:
        """Reset until the robot stands with this seed; it refuses while the arms still brake."""
        answer = self._call('sim_node/reset')
        if not answer.success:
            self._until('the arms to rest', self._pause(0.2), 1.0)
            return False
        current = self._recorder
        self._until('the reset to show', lambda: current.episode.get('state') == 'standing', 5.0)
        if current.episode.get('seed') != str(seed):
            raise OperatorError(f'sim_node stands with seed {current.episode.get("seed")}, expected {seed}')
        return True

    def _is_active(self, node: str) -> bool:
        client = self._service[f'{node}/get_state']
        if not client.service_is_ready():
            return False
        return bool(self._call(f'{node}/get_state', GetState.Request()).current_state.label == 'active')

    def _line(self, index: int) -> str:
        now, episodes = self._recorder.episode, self.record.episodes
        done = len(episodes) > index
        result = 'succeeded' if now.get('success') == 'True' else 'failed' if done else 'running'
        return (
            f'episode {index + 1}/{self._args.episodes}  seed {now.get("seed")}  step {now.get("steps"):>3}  '
            f'{result:<9}  {now.get("real_time_factor")} x real time  '
            f'{self.record.successes}/{len(episodes)} succeeded'
        )

    def _new_record(self) -> RunRecord:
        joints = self._contract.embodiment.joints
        return RunRecord(
            title=f'{self._contract.name} through the ROS graph, {self._args.pace}',
            joint_names=self._contract.joint_names,
            joint_units=tuple(joint.unit for joint in joints),
            period_ns=self._contract.timing.period_ns,
            camera=self._recorder.camera,
            provenance={
                'checkpoint': str(self._args.checkpoint),
                'contract': self._contract.hash,
                'dp_ros': __version__,
                'middleware': rclpy.get_rmw_implementation_identifier(),
                'machine': f'{platform.machine()}, {os.cpu_count()} processors, {platform.platform()}',
                'python': platform.python_version(),
            },
            success_target=_SUCCESS_TARGET,
        )


def main(argv: list[str] | None = None) -> int:
    """Run the episodes and write the record; 0 where all of them ran, whatever they came to."""
    parser = argparse.ArgumentParser(prog='demo_operator', description='Operate the demo and record it.')
    parser.add_argument('--checkpoint', required=True)
    parser.add_argument('--binding', default='aloha_sim')
    parser.add_argument('--episodes', type=int, default=10)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--record', type=Path, required=True)
    parser.add_argument('--frame-every', type=float, default=0.08, help='seconds between two recorded images')
    parser.add_argument('--pace', default='lockstep')
    parser.add_argument('--bag', action='store_true', help='have record_node record the episodes')
    args = parser.parse_args(argv)
    stop = StopSignal()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    operator, code = None, 1
    try:
        operator = DemoOperator(args, stop)
        operator.run()
        code = 0
    except Interrupted:
        code = 130
    except DpRosError as error:
        sys.stderr.write(f'\ndemo_operator: {error}\n')
    finally:
        rclpy.try_shutdown()
    if operator is not None and code != 130:
        code = max(code, _save(operator.record, args.record))
    return code


def _save(record: RunRecord, path: Path) -> int:
    """Write what was recorded, however far the run came."""
    try:
        record.save(path)
    except DpRosError as error:
        sys.stderr.write(f'demo_operator: {error}\n')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
