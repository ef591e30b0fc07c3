# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What the other nodes sent to the simulated robot, for the simulation's thread to wait on."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ArmCommand:
    """One trajectory message of one arm's controller, decoded."""

    chunk_id: str
    stamp_ns: int
    joint_names: tuple[str, ...]
    times_ns: npt.NDArray[np.int64]
    positions: npt.NDArray[np.float64]
    velocities: npt.NDArray[np.float64] | None


class SimInbox:
    """Callbacks of the executor's thread put things in; the simulation's thread takes and waits."""

    def __init__(self, arms: Iterable[str]):
        self._condition = threading.Condition()
        self._commands: dict[str, list[ArmCommand]] = {arm: [] for arm in arms}
        self._newest_id: dict[str, str] = dict.fromkeys(self._commands, '')
        self._chunk: tuple[int, str] | None = None
        self._answer_ns = 0
        self._engaged = self._let_go = False
        self._reset: Callable[[], None] | None = None
        self._closed = False
        self._commanded_at = 0.0

    def put_command(self, arm: str, command: ArmCommand) -> None:
        """A window for one arm's controller."""
        with self._condition:
            self._commands[arm].append(command)
            self._newest_id[arm] = command.chunk_id
            self._commanded_at = time.monotonic()
            self._condition.notify_all()

    def put_chunk(self, stamp_ns: int, chunk_id: str) -> None:
        """The policy published a chunk; only its stamp and id matter here."""
        with self._condition:
            self._chunk = (stamp_ns, chunk_id)
            self._condition.notify_all()

    def put_preview(self, stamp_ns: int) -> None:
        """The policy looked at the picture of this stamp."""
        with self._condition:
            self._answer_ns = max(self._answer_ns, stamp_ns)
            self._condition.notify_all()

    def put_engaged(self, engaged: bool) -> None:
        """The node that owns motion engaged or let go."""
        with self._condition:
            if self._engaged and not engaged:
                self._chunk, self._let_go = None, True
            elif engaged:
                self._let_go = False
            self._engaged = engaged
            self._condition.notify_all()

    def close(self) -> None:
        """End every wait, now and later."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def closed(self) -> bool:
        """The simulation shall end."""
        with self._condition:
            return self._closed

    @property
    def engaged(self) -> bool:
        """The node that owns motion says that the policy drives."""
        with self._condition:
            return self._engaged

    @property
    def quiet_s(self) -> float:
        """Wall-clock time since the last window."""
        with self._condition:
            return time.monotonic() - self._commanded_at

    @property
    def let_go(self) -> bool:
        """The last engagement has ended; other than ``not engaged``, false before anybody said 'engaged'."""
        with self._condition:
            return self._let_go

    def answered(self, stamp_ns: int) -> bool:
        """The policy made a preview or a chunk of the picture of ``stamp_ns`` or of a later one."""
        with self._condition:
            return self._answer_ns >= stamp_ns or (self._chunk is not None and self._chunk[0] >= stamp_ns)

    @property
    def chunk(self) -> tuple[int, str] | None:
        """Stamp and id of the newest chunk of this engagement."""
        with self._condition:
            return self._chunk

    def request_reset(self, timeout_s: float) -> bool:
        """Ask for a reset and wait until it was made; False where it was not within ``timeout_s``."""
        done = threading.Event()
        with self._condition:
            self._reset = done.set
            self._condition.notify_all()
        return done.wait(timeout_s)

    def take_reset(self) -> Callable[[], None] | None:
        """What to call once the reset was made; None where nobody asked for one. Forgets all commands."""
        with self._condition:
            reset, self._reset = self._reset, None
            if reset is not None:
                self._forget()
            return reset

    def take_commands(self) -> dict[str, list[ArmCommand]]:
        """Everything that arrived for each arm since the last call, oldest first."""
        with self._condition:
            out = self._commands
            self._commands = {arm: [] for arm in out}
            return out

    def any_command(self) -> bool:
        """Some arm has a window that was not taken yet."""
        with self._condition:
            return any(self._commands.values())

    def every_arm(self, chunk_id: str | None = None) -> bool:
        """Every arm has a window that was not taken yet; with ``chunk_id``, one that was cut from that chunk."""
        with self._condition:
            if chunk_id is not None and any(newest != chunk_id for newest in self._newest_id.values()):
                return False
            return all(self._commands.values())

    def wait(
        self, predicate: Callable[[], bool], timeout_s: float, nudge: Callable[[], None] | None = None
    ) -> bool:
        """Wait until ``predicate``, which may use this inbox; a reset or the end of the process ends it as well.

        ``nudge`` is called every 50 ms meanwhile, for what may have been lost on the way to the others.
        """
        end = time.monotonic() + timeout_s
        with self._condition:
            while not (predicate() or self._closed or self._reset is not None):
                rest = end - time.monotonic()
                if rest <= 0:
                    return False
                if not self._condition.wait(min(rest, 0.05)) and nudge is not None:
                    nudge()
            return True

    def _forget(self) -> None:
        self._commands = {arm: [] for arm in self._commands}
        self._newest_id = dict.fromkeys(self._commands, '')
        self._chunk, self._let_go = None, False
