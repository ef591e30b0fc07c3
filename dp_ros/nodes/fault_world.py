# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The world around a real action_node under test: clock, joints, pictures, chunks, controllers and an operator.

Time goes on in steps of 20 ms of simulated time. In lockstep a step ends as soon as every arm has its window, where
one is due; at real pace it takes 20 ms of wall clock, whoever answers. Between every stream and the outside stands a
layer of faults.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.errors import MessageError
from dp_ros.messages.trajectory import Trajectory
from dp_ros.nodes import qos
from dp_ros.nodes.fault_ports import (
    chunk_message,
    chunk_sample,
    clock_message,
    image_message,
    joints_message,
    window_of,
)  # fmt: skip
from dp_ros.simulation.fault_files import STREAMS
from dp_ros.simulation.fault_policy import ScriptedPolicy
from dp_ros.simulation.fault_robot import FaultRobot
from dp_ros.simulation.fault_stream import FaultLayer, Sample

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks

    # Each event of a publisher or a subscription is one more thing to wait for, in every step.
    _PUBLISH = {'event_callbacks': PublisherEventCallbacks(use_default_callbacks=False)}
    _LISTEN = {'event_callbacks': SubscriptionEventCallbacks(use_default_callbacks=False)}
except ImportError:  # Humble has them elsewhere, and only the ones that are asked for
    _PUBLISH, _LISTEN = {}, {}

STEP_NS = 20_000_000
CHUNK_TOPIC = 'fault_node/action_chunk'
START_NS = 100_000_000_000
_IMAGE_EVERY = 2
_PICTURES = 4
# Longest wait for windows, wall clock: while chunks are followed, and while it may be over.
_WAIT_S, _WAIT_IDLE_S = 0.5, 0.15
_CHUNK_WAIT_S = 0.3
_NUDGE_S = 0.05
# A step without an answer, wall clock: while engaged, and else.
_UNANSWERED_S, _IDLE_S = 0.005, 0.002
# Distance from home, rad or m, beyond which the arms are put back.
_FAR = 0.05
_CALL_S = 5.0


class FaultWorld:
    """Everything that action_node sees and asks; one thread, which calls :meth:`tick`.

    Attributes:
        layers: stream name to its faults.
        states: (simulated time, text) of what action_node said, and what became of it; ``state`` is what it said last.
        counters: '<node>/<key>' to its newest value in /diagnostics; ``reported`` holds when a node last reported.
        real_policy: chunks come from policy_node, and pictures are published for it.
        action_runs: whether windows can be waited for.
        deadman: what is published each step; None for nothing.
        real_pace: whether a step takes 20 ms of wall clock.
    """

    def __init__(self, node: Node, contract: Contract, binding: Binding, past_ns: int):
        self.node, self.contract = node, contract
        self.now_ns = self.heard_ns = START_NS
        self.layers = {name: FaultLayer() for name in STREAMS}
        self.home = np.zeros(len(contract.joint_names))
        self.robot, self.policy = FaultRobot(contract.embodiment), ScriptedPolicy(contract, self.home)
        self.states: list[tuple[int, str]] = []
        self.state = ''
        self.counters: dict[str, int] = {}
        self.reported: dict[str, float] = {}
        self.engaged = self.real_policy = self.real_pace = False
        self.action_runs = True
        self.deadman: bool | None = None
        self.missed = 0
        self._past_ns = past_ns
        self._windows: dict[str, list[Trajectory]] = {arm.name: [] for arm in contract.embodiment.arms}
        self._flowing = self._advanced = self._chunked = False
        self._steps = self._policy_ns = 0
        self._policy_mute = False
        self._deadline: float | None = None
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._connect(node, binding)

    def _connect(self, node: Node, binding: Binding) -> None:
        publish = partial(node.create_publisher, **_PUBLISH)
        listen = partial(node.create_subscription, **_LISTEN)
        self._clock = publish(Clock, '/clock', qos.CLOCK)
        self._joints = publish(JointState, binding.joint_states[0].topic, qos.SENSOR_OUT)
        self._chunks = publish(JointTrajectory, CHUNK_TOPIC, qos.COMMAND)
        self._estop = publish(Bool, 'action_node/estop', qos.LATCHED)
        self._deadman = publish(Bool, 'action_node/deadman', qos.COMMAND)
        rng = np.random.default_rng(0)
        # Noise, for a camera that repeats itself exactly counts as frozen.
        self._pictures = {
            camera.name: [rng.integers(0, 256, (*camera.source_size, 3), np.uint8) for _ in range(_PICTURES)]
            for camera in self.contract.cameras
        }
        self._images = {
            name: publish(Image, camera.topic, qos.SENSOR_OUT) for name, camera in binding.cameras.items()
        }
        for arm in self.contract.embodiment.arms:
            topic = controller_topic(binding, arm.name)
            listen(JointTrajectory, topic, partial(self._on_window, arm.name), qos.CONTROLLER_IN)
        listen(String, 'action_node/state', self._on_state, qos.LATCHED)
        listen(Bool, 'action_node/engaged', self._on_engaged, qos.LATCHED)
        listen(DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.RECORD_OUT)
        listen(JointTrajectory, 'policy_node/action_chunk', self._on_chunk, qos.COMMAND)
        self._services: dict[str, Any] = {
            name: node.create_client(kind, f'action_node/{name}')
            for name, kind in (('engage', SetBool), ('hold', Trigger), ('clear_fault', Trigger))
        }

    def tick(self, steps: int = 1) -> None:
        """So many steps of simulated time."""
        for _ in range(steps):
            began = time.monotonic()
            arrived, self._windows = self._windows, {arm: [] for arm in self._windows}
            self._publish(self.now_ns)
            if self.real_pace:
                # From deadline to deadline: what one step takes too long, the next ones take less.
                self._deadline = (self._deadline or began) + STEP_NS * 1e-9
                self._executor.spin_once(timeout_sec=0.0)
                self.spin(self._deadline - time.monotonic())
                for arm, windows in self._windows.items():
                    arrived[arm] += windows
                    windows.clear()
                self._control(arrived)
            else:
                self._deadline = None
                # Windows travel for one step, as on any bus; meanwhile action_node works on what was just published.
                self._control(arrived)
                self._await_windows(time.monotonic())
            self.now_ns += STEP_NS
            self._steps += 1

    def tick_until(self, predicate: Callable[[], bool], simulated_s: float, wall_s: float = 0.0) -> bool:
        """Steps until the predicate holds; False where it does not within both times."""
        end_ns, end = self.now_ns + round(simulated_s * 1e9), time.monotonic() + wall_s
        while not predicate():
            if self.now_ns >= end_ns and time.monotonic() >= end:
                return False
            self.tick()
            if wall_s:
                # Somebody's wall clock decides; simulated time need not race ahead of it.
                self.spin(0.01)
        return True

    def spin(self, seconds: float) -> None:
        """Let callbacks run for so long."""
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=rest)

    def engage(self, wanted: bool) -> tuple[bool, str]:
        """The operator's ~/engage: success and message."""
        return self._call('engage', SetBool.Request(data=wanted))

    def trigger(self, service: str) -> tuple[bool, str]:
        """The operator's ~/hold or ~/clear_fault: success and message."""
        return self._call(service, Trigger.Request())

    def estop(self, pressed: bool) -> None:
        """The operator's emergency stop."""
        self._estop.publish(Bool(data=pressed))

    def send_chunk(self, sample: Sample, publisher: Any = None) -> None:
        """A chunk past all layers, from this node or through somebody else's publisher."""
        (publisher or self._chunks).publish(chunk_message(sample))

    def forget(self) -> None:
        """A new case: every stream healthy, the arms about home, an empty trace, earlier states but the last gone."""
        for layer in self.layers.values():
            layer.end()
        self.policy.every, self.policy.silent, self.policy.beside = 1, False, np.zeros(len(self.home))
        self.robot.blocked.clear()
        if np.abs(self.robot.measured - self.home).max() > _FAR:
            # Far enough for action_node to see that others moved the arms; a smaller step would be one of ours.
            self.robot.place(self.home)
        self.robot.forget()
        self.robot.rejected, self.robot.rejection = 0, ''
        self.real_pace, self.missed = False, 0
        self.states = [(self.now_ns, self.state)]

    def _control(self, arrived: dict[str, list[Trajectory]]) -> None:
        for arm, windows in arrived.items():
            for window in windows:
                self.robot.accept(arm, self.now_ns, window)
        self.robot.advance(self.now_ns, self.now_ns + STEP_NS)

    def _publish(self, now_ns: int) -> None:
        layers, before = self.layers, self.heard_ns
        layers['clock'].push(now_ns, Sample(now_ns))
        for sample in layers['clock'].due(now_ns):
            self._clock.publish(clock_message(sample))
            self.heard_ns = sample.stamp_ns
        self._advanced = self.heard_ns > before
        layers['joints'].push(now_ns, Sample(now_ns, self.contract.joint_names, (self.robot.measured,)))
        for sample in layers['joints'].due(now_ns):
            self._joints.publish(joints_message(sample))
        if self.deadman is not None:
            self._deadman.publish(Bool(data=self.deadman))
        if self.real_policy and self._steps % _IMAGE_EVERY == 0:
            self._publish_images(now_ns)
            self._await_chunk(now_ns)
        elif not self.real_policy and self.engaged:
            # The policy has the same clock as the nodes.
            chunk = self.policy.chunk(self.heard_ns)
            if chunk is not None:
                layers['chunks'].push(now_ns, chunk)
        for sample in layers['chunks'].due(now_ns):
            self._chunks.publish(chunk_message(sample))
            self._chunked = True

    def _publish_images(self, now_ns: int) -> None:
        layer = self.layers['images']
        which = np.array([self._steps // _IMAGE_EVERY % _PICTURES], np.float64)
        for camera in self._images:
            layer.push(now_ns, Sample(now_ns, (), (which,), (), camera))
        for sample in layer.due(now_ns):
            number = int(sample.rows[0][0]) if sample.rows else 0
            picture = self._pictures[sample.frame_id][number]
            self._images[sample.frame_id].publish(image_message(sample, picture))

    def _await_chunk(self, now_ns: int) -> None:
        """In lockstep: the real policy's chunk of the pictures of now, where one is due; not once it failed to come."""
        due_ns = self._policy_ns + self.contract.timing.tick_ns - self.contract.timing.period_ns // 2
        if self.real_pace or self._policy_mute or not self.engaged or now_ns < due_ns:
            return
        before, end = self._policy_ns, time.monotonic() + _CHUNK_WAIT_S
        while self._policy_ns == before and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=_NUDGE_S)
        self._policy_mute = self._policy_ns == before

    def _await_windows(self, began: float) -> None:
        due = self.action_runs and self._advanced and (self._flowing or (self.engaged and self._chunked))
        if not due:
            # Nobody answers such a step; it still takes what the nodes need to hear of it.
            self.spin(_UNANSWERED_S if self.engaged else _IDLE_S)
            self._flowing = any(self._windows.values())
            return
        nudged = began
        # A window of an older clock does not count.
        wanted_ns = self.heard_ns - self._past_ns - STEP_NS + 1
        while not all(w and w[-1].stamp_ns >= wanted_ns for w in self._windows.values()):
            now = time.monotonic()
            if now - began > (_WAIT_S if self.engaged else _WAIT_IDLE_S):
                self._flowing = self._chunked = False
                self.missed += self.engaged
                return
            if now - nudged > _NUDGE_S and not self.layers['clock'].faulty:
                # /clock is best effort, and a node that misses it has no reason to act.
                self._clock.publish(clock_message(Sample(self.heard_ns)))
                nudged = now
            self._executor.spin_once(timeout_sec=_NUDGE_S)
        self._flowing = True

    def _call(self, service: str, request: Any) -> tuple[bool, str]:
        client = self._services[service]
        end = time.monotonic() + _CALL_S
        future = None
        while time.monotonic() < end:
            if future is None and client.service_is_ready():
                future = client.call_async(request)
            if future is not None and future.done():
                answer = future.result()
                return bool(answer.success), str(answer.message)
            self._executor.spin_once(timeout_sec=_NUDGE_S)
        if future is not None:
            client.remove_pending_request(future)
        return False, f'no answer of {service} within {_CALL_S:.0f} s'

    def _on_window(self, arm: str, message: JointTrajectory) -> None:
        try:
            self._windows[arm].append(window_of(message))
        except MessageError as error:
            self.robot.rejected += 1
            self.robot.rejection = str(error)

    def _on_state(self, message: String) -> None:
        self.state = message.data
        self.states.append((self.now_ns, message.data))

    def _on_engaged(self, message: Bool) -> None:
        if message.data and not self.engaged:
            # As policy_node: the first observation after the edge begins a new epoch.
            self.policy.engaged(self.heard_ns + STEP_NS, self.robot.measured)
            self._chunked = self._policy_mute = False
            self._policy_ns = 0
        self.engaged = message.data

    def _on_chunk(self, message: JointTrajectory) -> None:
        if self.real_policy:
            sample = chunk_sample(message)
            self.layers['chunks'].push(self.now_ns, sample)
            self._policy_ns, self._policy_mute = sample.stamp_ns, False

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            node, _, task = status.name.partition(': ')
            if task == 'counters':
                # A node that was started again counts from zero, and does not name what it has not met yet.
                self.counters = {k: v for k, v in self.counters.items() if not k.startswith(f'{node}/')}
                self.counters |= {f'{node}/{v.key}': int(v.value) for v in status.values}
                self.reported[node] = time.monotonic()


def make_node(name: str) -> Node:
    """A node with nothing to wait for but what a world asks for: no parameter services, no log topic."""
    return rclpy.create_node(name, start_parameter_services=False, enable_rosout=False)


def controller_topic(binding: Binding, arm: str) -> str:
    """Topic of an arm's joint trajectory controller."""
    bound: Any = binding.arms[arm]
    return str(bound.controllers[0].topic if hasattr(bound, 'controllers') else bound.controller_topic)
