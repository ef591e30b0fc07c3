# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Node processes on this machine alone: start, watch, and stop them so that none is left behind."""

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dp_ros.errors import DpRosError
from dp_ros.share import share_path

# DDS computes its ports from the domain; above 101 they meet the ports that Linux hands out to anybody.
_DOMAINS = range(1, 102)
_PR_SET_PDEATHSIG = 1
_CLAIMS: list[socket.socket] = []


class ProcessError(DpRosError):
    """A node process ended when it should run, or does not end when it should."""


def free_domain() -> int:
    """A ROS_DOMAIN_ID that no process of this machine uses; it stays reserved while this process lives.

    Raises:
        ProcessError: all of them are in use.
    """
    for domain in random.SystemRandom().sample(_DOMAINS, len(_DOMAINS)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            # An abstract name, which ends with its owner: no two of us take the same domain at the same time.
            claim.bind(f'\0dp_ros domain {domain}')
        except OSError:
            claim.close()
            continue
        if all(_is_free(port) for port in _ports(domain)):
            _CLAIMS.append(claim)
            return domain
        claim.close()
    raise ProcessError(f'all ROS domains from {_DOMAINS[0]} to {_DOMAINS[-1]} are in use on this machine')


def _ports(domain: int) -> list[int]:
    """Ports of a domain (DDSI-RTPS 9.6.1): discovery by multicast, then by unicast for the first participants."""
    base = 7400 + 250 * domain
    return [base, *(base + 10 + 2 * participant for participant in range(10))]


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('', port))
        except OSError:
            return False
        return True


def local_environment(domain: int) -> dict[str, str]:
    """This process's environment, with a ROS graph that does not leave the machine."""
    environment = dict(os.environ)
    # A name both for the distributions up to Humble and for those since Iron.
    local = {'ROS_LOCALHOST_ONLY': '1'} if os.environ.get('ROS_DISTRO') == 'humble' else {}
    environment.update(
        ROS_DOMAIN_ID=str(domain), ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST', PYTHONUNBUFFERED='1', **local
    )
    return environment


def image_environment() -> dict[str, str]:
    """What a process that publishes images needs besides: room for them in shared memory."""
    profile = str(share_path('config', 'fastdds_large_images.xml'))
    # Fast DDS 2 reads the first name, Fast DDS 3 the second, other middlewares neither.
    return {'FASTRTPS_DEFAULT_PROFILES_FILE': profile, 'FASTDDS_DEFAULT_PROFILES_FILE': profile}


def parameters(node: str, **values: object) -> list[str]:
    """ROS arguments of a node: its shipped YAML file where there is one, then these values."""
    file = share_path('config', f'{node}.yaml')
    out = ['--ros-args', *(['--params-file', str(file)] if file.is_file() else [])]
    for key, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        # They are read as YAML, to which nothing is not a text.
        out += ['-p', f'{key}:={text or repr(text)}']
    return out


class Fleet:
    """Processes by name. Each is a session of its own, so that Ctrl-C reaches them in our order, not all at once."""

    def __init__(self, log_directory: Path, environment: Mapping[str, str]):
        self._logs = Path(log_directory)
        self._environment = dict(environment)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs.mkdir(parents=True, exist_ok=True)

    def start(
        self,
        name: str,
        module: str,
        arguments: Sequence[str] = (),
        threads: int = 1,
        log: bool = True,
        images: bool = False,
    ) -> 'subprocess.Popen[bytes]':
        """Run ``python -m module arguments`` with at most ``threads`` numeric threads.

        With ``log`` its output goes to NAME.log, else to ours. ``images`` says that it publishes some.
        """
        environment = self._environment | (image_environment() if images else {})
        # More threads than cores for three processes cost more than they bring.
        for key in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'):
            environment[key] = str(threads)
        output = (self._logs / f'{name}.log').open('wb') if log else None
        try:
            process = subprocess.Popen(
                [sys.executable, '-m', module, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if log else None,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        finally:
            if output is not None:
                output.close()
        self._processes[name] = process
        return process

    def wait_for(self, awaited: str, poll_s: float = 0.2) -> int:
        """Exit code of one process, while all others must go on.

        Raises:
            ProcessError: another one ended; with the end of its log.
        """
        while True:
            code = self.wait(awaited, poll_s)
            if code is not None:
                return code
            for name, process in self._processes.items():
                if name != awaited and process.poll() is not None:
                    raise ProcessError(
                        f'{name} ended early with exit code {process.poll()}\n{self.tail(name)}'
                    )

    def tail(self, name: str, lines: int = 20) -> str:
        """The last lines of a process's log."""
        path = self._logs / f'{name}.log'
        if not path.is_file():
            return ''
        return f'--- {path}\n' + '\n'.join(path.read_text(errors='replace').splitlines()[-lines:])

    def interrupt(self, name: str) -> None:
        """SIGINT to one process, if it runs."""
        process = self._processes.get(name)
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)

    def wait(self, name: str, timeout_s: float) -> int | None:
        """Exit code of a process; None where it still runs after ``timeout_s`` or was never started."""
        process = self._processes.get(name)
        if process is None:
            return None
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, order: Sequence[str], timeout_s: float = 10.0, at_once: int = 0) -> dict[str, int]:
        """SIGINT in this order, the first ``at_once`` without waiting for each other; then kill what is left.

        Returns:
            Exit codes by name; a process that had to be killed shows as -9.
        """
        started = [name for name in order if name in self._processes]
        for name in started[:at_once]:
            self.interrupt(name)
        for i, name in enumerate(started):
            if i >= at_once:
                self.interrupt(name)
            self.wait(name, timeout_s)
        return self.kill()

    def kill(self) -> dict[str, int]:
        """End whatever still runs, children included, and return all exit codes."""
        codes = {}
        for name, process in self._processes.items():
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            codes[name] = process.wait()
        self._processes.clear()
        return codes

    def __enter__(self) -> 'Fleet':
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _die_with_parent() -> None:
    """In the child: SIGTERM when the parent dies, however it dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
