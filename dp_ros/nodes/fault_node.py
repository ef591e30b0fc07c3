# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""fault_node: a robot, a policy and an operator that go wrong on purpose, for tests of action_node and policy_node.

It is driven over a local socket by whoever started it (dp_ros.cli.fault_session), one JSON object a line: ``run`` one
fault or ``soak`` a stretch of random ones; meanwhile it asks back for processes.
"""

import argparse
import json
import select
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dp_ros.errors import DpRosError
from dp_ros.nodes.fault_case import FaultCase
from dp_ros.nodes.fault_deeds import Deeds
from dp_ros.nodes.fault_soak import FaultSoak
from dp_ros.nodes.fault_world import FaultWorld, make_node
from dp_ros.nodes.process import StopSignal, bench_process
from dp_ros.nodes.site import checkpoint_contract, load_binding
from dp_ros.simulation.fault_files import FaultSpec
from dp_ros.simulation.fault_robot import Trace

_POLL_S = 0.2


class Closed(Exception):
    """The other side is gone, or this process shall end."""


class Line:
    """JSON objects over a socket, one a line; it is the desk for processes as well."""

    def __init__(self, path: Path, stop: StopSignal):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._buffer, self._stop = b'', stop

    def send(self, **values: Any) -> None:
        """One object."""
        self._socket.sendall(json.dumps(values).encode() + b'\n')

    def receive(self) -> dict[str, Any]:
        """The next object; Closed where none will come."""
        while b'\n' not in self._buffer:
            if self._stop.is_set():
                raise Closed
            if select.select([self._socket], [], [], _POLL_S)[0]:
                data = self._socket.recv(65536)
                if not data:
                    raise Closed
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b'\n')
        values: dict[str, Any] = json.loads(line)
        return values

    def start(self, name: str, parameters: Mapping[str, Any]) -> bool:
        """Start a node where it does not run with these parameters."""
        return bool(self._ask('start', name=name, parameters=dict(parameters)))

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a node's process."""
        self._ask('signal', name=name, number=int(number))

    def exit_code(self, name: str) -> int | None:
        """Exit code of a node's process; None while it runs, -1000 where it was never started."""
        code: int | None = self._ask('exit_code', name=name)
        return code

    def load(self, processes: int) -> None:
        """Busy processes."""
        self._ask('load', processes=processes)

    def _ask(self, what: str, **values: Any) -> Any:
        self.send(ask=what, **values)
        return self.receive()['answer']


def save_trace(path: Path, trace: Trace) -> None:
    """What was commanded, for the judge."""
    np.savez(path, times_ns=trace.times_ns, positions=trace.positions, velocities=trace.velocities)


def serve(world: FaultWorld, case: FaultCase, soak: FaultSoak, line: Line) -> None:
    """Do what is asked until the other side closes."""
    line.send(ready=True)
    while True:
        asked = line.receive()
        spec = asked.get('run')
        if spec is not None:
            observation, trace = case.run(FaultSpec.from_dict(spec), int(asked['seed']))
            save_trace(Path(asked['trace']), trace)
            line.send(result=observation)
        else:
            specs = [FaultSpec.from_dict(each) for each in asked['soak']]
            report, trace = soak.run(specs, int(asked['seed']), float(asked['seconds']))
            save_trace(Path(asked['trace']), trace)
            line.send(result=report)


def main(argv: list[str] | None = None) -> int:
    """Entry point: 0 once the other side closes the socket."""
    parser = argparse.ArgumentParser(prog='fault_node', description='Play a robot that goes wrong.')
    parser.add_argument('--socket', type=Path, required=True)
    parser.add_argument('--site', type=Path, required=True, help='folder with contract.json and binding.yaml')
    parser.add_argument('--past', type=float, required=True, help='past_s of action_node')
    args = parser.parse_args(argv)
    try:
        with bench_process() as stop:
            contract = checkpoint_contract(str(args.site))
            binding = load_binding(str(args.site / 'binding.yaml'))
            line = Line(args.socket, stop)
            world = FaultWorld(make_node('fault_node'), contract, binding, round(args.past * 1e9))
            deeds = Deeds(world, line, binding)
            serve(world, FaultCase(world, deeds, line), FaultSoak(world, deeds, line), line)
    except Closed:
        return 0
    except (DpRosError, OSError) as error:
        sys.stderr.write(f'fault_node: {error}\n')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
