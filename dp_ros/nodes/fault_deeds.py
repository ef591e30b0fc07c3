# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Faults begin and end: on a stream's layer, on the robot, by an operator, in the graph, and to processes.

Processes belong to whoever started this one; it is asked for them (see :class:`ProcessDesk`).
"""

import signal
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import rclpy
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from dp_ros.contract.binding import Binding
from dp_ros.errors import ConfigError
from dp_ros.nodes import qos
from dp_ros.nodes.fault_world import CHUNK_TOPIC, FaultWorld, controller_topic
from dp_ros.simulation.fault_files import STREAMS, FaultSpec
from dp_ros.simulation.fault_stream import Sample


class ProcessDesk(Protocol):
    """Who owns the processes."""

    def start(self, name: str, parameters: Mapping[str, Any]) -> bool:
        """Start a node; False where it runs with these parameters already."""
        ...

    def signal(self, name: str, number: int) -> None:
        """Send a signal."""
        ...

    def exit_code(self, name: str) -> int | None:
        """None while it runs."""
        ...

    def load(self, processes: int) -> None:
        """So many busy processes from now on."""
        ...


class Deeds:
    """Begins and ends faults in a world."""

    def __init__(self, world: FaultWorld, desk: ProcessDesk, binding: Binding):
        self._world, self._desk, self._binding = world, desk, binding
        self._intruder: Node | None = None

    def begin(self, spec: FaultSpec) -> None:
        """The fault is there from the next step on."""
        if spec.target in STREAMS:
            self._world.layers[spec.target].begin(spec.stream_fault())
            return
        self._table(spec)[0]()

    def end(self, spec: FaultSpec) -> None:
        """The fault is gone; what it did is not."""
        if spec.target in STREAMS:
            self._world.layers[spec.target].end()
            return
        self._table(spec)[1]()

    def during(self, spec: FaultSpec, steps: int) -> None:
        """What a fault does while it lasts, before each step."""
        if (spec.target, spec.kind) == ('graph', 'second_policy') and steps % 8 == 0:
            world, publisher = self._world, self._publisher
            rows = tuple(world.home + 0.1 for _ in range(8))
            times = tuple(i * world.contract.timing.period_ns for i in range(8))
            # Of our contract, but of an engagement that is over: as a policy that was not told of the new one.
            ours = f'{world.contract.hash[:8]}:0:{steps}'
            world.send_chunk(Sample(world.now_ns, world.contract.joint_names, rows, times, ours), publisher)

    def _table(self, spec: FaultSpec) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """How a fault begins and how it ends."""
        world, desk, given = self._world, self._desk, spec.deed()
        policy, action = 'policy_node', 'action_node'

        def put(name: str, value: Any, after: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
            return lambda: setattr(world.policy, name, value), lambda: setattr(world.policy, name, after)

        def nothing() -> None:
            """Whoever recovers starts the process again."""

        def send(name: str, number: int) -> Callable[[], Any]:
            return lambda: desk.signal(name, number)

        def beside() -> None:
            world.policy.beside[given['joint']] = given['by']

        def press(value: bool | None) -> Callable[[], Any]:
            return lambda: setattr(world, 'deadman', value)

        key = f'{spec.target}.{spec.kind}'
        topic = controller_topic(self._binding, world.contract.embodiment.arms[-1].name)
        released = False if given.get('mode') == 'released' else None
        table: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            'robot.block': (
                lambda: world.robot.blocked.add(given['joint']),
                lambda: world.robot.blocked.discard(given['joint']),
            ),
            'graph.second_commander': (lambda: self._intrude(topic), self._leave),
            'graph.second_policy': (lambda: self._intrude(CHUNK_TOPIC), self._leave),
            'operator.estop': (lambda: world.estop(True), lambda: world.estop(False)),
            'operator.deadman': (press(released), press(True)),
            'policy.kill': (send(policy, signal.SIGKILL), nothing),
            'policy.stop': (send(policy, signal.SIGSTOP), send(policy, signal.SIGCONT)),
            'policy.slow': put('every', given.get('every'), 1),
            'policy.silent': put('silent', True, False),
            'policy.beside': (beside, lambda: world.policy.beside.fill(0.0)),
            'action.kill': (send(action, signal.SIGKILL), nothing),
            'action.stop': (send(action, signal.SIGSTOP), send(action, signal.SIGCONT)),
            'action.terminate': (send(action, signal.SIGTERM), nothing),
            'machine.load': (lambda: desk.load(given['processes']), lambda: desk.load(0)),
        }
        return table[key]

    def _intrude(self, topic: str) -> None:
        self._intruder = rclpy.create_node('intruder', context=self._world.node.context)
        self._publisher = self._intruder.create_publisher(JointTrajectory, topic, qos.COMMAND)

    def _leave(self) -> None:
        if self._intruder is None:
            raise ConfigError('there is no intruder to leave')
        self._intruder.destroy_node()
        self._intruder = None
