# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One fault from a healthy start to its recovery, as an operator would go through it."""

import re
import time
from typing import Any

from dp_ros.nodes.fault_deeds import Deeds, ProcessDesk
from dp_ros.nodes.fault_world import FaultWorld
from dp_ros.simulation.fault_files import FaultSpec
from dp_ros.simulation.fault_robot import Trace

# Wall clock: a node to start, with the ghost of its killed predecessor gone.
_START_S = 40.0
_REPORT_S = 3.0
_RECOVER_S = 6.0
# Simulated time: joints and clock are trusted again; the soft start of an engagement.
_SETTLE_STEPS, _HEALTHY_STEPS = 15, 20
_RUN_S = 5.0


class Trouble(Exception):
    """The harness cannot go on with this case; the message becomes the case's trouble."""


class FaultCase:
    """Runs faults one after the other in one world."""

    def __init__(self, world: FaultWorld, deeds: Deeds, desk: ProcessDesk):
        self._world, self._deeds, self._desk = world, deeds, desk

    def run(self, spec: FaultSpec, seed: int) -> tuple[dict[str, Any], Trace]:
        """Everything for one fault; returns the observation as plain data, and what was commanded.

        Nothing raises: what went wrong is the observation's trouble.
        """
        self._answers: list[tuple[str, bool, str]] = []
        self._before = self._after = 0
        self._fault_ns = self._end_ns = 0
        trouble = recovered = ''
        self._active = False
        try:
            self._prepare(spec, seed)
            if spec.phase == 'run':
                self._engage()
            self._fault(spec)
            recovered = self._recover(spec)
        except Trouble as error:
            trouble = str(error)
        trace, states = self._world.robot.trace(), list(self._world.states)
        if self._active:
            self._deeds.end(spec)
        rejected, rejection = self._world.robot.rejected, self._world.robot.rejection
        self._calm()
        observation = {
            'states': states,
            'fault_ns': self._fault_ns,
            'end_ns': self._end_ns,
            'before': self._before,
            'after': self._after,
            'answers': self._answers,
            'recovered': recovered,
            'rejected': rejected,
            'rejection': rejection,
            'trouble': trouble,
        }
        return observation, trace

    def _prepare(self, spec: FaultSpec, seed: int) -> None:
        """Nodes run, nobody is engaged, the arms stand at home, and what was counted so far is known."""
        world = self._world
        self._start('action_node', spec)
        world.real_policy = spec.policy == 'real'
        world.deadman = True if 'deadman_timeout_s' in spec.action_node else None
        if world.real_policy:
            self._start('policy_node', spec)
        self._calm()
        world.forget()
        for i, layer in enumerate(world.layers.values()):
            layer.seed(seed + i)
        world.tick(_SETTLE_STEPS)
        self._before = self._counter(spec)
        world.robot.forget()

    def _fault(self, spec: FaultSpec) -> None:
        world = self._world
        if spec.phase == 'run':
            world.tick(round(spec.after_s * 50))
        world.real_pace = spec.pace == 'real'
        self._fault_ns = world.now_ns
        if spec.target == 'action':
            world.action_runs = False
        self._deeds.begin(spec)
        self._active = True
        steps = round(spec.for_s * 50)
        if spec.phase == 'engage':
            world.tick(_HEALTHY_STEPS)
            accepted, message = self._ask('engage')
            if not accepted:
                world.states.append((world.now_ns, f'REFUSED: {message}'))
                steps = 0
        for step in range(steps):
            self._deeds.during(spec, step)
            world.tick()
        if spec.target == 'action' and spec.kind != 'stop':
            code = self._desk.exit_code('action_node')
            world.states.append((world.now_ns - 1, f'DEAD: exit code {code}'))
        if (spec.target, spec.kind) == ('action', 'stop'):
            # What it makes of the time that it lost shows only once it goes on.
            self._deeds.end(spec)
            self._active, world.action_runs = False, True
            world.tick(_HEALTHY_STEPS)
        self._end_ns = world.now_ns
        if self._active:
            self._deeds.end(spec)
        self._active = False
        world.real_pace = False

    def _recover(self, spec: FaultSpec) -> str:
        """What is wrong about the recovery; empty where it goes as specified."""
        world, wanted = self._world, spec.expect.recovery
        world.tick()
        if spec.target in ('action', 'policy') and spec.kind in ('kill', 'terminate'):
            self._start(f'{spec.target}_node', spec)
        world.tick(_HEALTHY_STEPS)
        if wanted == 'goes on':
            world.tick(10)
            self._after = self._counter(spec)
            if not world.state.startswith('RUN'):
                return f'after the fault {world.state!r}, but it had to go on'
            return 'it stands still after the fault' if world.robot.resting else ''
        self._after = self._counter(spec)
        if wanted == 'clear_fault then engage':
            accepted, message = self._ask('engage')
            if accepted or 'clear_fault' not in message:
                return f'a latched fault must refuse to engage and say how to leave it, but said {message!r}'
            if not world.tick_until(lambda: self._ask('clear_fault')[0], 0.2, _RECOVER_S):
                return f'the fault cannot be cleared: {self._answers[-1][2]}'
        elif world.state.startswith('FAULT'):
            if wanted != 'refused':
                return f'latched, but it should not be: {world.state!r}'
            world.tick_until(lambda: self._ask('clear_fault')[0], 0.2, _RECOVER_S)
        try:
            self._engage()
        except Trouble as error:
            return str(error)
        world.tick(_HEALTHY_STEPS)
        return (
            ''
            if world.state.startswith('RUN')
            else f'does not stay in RUN after the recovery: {world.state!r}'
        )

    def _engage(self) -> None:
        """As an operator: once more while something lacks a moment; then wait until the chunks are followed."""
        world = self._world
        if not world.tick_until(lambda: self._ask('engage')[0], 0.2, _RECOVER_S):
            raise Trouble(f'cannot engage: {self._answers[-1][2]}')
        if not world.tick_until(lambda: world.state.startswith('RUN'), _RUN_S):
            raise Trouble(f'engaged, but after {_RUN_S:.0f} s the state is {world.state!r}')

    def _calm(self) -> None:
        """Disengaged, no fault, everything at rest."""
        world = self._world
        world.estop(False)
        if self._desk.exit_code('action_node') is not None:
            return
        world.engage(False)
        if world.deadman is not None:
            world.deadman = True
        if world.state.startswith('FAULT'):
            world.tick_until(lambda: world.trigger('clear_fault')[0], 0.2, _RECOVER_S)
        world.tick_until(lambda: world.robot.resting and not world.engaged, 4.0)
        world.tick(_SETTLE_STEPS)

    def _start(self, name: str, spec: FaultSpec) -> None:
        """A node runs and answers, with the parameters of this case."""
        world = self._world
        if self._desk.exit_code(name) is not None:
            # A participant that was killed stays in the graph of the others until its lease ends.
            world.tick_until(lambda: name not in world.node.get_node_names(), 0.0, _START_S)
        if not self._desk.start(name, spec.action_node if name == 'action_node' else {}):
            return
        world.action_runs = world.action_runs and name != 'action_node'
        if name == 'action_node':
            world.state = ''

        def up() -> bool:
            if self._desk.exit_code(name) is not None:
                raise Trouble(f'{name} ended with exit code {self._desk.exit_code(name)}')
            if name == 'action_node':
                return world.engage(False)[0] and bool(world.state)
            return time.monotonic() - world.reported.get(name, 0.0) < 1.0

        if not world.tick_until(up, 0.0, _START_S):
            raise Trouble(f'{name} does not answer within {_START_S:.0f} s')
        world.action_runs = True

    def _ask(self, service: str) -> tuple[bool, str]:
        success, message = self._world.engage(True) if service == 'engage' else self._world.trigger(service)
        self._answers.append((service, success, message))
        return success, message

    def _counter(self, spec: FaultSpec) -> int:
        """The counter that the fault has to raise, as the node reports it from now on; 0 where there is none."""
        key = spec.expect.counter
        if not key:
            return 0
        node, world = re.split('/', key, maxsplit=1)[0], self._world
        # A report that arrives now may have been written before: the one after it decides, unless the first has risen.
        for _ in range(2):
            asked = time.monotonic()

            def reported(asked: float = asked) -> bool:
                return world.reported.get(node, 0.0) > asked

            world.tick_until(reported, 0.0, _REPORT_S)
            if world.counters.get(key, 0) > self._before:
                break
        return world.counters.get(key, 0)
