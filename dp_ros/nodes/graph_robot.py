# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The robot of ``dp_ros bench graph``: cameras, joints and controllers in real time, in a process of their own.

Pictures are made beforehand, as the bytes that travel, and stamped when they are published, all cameras at once, as
cameras with a common trigger are; a joint state of the same time goes before them. With --listen it is no robot and
only hears what others do.
"""

import argparse
import contextlib
import json
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.errors import DpRosError, MessageError
from dp_ros.messages.header_bytes import stamped
from dp_ros.messages.image import fill_image
from dp_ros.messages.joint_state import fill_joint_state
from dp_ros.nodes import qos
from dp_ros.nodes.fault_ports import window_of
from dp_ros.nodes.fault_world import controller_topic, make_node
from dp_ros.nodes.graph_probe import GraphProbe
from dp_ros.nodes.process import StopSignal, bench_process
from dp_ros.nodes.site import checkpoint_contract, load_binding
from dp_ros.simulation.fault_robot import CONTROL_NS, FaultRobot
from dp_ros.whole_file import whole_file

_PICTURES = 4
_START_S = 180.0
_IDLE_S = 0.05


class GraphRobot:
    """Publishes what a robot publishes, and follows windows; :meth:`publish` does what is due.

    Attributes:
        late_pictures: how often the pictures of one or more periods were left out.
        sent: stamp of the pictures, and when the last of them had been sent; wall clock in nanoseconds.
    """

    def __init__(self, node: Node, contract: Contract, binding: Binding, camera_hz: float):
        self._robot = FaultRobot(contract.embodiment)
        self._names = contract.joint_names
        self._camera_s, self._joints_s = 1.0 / camera_hz, CONTROL_NS * 1e-9
        self._joints_out = node.create_publisher(JointState, binding.joint_states[0].topic, qos.SENSOR_OUT)
        self._cameras = [
            (
                node.create_publisher(Image, binding.cameras[c.name].topic, qos.SENSOR_OUT),
                _pictures(c.source_size),
            )
            for c in contract.cameras
        ]
        self._now_ns = time.time_ns() // CONTROL_NS * CONTROL_NS
        self._next_joints = self._next_picture = time.monotonic()
        self._shown = 0
        self.late_pictures = 0
        self.sent: list[tuple[int, int]] = []

    def on_window(self, arm: str, message: JointTrajectory) -> None:
        """A window arrived at its controller."""
        with contextlib.suppress(MessageError):
            self._robot.accept(arm, self._now_ns, window_of(message))

    def publish(self) -> float:
        """What is due; returns the seconds until something is due again."""
        now = time.monotonic()
        if now >= self._next_joints:
            self._next_joints = _next(self._next_joints, self._joints_s, now)
            self._publish_joints(time.time_ns())
        if now >= self._next_picture:
            following = self._next_picture + self._camera_s
            self._next_picture = _next(self._next_picture, self._camera_s, now)
            self.late_pictures += self._next_picture > following + 0.5 * self._camera_s
            self._publish_pictures(time.time_ns())
        return max(0.0, min(self._next_joints, self._next_picture) - time.monotonic())

    def _publish_joints(self, now_ns: int) -> None:
        until_ns = now_ns // CONTROL_NS * CONTROL_NS
        self._robot.advance(self._now_ns, until_ns)
        self._now_ns = max(self._now_ns, until_ns)
        self._robot.forget()
        self._send_joints(now_ns)

    def _send_joints(self, now_ns: int) -> None:
        message = JointState()
        fill_joint_state(message, now_ns, self._names, self._robot.measured, self._robot.velocity)
        self._joints_out.publish(message)

    def _publish_pictures(self, now_ns: int) -> None:
        self._send_joints(now_ns)
        self._shown += 1
        for publisher, pictures in self._cameras:
            publisher.publish(stamped(pictures[self._shown % _PICTURES], now_ns))
        self.sent.append((now_ns, time.time_ns()))


def _next(due: float, period_s: float, now: float) -> float:
    """The next time of a rhythm; one that is long past is left out."""
    return due + period_s * max(1.0, math.ceil((now - due) / period_s))


def _pictures(size: tuple[int, int]) -> list[bytes]:
    """Noise, as a camera that repeats itself exactly counts as frozen.

    A driver in C++ makes no Python objects of its pictures, so nor does this robot while it is watched.
    """
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(_PICTURES):
        message = Image()
        fill_image(message, rng.integers(0, 256, (*size, 3), np.uint8), 0, 'camera_optical_frame')
        pictures.append(serialize_message(message))
    return pictures


class Trouble(DpRosError):
    """The arms cannot be engaged, or stopped following the policy."""


def measure(args: argparse.Namespace, stop: StopSignal) -> dict[str, Any]:
    """Engage, warm up, and record for a while."""
    contract, binding = checkpoint_contract(str(args.checkpoint)), load_binding(args.binding)
    node = make_node('graph_robot')
    topics = {arm.name: controller_topic(binding, arm.name) for arm in contract.embodiment.arms}
    robot = None if args.listen else GraphRobot(node, contract, binding, args.camera_hz)
    probe = GraphProbe(node, topics, clock=args.listen)
    if robot is not None:
        for arm, topic in topics.items():
            node.create_subscription(JointTrajectory, topic, partial(robot.on_window, arm), qos.CONTROLLER_IN)
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def until(what: str, predicate: Any, seconds: float, must: bool = True) -> None:
        end = time.monotonic() + seconds
        while not predicate():
            if stop.is_set():
                raise Trouble('interrupted')
            if time.monotonic() > end:
                if not must:
                    return
                raise Trouble(f'waited {seconds:.0f} s in vain for {what}; {probe.state!r} {probe.refusal}')
            executor.spin_once(timeout_sec=_IDLE_S if robot is None else robot.publish())

    def engaged() -> bool:
        probe.ask_to_engage()
        return probe.running

    until('a preview of policy_node', lambda: probe.previewed, _START_S)
    until('RUN', engaged, _START_S)
    until('', lambda: False, args.warm_up, must=False)
    probe.forget()
    if robot is not None:
        robot.sent.clear()
    late_pictures = robot.late_pictures if robot else 0
    begin_ns = time.time_ns()
    until('', lambda: not probe.running, args.seconds, must=False)
    record = probe.record()
    record |= {'begin_ns': begin_ns, 'end_ns': time.time_ns(), 'state': probe.state}
    record['late_pictures'] = robot.late_pictures - late_pictures if robot else 0
    record['pictures'] = robot.sent if robot else []
    return record


def main(argv: list[str] | None = None) -> int:
    """Entry point: 0 with a record written; 1 where there is none."""
    parser = argparse.ArgumentParser(prog='graph_robot', description='The robot of dp_ros bench graph.')
    parser.add_argument('--checkpoint', type=Path, required=True, help='only its contract is read')
    parser.add_argument('--binding', required=True)
    parser.add_argument('--record', type=Path, required=True, help='written here')
    parser.add_argument('--camera-hz', type=float, default=30.0)
    parser.add_argument('--warm-up', type=float, default=2.0)
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--listen', action='store_true', help='be no robot; time is /clock')
    args = parser.parse_args(argv)
    try:
        with bench_process() as stop:
            record = measure(args, stop)
        with whole_file(args.record, 'the record') as beside:
            beside.write_text(json.dumps(record))
    except DpRosError as error:
        sys.stderr.write(f'graph_robot: {error}\n')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
