# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The loop of the simulated robot: publish what a robot publishes, follow what its controllers receive.

One turn is one control period, at simulated time t::

    publish /clock t, joint states t, images t (where due)
    wait            lockstep: for the chunk that is due at t, and for the windows; else: for the wall clock
    move            controllers sample their trajectories at t, physics goes from t to t + period

In lockstep nothing is computed against a time that the other nodes have not seen, so a run depends on seeds and
not on the speed of the machine. The simulated clock never jumps back. Until the first window after a reset the
physics stands still, so that an episode is the same however long somebody waits before engaging.

A teleoperated robot has no policy to wait for: once a leader engaged, time stands at each t until every arm has a
window that answers t, which its ``header.frame_id`` says. The first such t is published as state 'ready'.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dp_ros.contract import Embodiment
from dp_ros.errors import ConfigError, TrajectoryRejected
from dp_ros.nodes.sim_inbox import SimInbox
from dp_ros.simulation.joint_trajectory_controller import JointTrajectoryController
from dp_ros.simulation.robot import EpisodeResult, SimulatedRobot

# ROS takes time zero for "no clock yet".
START_NS = 1_000_000_000
_EPISODE_EVERY = 10
# Pictures without any answer after which nobody is waited for: the policy is not there.
_GIVE_UP = 3
_OVERTAKEN_S = 0.02


class RobotPort(Protocol):
    """Where the loop puts what a robot publishes."""

    def clock(self, stamp_ns: int) -> None:
        """Simulated time."""
        ...

    def joints(self, stamp_ns: int, positions: np.ndarray, velocities: np.ndarray) -> None:
        """Measured joints (A,)."""
        ...

    def commanded(self, stamp_ns: int, positions: np.ndarray, velocities: np.ndarray) -> None:
        """What the controllers command (A,) for the period that starts at the stamp."""
        ...

    def image(self, stamp_ns: int, camera: str, image: np.ndarray) -> None:
        """One picture (H, W, 3) uint8 RGB."""
        ...

    def episode(self, state: str, result: EpisodeResult, start_ns: int, real_time_factor: float) -> None:
        """How the episode stands; ``start_ns`` is 0 before its start.

        ``state`` is 'standing', 'ready' (of a teleoperated robot: it starts at ``start_ns``), 'running' or 'done'.
        """
        ...

    def privileged(self, values: np.ndarray) -> None:
        """What no sensor tells (P,), as it is at a reset."""
        ...

    def warn(self, text: str) -> None:
        """Something that a person should read."""
        ...


@dataclass(frozen=True, kw_only=True)
class SimSettings:
    """How the loop runs; see the parameters of sim_node."""

    first_seed: int
    realtime: bool
    image_period_ns: int
    tick_ns: int
    wait_s: float
    teleoperated: bool = False


class SimLoop:
    """Runs a robot until the inbox is closed. Everything here happens in one thread: renderers demand it."""

    def __init__(
        self,
        robot: SimulatedRobot,
        embodiment: Embodiment,
        cameras: Sequence[str],
        settings: SimSettings,
        inbox: SimInbox,
        port: RobotPort,
    ):
        if settings.image_period_ns % robot.control_period_ns:
            raise ConfigError(
                f'images every {settings.image_period_ns} ns do not fit control every {robot.control_period_ns} ns: '
                'camera_hz must divide the control rate'
            )
        self._robot, self._settings, self._inbox, self._port = robot, settings, inbox, port
        self._cameras = tuple(cameras)
        self._slices = embodiment.slices
        self._period_s = robot.control_period_ns * 1e-9
        self._controllers = {
            arm.name: JointTrajectoryController(arm.joint_names, robot.control_period_ns)
            for arm in embodiment.arms
        }
        self.now_ns = START_NS
        self.counters = dict.fromkeys(
            ('chunk_timeouts', 'window_timeouts', 'late_starts', 'rejected_windows', 'overruns'), 0
        )
        self._resets = 0
        self._pictures: dict[str, np.ndarray] = {}
        self._deadline = time.monotonic()
        self._place(settings.first_seed)

    def run(self) -> None:
        """Turn after turn until the inbox is closed."""
        self._deadline = time.monotonic()
        while not self._inbox.closed:
            reset = self._inbox.take_reset()
            if reset is not None:
                self._place(self._settings.first_seed + self._resets)
                self._resets += 1
                reset()
            self.turn()

    def turn(self) -> None:
        """One control period."""
        # Whoever engages while a moment is being published may have missed some of it.
        led = self._inbox.engaged
        pictured = self._publish(self.now_ns)
        self._deadline += self._period_s
        if not self._settings.realtime and self._lockstep(self.now_ns, pictured, led):
            # However fast or slow lockstep was, what follows goes on from here.
            self._deadline = time.monotonic()
        else:
            self._pace()
        self._take(self.now_ns)
        self._move(self.now_ns)
        self.now_ns += self._robot.control_period_ns

    @property
    def real_time_factor(self) -> float:
        """Simulated over wall-clock time since the first window of the episode; 0 before it."""
        if self._started_at is None:
            return 0.0
        started_ns, wall = self._started_at
        return (self.now_ns - started_ns) * 1e-9 / max(time.monotonic() - wall, 1e-9)

    def _place(self, seed: int) -> None:
        self.seed = seed
        self._robot.reset(seed)
        measured = self._robot.joint_positions()
        for arm, controller in self._controllers.items():
            controller.reset(measured[self._slices[arm]])
        self._pictures.clear()
        self._picture_ns = 0
        self._unanswered = 0
        self._started_at: tuple[int, float] | None = None
        self._alone = False
        self._silent_since: tuple[int, str] | None = None
        self._done = False
        self._port.privileged(self._robot.privileged())
        self._say('standing')

    def _publish(self, now_ns: int) -> bool:
        """State of the robot at ``now_ns``; True where it held images."""
        self._port.clock(now_ns)
        self._port.joints(now_ns, self._robot.joint_positions(), self._robot.joint_velocities())
        standing = self._started_at is None
        if now_ns < self._picture_ns and not (standing and self._inbox.engaged):
            return False
        # While standing, one picture a tick, so that the policy answers each of them: see _stand.
        slow = standing and not self._settings.realtime and not self._settings.teleoperated
        self._picture_ns = now_ns + (self._settings.tick_ns if slow else self._settings.image_period_ns)
        for camera in self._cameras:
            # Nothing moves before the first window, so the first picture is all pictures.
            if not standing or camera not in self._pictures:
                self._pictures[camera] = self._robot.render(camera)
            self._port.image(now_ns, camera, self._pictures[camera])
        return True

    def _lockstep(self, now_ns: int, pictured: bool, led: bool) -> bool:
        """Wait for what the other nodes owe at ``now_ns``; False where the wall clock should set the pace."""
        inbox = self._inbox
        if self._settings.teleoperated:
            return self._teleoperated(now_ns, pictured and led)
        if self._started_at is None:
            return self._stand(now_ns, pictured)
        if not inbox.engaged or (self._alone and not inbox.any_command()):
            return False
        chunk = inbox.chunk
        if pictured and self._is_due(chunk, now_ns):
            self._alone = not self._chunk_at(now_ns)
        else:
            self._alone = not self._wait(
                lambda: not inbox.engaged or inbox.every_arm(), self._settings.wait_s
            )
            self.counters['window_timeouts'] += self._alone
        return inbox.engaged and not self._alone

    def _teleoperated(self, now_ns: int, may_start: bool) -> bool:
        """Once a leader engaged, wait for what it commands at this very moment."""
        inbox = self._inbox
        if not inbox.engaged:
            return False
        if self._started_at is None:
            if not may_start:
                return False
            self._say('ready', now_ns)
        here = self._wait(
            lambda: not inbox.engaged or inbox.every_arm(str(now_ns)),
            self._settings.wait_s,
        )
        self.counters['window_timeouts'] += not here
        return here

    def _stand(self, now_ns: int, pictured: bool) -> bool:
        """Before the first window: do not let time go on while a chunk for ``now_ns`` may be under way.

        The policy answers every picture, with a preview or, once engaged, with a chunk; after the edge of 'engaged'
        only a newer picture leads to a chunk. So a picture that was answered with a preview is done with, whoever
        hears of the engagement first, and the episode starts at the stamp of its first chunk.
        """
        inbox, engaged = self._inbox, self._inbox.engaged
        if not pictured:
            return inbox.any_command()
        if not engaged and self._unanswered >= _GIVE_UP:
            self._unanswered -= inbox.answered(now_ns - self._settings.tick_ns)
            return False
        if not self._wait(lambda: inbox.answered(now_ns), self._settings.wait_s):
            self._unanswered += 1
            return False
        self._unanswered = 0
        # A chunk travels on a topic of its own and may be overtaken by the preview that was published after it.
        if not self._wait(lambda: inbox.chunk is not None and inbox.chunk[0] >= now_ns, _OVERTAKEN_S):
            return engaged
        return self._windows_of_chunk()

    def _is_due(self, chunk: tuple[int, str] | None, now_ns: int) -> bool:
        """Whether the policy owes a chunk now; not once it has failed to make one, until it makes the next."""
        if self._silent_since is not None and self._silent_since == chunk:
            return False
        return chunk is None or chunk[0] + self._settings.tick_ns <= now_ns

    def _chunk_at(self, now_ns: int) -> bool:
        """Wait for the chunk of ``now_ns`` and then for the windows that were cut from it."""
        inbox = self._inbox

        def here() -> bool:
            chunk = inbox.chunk
            return not inbox.engaged or (chunk is not None and chunk[0] >= now_ns)

        if not self._wait(here, self._settings.wait_s):
            self.counters['chunk_timeouts'] += 1
            self._silent_since = inbox.chunk
            return True
        return self._windows_of_chunk()

    def _windows_of_chunk(self) -> bool:
        inbox, chunk = self._inbox, self._inbox.chunk
        if chunk is None:
            return False
        if self._wait(lambda: inbox.let_go or inbox.every_arm(chunk[1]), self._settings.wait_s):
            return True
        self.counters['window_timeouts'] += 1
        return False

    def _wait(self, predicate: Callable[[], bool], timeout_s: float) -> bool:
        # /clock is best effort, and a node that misses it has no reason to act.
        return self._inbox.wait(predicate, timeout_s, nudge=lambda: self._port.clock(self.now_ns))

    def _pace(self) -> None:
        rest = self._rest()
        if rest > 0:
            self._inbox.wait(lambda: False, rest)
        else:
            self.counters['overruns'] += self._settings.realtime
            # A debt of time would be paid back by running too fast.
            self._deadline = time.monotonic()

    def _rest(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _take(self, now_ns: int) -> None:
        for arm, commands in self._inbox.take_commands().items():
            for command in commands:
                try:
                    self._controllers[arm].accept(
                        now_ns,
                        command.stamp_ns,
                        command.joint_names,
                        command.times_ns,
                        command.positions,
                        command.velocities,
                    )
                except TrajectoryRejected as error:
                    self.counters['rejected_windows'] += 1
                    self._port.warn(f'{arm} controller: {error}')
                    continue
                if self._started_at is None:
                    self._start(now_ns)

    def _start(self, now_ns: int) -> None:
        self._started_at = (now_ns, time.monotonic())
        chunk = self._inbox.chunk
        if chunk is not None and chunk[0] < now_ns:
            self.counters['late_starts'] += 1

    def _move(self, now_ns: int) -> None:
        if self._started_at is None:
            return
        measured = self._robot.joint_positions()
        command, velocity = np.empty_like(measured), np.empty_like(measured)
        for arm, controller in self._controllers.items():
            columns = self._slices[arm]
            command[columns], velocity[columns] = controller.update(now_ns, measured[columns])
        self._port.commanded(now_ns, command, velocity)
        self._robot.step(command)
        result = self._robot.result()
        if result.done and not self._done:
            self._done = True
            self._say('done')
        elif not self._done and result.steps % _EPISODE_EVERY == 0:
            self._say('running')

    def _say(self, state: str, start_ns: int = 0) -> None:
        if self._started_at is not None:
            start_ns = self._started_at[0]
        self._port.episode(state, self._robot.result(), start_ns, self.real_time_factor)
