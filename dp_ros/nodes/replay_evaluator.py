# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""replay_evaluator: runs the policy over a bag that somebody plays, and writes the report of `dp_ros replay`.

It says that the arms are engaged, on a topic of its own that policy_node listens to, so that the policy streams from
the first message on; it resets the policy where an episode begins, and keeps action_node, in dry run, following
the chunks, so that its gates judge them. The report is written when the process is asked to end.
"""

import importlib
import math
import platform
import sys
import time
from pathlib import Path
from typing import Any

import rclpy
from lifecycle_msgs.srv import GetState
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from dp_ros import __version__
from dp_ros.errors import ConfigError
from dp_ros.evaluation.replay_assembly import new_record
from dp_ros.evaluation.replay_report import write_replay_report
from dp_ros.nodes import qos
from dp_ros.nodes.params import declare
from dp_ros.nodes.play_params import EvaluatorParams
from dp_ros.nodes.process import run
from dp_ros.nodes.replay_inbox import ReplayInbox
from dp_ros.nodes.site import checkpoint_path, load_binding
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.modes import make_controller

RECORD = 'replay.npz'
_ROSBAG2 = 'rosbag2_player'
_STEP_S = 0.1
_ACK_S, _AGAIN_S = 2.0, 1.0
# The other nodes' /diagnostics come once a second.
_LAST_S = 1.2


class ReplayEvaluator(Node):
    """Subscriptions are in :class:`ReplayInbox`; here is who is asked for what, and when."""

    def __init__(self) -> None:
        super().__init__('replay_evaluator')
        self.failed = ''
        self.params = params = declare(self, EvaluatorParams)
        if not params.out:
            raise ConfigError('parameter out is not set: give the directory of the report')
        # Only for what the record says about it: the policy that is heard runs in policy_node.
        policy = load_checkpoint(checkpoint_path(params.checkpoint))
        self._record = new_record(
            make_controller(policy), params.title or policy.contract.name, params.checkpoint, params.bag
        )
        self._inbox = ReplayInbox(
            self,
            policy.contract,
            load_binding(params.binding),
            params.policy,
            params.action,
            params.episode_topic,
        )
        self._engaged = self.create_publisher(Bool, '~/engaged', qos.LATCHED)
        instructs = params.resets and 'instruction' in policy.contract.goals
        words = f'{params.policy}/instruction'
        self._words = self.create_publisher(String, words, qos.LATCHED) if instructs else None
        self._asked: dict[str, Any] = {}
        self._pending: dict[str, tuple[Any, float]] = {}
        self._labels: dict[str, str] = {}
        self._told = self._ready = False
        self._starts = 0

    def start(self) -> None:
        """Begin to ask; who is not there yet is asked again."""
        self._engaged.publish(Bool(data=True))
        self._instruct('')
        self.create_timer(_STEP_S, self._step, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def shut_down(self) -> None:
        """The bag is over: write record and report.

        Raises:
            StoreError: they cannot be written.
        """
        end = time.monotonic() + _LAST_S
        while self.executor is not None and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)
        self._inbox.complete(self._record)
        if not self._record.ticks:
            self.failed = f'no chunk of {self.params.policy} was heard: there is nothing to report'
            self.get_logger().error(self.failed)
            return
        out = Path(self.params.out)
        self._record.provenance |= self._origin()
        self._record.save(out / RECORD)
        page = write_replay_report([self._record], out) if self.params.report else out / RECORD
        self.get_logger().info(f'{len(self._record.ticks)} chunks; {page}')

    def _step(self) -> None:
        """The next thing that must hold before the bag is played; then what must be kept up."""
        params = self.params
        if self._ready:
            self._follow()
        elif not self._is_active(params.policy) or (params.action and not self._is_active(params.action)):
            return
        elif not self._told:
            # Its answer to one more question comes after it has looked at what it has: it knows by then.
            acked = self._engaged.wait_for_all_acked(Duration(seconds=_ACK_S))
            self._told = acked and self._engaged.get_subscription_count() > 0
            self._labels.clear()
        elif not params.player or self._resume():
            self._ready = True
            self.get_logger().info('policy and robot are ready: the bag may begin')

    def _follow(self) -> None:
        """A new episode instructs and resets the policy; action_node follows from where the arms are."""
        params, inbox = self.params, self._inbox
        starts = [mark for _, mark in inbox.marks if mark.event == 'start']
        if len(starts) > self._starts:
            self._instruct(starts[-1].instruction)
            if not params.resets or self._reset():
                self._starts = len(starts)
        if not params.action:
            return
        mode = inbox.state.split(':')[0]
        if mode == 'FAULT':
            self._ask(f'{params.action}/clear_fault', Trigger, Trigger.Request())
        elif mode in ('IDLE', 'HOLD'):
            # From HOLD it would go on from where it stopped; the arms of the bag went on without it.
            self._ask(f'{params.action}/engage', SetBool, SetBool.Request(data=mode == 'IDLE'))

    def _instruct(self, text: str) -> None:
        """The same words again change nothing in policy_node; none at all withdraw those of the episode before."""
        if self._words is not None:
            self._words.publish(String(data=text or self.params.instruction))

    def _resume(self) -> bool:
        """Let the player begin; `ros2 bag play` has a service of a type of its own."""
        foreign = self.params.player.endswith(_ROSBAG2)
        kind = importlib.import_module('rosbag2_interfaces.srv').Resume if foreign else Trigger
        return self._ask(f'{self.params.player}/resume', kind, kind.Request()) is not None

    def _reset(self) -> bool:
        """Once an episode, whatever becomes of the answer: each reset takes the next seed."""
        answer = self._ask(f'{self.params.policy}/reset', Trigger, Trigger.Request(), math.inf)
        return answer is not None

    def _is_active(self, name: str) -> bool:
        answer = self._ask(f'{name}/get_state', GetState, GetState.Request())
        if answer is not None:
            self._labels[name] = answer.current_state.label
        return self._labels.get(name) == 'active'

    def _ask(self, service: str, kind: Any, request: Any, again_s: float = _AGAIN_S) -> Any:
        """The answer of a service once it is there, else None; the next call then looks again.

        A node that has just come up may lose an answer: after ``again_s`` it is asked again.
        """
        client = self._asked.get(service)
        if client is None:
            client = self._asked[service] = self.create_client(kind, service)
        future, asked = self._pending.pop(service, (None, 0.0))
        if future is not None and future.done():
            return future.result()
        if future is not None and time.monotonic() - asked < again_s:
            self._pending[service] = future, asked
        elif client.service_is_ready():
            self._pending[service] = client.call_async(request), time.monotonic()
        return None

    def _origin(self) -> dict[str, str]:
        return {
            'replay': 'live, through the ROS graph',
            'binding': self.params.binding,
            'dp_ros': __version__,
            'middleware': rclpy.get_rmw_implementation_identifier(),
            'python': platform.python_version(),
        }


def main() -> int:
    """Entry point of the executable."""
    return run(ReplayEvaluator)


if __name__ == '__main__':
    sys.exit(main())
