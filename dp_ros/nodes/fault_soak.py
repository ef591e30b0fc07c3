# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Random faults one after the other, for as long as it takes to find what only time brings out."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from dp_ros.nodes.fault_deeds import Deeds, ProcessDesk
from dp_ros.nodes.fault_world import FaultWorld
from dp_ros.simulation.fault_files import FaultSpec
from dp_ros.simulation.fault_robot import Trace

# Seconds of simulated time: how long a fault lasts, and how long nothing happens between two.
_LASTS, _PAUSE = (0.1, 1.5), (0.2, 2.0)
# An operator looks before engaging: the arms stand where they were sent. Longest look.
_LOOK_S = 5.0
_RESET_S = 30.0


class FaultSoak:
    """Engages again and again by the operator's services while faults come and go."""

    def __init__(self, world: FaultWorld, deeds: Deeds, desk: ProcessDesk):
        self._world, self._deeds, self._desk = world, deeds, desk
        self._started = False

    def run(self, specs: Sequence[FaultSpec], seed: int, seconds: float) -> tuple[dict[str, Any], Trace]:
        """So many simulated seconds; what happened, as plain data, and what was commanded.

        The arms keep their place and their motion from one run to the next; the schedule follows from the seed.
        """
        world, rng = self._world, np.random.default_rng(seed)
        if not self._started:
            self._desk.start('action_node', {})
            world.tick_until(lambda: world.engage(False)[0], 0.0, _RESET_S)
            world.forget()
            world.tick(25)
            self._started = True
        for i, layer in enumerate(world.layers.values()):
            layer.seed(seed * 10 + i)
        world.robot.forget()
        world.states = world.states[-1:]
        world.missed = 0
        began, start_ns = time.monotonic(), world.now_ns
        end_ns = start_ns + round(seconds * 1e9)
        injected: Counter[str] = Counter()
        schedule: list[tuple[float, str]] = []
        engagements = refused = 0
        rejected = world.robot.rejected
        died = None
        while world.now_ns < end_ns and died is None:
            if not world.state.startswith(('RUN', 'SYNC')):
                world.tick()
                world.tick_until(lambda: world.robot.settled, _LOOK_S)
                success = self._operate()
                engagements, refused = engagements + success, refused + (not success)
            spec = specs[int(rng.integers(len(specs)))]
            pause, lasts = rng.uniform(*_PAUSE), rng.uniform(*_LASTS)
            self._ticks(pause, end_ns)
            injected[spec.name] += 1
            schedule.append((round((world.now_ns - start_ns) * 1e-9, 2), spec.name))
            self._deeds.begin(spec)
            self._ticks(lasts, end_ns, spec)
            self._deeds.end(spec)
            died = self._desk.exit_code('action_node')
        states = Counter(text.partition(':')[0] for _, text in world.states)
        return {
            'simulated_s': (world.now_ns - start_ns) * 1e-9,
            'wall_s': time.monotonic() - began,
            'injected': dict(injected),
            'schedule': schedule,
            'states': dict(states),
            'last_state': world.state,
            'engagements': engagements,
            'refused': refused,
            'missed_windows': world.missed,
            'rejected_windows': world.robot.rejected - rejected,
            'died': died,
        }, world.robot.trace()

    def _operate(self) -> bool:
        """What an operator does about a robot that stands: clear the fault, engage."""
        world = self._world
        if world.state.startswith('FAULT') and not world.trigger('clear_fault')[0]:
            return False
        return world.engage(True)[0]

    def _ticks(self, seconds: float, end_ns: int, spec: FaultSpec | None = None) -> None:
        for step in range(round(seconds * 50)):
            if self._world.now_ns >= end_ns:
                return
            if spec is not None:
                self._deeds.during(spec, step)
            self._world.tick()
