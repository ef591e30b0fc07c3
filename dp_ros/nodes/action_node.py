# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""action_node: action chunks in, stamped windows for the joint trajectory controllers out.

It owns the motion: nothing moves before somebody calls ~/engage, and every window ends at rest, so that the
controllers brake by themselves if this process dies. The decisions are in motion.py; here is the wiring.
"""

import sys
import time
from collections.abc import Iterable
from typing import Any

from rclpy.duration import Duration
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dp_ros.action.gates import ChunkLimits
from dp_ros.action.supervisor import Answer, Mode
from dp_ros.action.window import Window
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.contract.compare import require_match
from dp_ros.errors import ChunkError, MessageError
from dp_ros.messages.joint_state import decode_joint_state
from dp_ros.messages.trajectory import decode_chunk, fill_window
from dp_ros.nodes import qos
from dp_ros.nodes.diagnostics import ERROR, OK, WARN, Percentiles, RateMeter, Status
from dp_ros.nodes.graph import foreign_publishers
from dp_ros.nodes.lifecycle import ManagedNode
from dp_ros.nodes.motion import Motion, MotionSettings
from dp_ros.nodes.params import ActionParams
from dp_ros.nodes.process import run
from dp_ros.nodes.site import checkpoint_contract, load_binding

_LAST_WORDS_S = 0.5


class ActionNode(ManagedNode[ActionParams]):
    """See the module; topics and services are in :meth:`configure`."""

    def __init__(self) -> None:
        super().__init__('action_node', ActionParams)
        self._active = False

    def configure(self) -> None:
        """Compare checkpoint and robot, then create everything; disengaged."""
        params = self.params
        binding = load_binding(params.binding)
        contract = checkpoint_contract(params.checkpoint)
        require_match(contract, binding.robot(), f'the robot of binding {binding.name!r}')
        self._contract = contract
        self._motion = Motion(contract, self._settings(contract, binding), self._limits(contract))
        self._said = ''
        self._message_trouble = ''
        self._gaps = Percentiles()
        self._last_window = 0.0
        self._rates = {name: RateMeter() for name in ('joints', 'chunks', 'windows')}
        self._topics = {arm.name: binding.arms[arm.name].controller_topic for arm in contract.embodiment.arms}

        def publisher(kind: Any, topic: str, profile: Any) -> Any:
            return self.own(self.destroy_publisher, self.create_publisher(kind, topic, profile))

        # No publisher, no mistake: a dry run cannot command anything.
        self._windows = {
            arm: publisher(JointTrajectory, topic, qos.COMMAND)
            for arm, topic in self._topics.items()
            if not params.dry_run
        }
        self._states = publisher(String, '~/state', qos.LATCHED)
        self._engaged = publisher(Bool, '~/engaged', qos.LATCHED)

        def subscribe(kind: Any, topic: str, callback: Any, profile: Any) -> None:
            self.own(self.destroy_subscription, self.create_subscription(kind, topic, callback, profile))

        subscribe(JointTrajectory, params.chunk_topic, self._on_chunk, qos.COMMAND)
        for joints in binding.joint_states:
            subscribe(JointState, joints.topic, self._on_joints, qos.sensor(joints.qos, qos.JOINTS_DEPTH))
        for kind, name, callback in (
            (SetBool, '~/engage', self._on_engage),
            (Trigger, '~/hold', lambda q, a: self._answer(a, self._motion.hold(self._now_ns()))),
            (
                Trigger,
                '~/clear_fault',
                lambda q, a: self._answer(a, self._motion.clear_fault(self._now_ns())),
            ),
        ):
            self.own(self.destroy_service, self.create_service(kind, name, callback))
        self.own(self.destroy_timer, self.create_timer(1.0 / params.rate_hz, self._on_timer))
        self.get_logger().info(
            f'contract {contract.name!r} ({contract.hash[:8]}) fits binding {binding.name!r}; '
            f'{"dry run: nothing is commanded" if params.dry_run else "commanding " + ", ".join(self._topics.values())}'
        )

    def activate(self) -> None:
        """Accept engagements."""
        self._active = True
        self._say()

    def deactivate(self) -> None:
        """Last words: brake, say so, and wait until the controllers have it."""
        window = self._motion.last_words(self._now_ns())
        if window is not None:
            self._publish(window)
            self.get_logger().info('braking window published')
        self._say()
        self._active = False
        for entity in (*self._windows.values(), self._engaged, self._states):
            entity.wait_for_all_acked(Duration(seconds=_LAST_WORDS_S))

    def release(self) -> None:
        """Destroy publishers, subscriptions, services and the timer."""
        self._active = False
        self.disown()

    def _settings(self, contract: Contract, binding: Binding) -> MotionSettings:
        names = (
            'point',
            'past',
            'future',
            'freeze',
            'blend',
            'chunk_timeout',
            'sync_timeout',
            'joint_timeout',
        )
        times = {f'{name}_ns': round(getattr(self.params, f'{name}_s') * 1e9) for name in names}
        return MotionSettings(max_acceleration=binding.max_acceleration(contract.joint_names), **times)

    def _limits(self, contract: Contract) -> ChunkLimits:
        params = self.params
        jumps = {'rad': params.start_jump_rad, 'm': params.start_jump_m}
        return ChunkLimits(
            max_age_ns=round(params.max_chunk_age_s * 1e9),
            max_future_ns=round(params.max_future_s * 1e9),
            min_remaining_ns=round((params.freeze_s + params.point_s) * 1e9),
            start_jump=tuple(jumps[joint.unit] for joint in contract.embodiment.joints),
        )

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_joints(self, message: JointState) -> None:
        try:
            stamp_ns, names, positions = decode_joint_state(message)
            self._motion.measured.put(stamp_ns or self._now_ns(), names, positions)
        except MessageError as error:
            self._motion.counters['joint_states_refused'] += 1
            self._message_trouble = str(error)
            self.get_logger().warning(str(error), throttle_duration_sec=1.0)
            return
        self._rates['joints'].hit()

    def _on_chunk(self, message: JointTrajectory) -> None:
        self._rates['chunks'].hit()
        if not self._active:
            return
        try:
            window = self._motion.chunk(decode_chunk(message), self._now_ns())
        except (MessageError, ChunkError) as error:
            self._motion.counters['chunks_refused'] += 1
            self.get_logger().warning(f'chunk refused, {error}', throttle_duration_sec=1.0)
            window = None
        if window is not None:
            self._publish(window)
        self._say()

    def _on_timer(self) -> None:
        if not self._active:
            return
        window = self._motion.tick(self._now_ns())
        if window is not None:
            self._publish(window)
        else:
            self._last_window = 0.0
        self._say()

    def _on_engage(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        now_ns = self._now_ns()
        if not request.data:
            return self._answer(response, self._motion.disengage(now_ns))
        obstacle = self._obstacle(now_ns)
        if obstacle:
            return self._answer(response, Answer(self._motion.state, False, obstacle))
        return self._answer(response, self._motion.engage(now_ns))

    def _obstacle(self, now_ns: int) -> str:
        """Why engaging is out of the question; empty where it is not."""
        if not self._active:
            return f'the node is {self.label}, not active'
        if not now_ns:
            return 'no /clock yet, but use_sim_time is set'
        chunkers = foreign_publishers(self, self.params.chunk_topic, 0)
        if len(chunkers) > 1:
            return f'{len(chunkers)} publishers of action chunks on {self.params.chunk_topic}: {chunkers}'
        return self._conflict()

    def _conflict(self) -> str:
        """Who else commands our controllers; empty where nobody does."""
        own = 0 if self.params.dry_run else 1
        others = {t: foreign_publishers(self, t, own) for t in self._topics.values()}
        taken = [f'{topic} by {nodes}' for topic, nodes in others.items() if nodes]
        return f'also commanded by others: {"; ".join(taken)}' if taken else ''

    def _answer(self, response: Any, answer: Answer) -> Any:
        response.success, response.message = answer.success, answer.message
        # Two calls, not one through a variable: rclpy fixes the severity of a line when it first logs there.
        if answer.success:
            self.get_logger().info(answer.message)
        else:
            self.get_logger().warning(answer.message)
        self._say()
        return response

    def _publish(self, window: Window) -> None:
        """The same stamp to every arm, or nothing to any."""
        messages = {}
        for arm in self._contract.embodiment.arms:
            part = window.for_arm(self._contract.embodiment.slices[arm.name])
            messages[arm.name] = message = JointTrajectory()
            fill_window(message, part, arm.joint_names, self._motion.chunk_id, JointTrajectoryPoint)
        for arm_name, publisher in self._windows.items():
            publisher.publish(messages[arm_name])
        now = time.monotonic()
        if self._last_window:
            self._gaps.add(1e3 * (now - self._last_window))
        self._last_window = now
        self._rates['windows'].hit()

    def _say(self) -> None:
        text = str(self._motion.state)
        if text == self._said:
            return
        self._said = text
        self._states.publish(String(data=text))
        self._engaged.publish(Bool(data=self._motion.state.engaged))
        self.get_logger().info(text)

    def status(self) -> Iterable[Status]:
        """State, rates, ages and counters; while engaged also a look for others on our command topics."""
        now = self._now_ns()
        conflict = self._conflict()
        if conflict and self._motion.state.engaged:
            self._motion.fault(now, conflict)
            self._say()
        mode = self._motion.state.mode
        level = ERROR if mode is Mode.FAULT else WARN if mode is Mode.HOLD or conflict else OK
        age = self._motion.measured.age_ns(now)
        values = {'measured_age_s': 'never' if age is None else age * 1e-9, 'dry_run': self.params.dry_run}
        if conflict:
            values['conflict'] = conflict
        if self._message_trouble:
            values['last_refused_joint_state'] = self._message_trouble
        if self._motion.gates.last_refusal:
            values['last_refused_chunk'] = self._motion.gates.last_refusal
        values |= {f'{name}_hz': meter.rate_hz for name, meter in self._rates.items()}
        yield Status('motion', level, str(self._motion.state), values)
        yield Status('windows', OK, 'distance between windows, wall clock', self._gaps.summary('distance'))
        yield Status('counters', OK, 'since configuring', self._motion.counters | self._motion.gates.counters)


def main() -> int:
    """Entry point of the executable."""
    return run(ActionNode)


if __name__ == '__main__':
    sys.exit(main())
