# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The processes of a fault test, and the talk with fault_node, which decides when they start, stop and die."""

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import yaml

from dp_ros.cli.ros_processes import Fleet, ProcessError, free_domain, local_environment
from dp_ros.contract.binding import Binding
from dp_ros.evaluation.fault_judge import MotionBounds, Observation
from dp_ros.share import share_path
from dp_ros.simulation.fault_files import FaultSpec
from dp_ros.simulation.fault_robot import Trace
from dp_ros.simulation.fault_site import write_site

_ANSWER_S = 180.0
_STOP_S = 10.0
_NEVER = -1000
# Where action_node knows these parameters: an engagement's soft start need not take long here.
_IF_KNOWN = {'soft_start_s': 0.3}


def action_defaults() -> dict[str, Any]:
    """The shipped parameters of action_node."""
    data = yaml.safe_load(share_path('config', 'action_node.yaml').read_text())
    return dict(data['/**']['ros__parameters'])


def ros_arguments(node: str, values: Mapping[str, object]) -> list[str]:
    """ROS arguments: the shipped YAML file of the node, then what this run changes."""
    out = ['--ros-args', '--params-file', str(share_path('config', f'{node}.yaml'))]
    for key, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        out += ['-p', f'{key}:={text}']
    return out


def fault_environment(domain: int) -> dict[str, str]:
    """A ROS graph of this machine in which a killed process disappears within seconds."""
    profile = str(share_path('config', 'fastdds_short_lease.xml'))
    names = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
    return local_environment(domain) | dict.fromkeys(names, profile)


class FaultSession:
    """fault_node and the nodes under test for one kind of robot; use it as a context.

    Args:
        folder: where logs, traces and the site's files go.
        arms: 'one' or 'two'.
        real_policy: also make a small untrained checkpoint, for faults that need a real policy_node.
        environment: further variables for every process.
    """

    def __init__(
        self, folder: Path, arms: str, real_policy: bool = False, environment: Mapping[str, str] | None = None
    ):
        self.folder, self.arms = Path(folder), arms
        self.contract, binding = write_site(self.folder / 'site', arms)
        self._binding = binding
        self._images = real_policy
        if real_policy:
            # Torch takes seconds to import, and most faults do not need it.
            from dp_ros.cli.fault_checkpoint import calm_checkpoint

            calm_checkpoint(self.folder / 'policy', self.contract)
        defaults = action_defaults()
        self.action = {
            'checkpoint': self.folder / 'site', 'binding': binding, 'autostart': True, 'use_sim_time': True,
            'dry_run': False, 'discovery_s': 0.3, 'chunk_topic': 'fault_node/action_chunk',
            **{key: value for key, value in _IF_KNOWN.items() if key in defaults},
        }  # fmt: skip
        self._defaults = defaults
        self._policy = {
            'checkpoint': self.folder / 'policy', 'binding': binding, 'autostart': True, 'use_sim_time': True,
            'discovery_s': 0.3,
        }  # fmt: skip
        self._running: dict[str, tuple[subprocess.Popen[bytes], dict[str, Any]]] = {}
        self._load: list[subprocess.Popen[bytes]] = []
        self._sockets = tempfile.TemporaryDirectory(prefix='faults_')
        self._fleet = Fleet(self.folder / 'logs', fault_environment(free_domain()) | dict(environment or {}))
        self._buffer = b''

    @property
    def bounds(self) -> MotionBounds:
        """The limits of the arms, as action_node knows them."""
        names = self.contract.joint_names
        limits = Binding.from_yaml(self._binding).limits(names)
        return MotionBounds(
            names,
            limits.lower,
            limits.upper,
            limits.velocity,
            limits.acceleration,
            limits.jerk,
        )

    @property
    def reaction_s(self) -> float:
        """From a state that announces a stop, or from the death of the commander, to the onset of the brake."""
        longest = max(float(self._defaults['freeze_s']), float(self._defaults['future_s']))
        return longest + float(self._defaults['point_s']) + 2.0 / float(self._defaults['rate_hz'])

    @property
    def action_pid(self) -> int | None:
        """Process id of action_node; None where it does not run."""
        process = self._running.get('action_node')
        return None if process is None or process[0].poll() is not None else process[0].pid

    def __enter__(self) -> 'FaultSession':
        path = Path(self._sockets.name) / 'line'
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen(1)
            server.settimeout(_ANSWER_S)
            past = str(self._defaults['past_s'])
            options = ['--socket', str(path), '--site', str(self.folder / 'site'), '--past', past]
            self._fleet.start('fault_node', 'dp_ros.nodes.fault_node', options, images=self._images)
            try:
                self._line, _ = server.accept()
            except TimeoutError as error:
                raise ProcessError(f'fault_node does not start\n{self._fleet.tail("fault_node")}') from error
        self._line.settimeout(_ANSWER_S)
        self._receive()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._busy(0)
        for name in self._running:
            self._continue(name)
        if hasattr(self, '_line'):
            self._line.close()
        self._fleet.stop(('policy_node', 'action_node', 'fault_node'), at_once=3)
        self._sockets.cleanup()

    def run(self, spec: FaultSpec, data: Mapping[str, Any], seed: int) -> tuple[Observation, Trace]:
        """One fault; ``data`` is the plain data that the spec was read from."""
        path = self.folder / 'traces' / f'{spec.name}.npz'
        path.parent.mkdir(parents=True, exist_ok=True)
        result = self._serve({'run': dict(data), 'seed': seed, 'trace': str(path)})
        return Observation.from_dict(result), load_trace(path)

    def soak(
        self, faults: list[Mapping[str, Any]], seed: int, seconds: float
    ) -> tuple[dict[str, Any], Trace]:
        """A stretch of random faults; their plain data as for :meth:`run`."""
        path = self.folder / 'soak.npz'
        asked = {'soak': [dict(f) for f in faults], 'seed': seed, 'seconds': seconds, 'trace': str(path)}
        return self._serve(asked), load_trace(path)

    def tail(self, name: str) -> str:
        """The end of a process's log."""
        return self._fleet.tail(name)

    def _serve(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Send a task and do what is asked for until its result comes."""
        self._send(asked)
        while True:
            values = self._receive()
            if 'result' in values:
                result: dict[str, Any] = values['result']
                return result
            what = values.pop('ask')
            self._send({'answer': getattr(self, f'_do_{what}')(**values)})

    def _do_start(self, name: str, parameters: dict[str, Any]) -> bool:
        running = self._running.get(name)
        if running is not None and running[0].poll() is None:
            if running[1] == parameters:
                return False
            running[0].send_signal(signal.SIGINT)
            running[0].wait(_STOP_S)
        shared = self.action if name == 'action_node' else self._policy
        options = ros_arguments(name, {**shared, **parameters})
        self._running[name] = (self._fleet.start(name, f'dp_ros.nodes.{name}', options), parameters)
        return True

    def _do_signal(self, name: str, number: int) -> None:
        process = self._running[name][0]
        process.send_signal(number)
        if number == signal.SIGKILL:
            process.wait(_STOP_S)

    def _do_exit_code(self, name: str) -> int | None:
        return self._running[name][0].poll() if name in self._running else _NEVER

    def _do_load(self, processes: int) -> None:
        self._busy(processes)

    def _busy(self, processes: int) -> None:
        for process in self._load:
            process.kill()
            process.wait()
        # Any module that computes for ever will do.
        endless = ['-n', '1000000000000', '-r', '1', 'pass']
        self._load = [self._fleet.start(f'busy_{i}', 'timeit', endless) for i in range(processes)]

    def _continue(self, name: str) -> None:
        process = self._running[name][0]
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)

    def _send(self, values: dict[str, Any]) -> None:
        self._line.sendall(json.dumps(values).encode() + b'\n')

    def _receive(self) -> dict[str, Any]:
        try:
            while b'\n' not in self._buffer:
                data = self._line.recv(65536)
                if not data:
                    raise ProcessError(f'fault_node has ended\n{self._fleet.tail("fault_node")}')
                self._buffer += data
        except TimeoutError as error:
            raise ProcessError(
                f'fault_node says nothing for {_ANSWER_S:.0f} s\n{self._fleet.tail("fault_node")}'
            ) from error
        line, _, self._buffer = self._buffer.partition(b'\n')
        values: dict[str, Any] = json.loads(line)
        return values


def load_trace(path: Path) -> Trace:
    """What fault_node saved."""
    with np.load(path, allow_pickle=False) as data:
        return Trace(data['times_ns'], data['positions'], data['velocities'])
