# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A scripted policy: smooth chunks, with the stamps, the ids and the timing of a real one."""

import numpy as np
import numpy.typing as npt

from dp_ros.contract import Contract
from dp_ros.simulation.fault_stream import Sample

Array = npt.NDArray[np.float64]

# Small enough for every limit of the arms, large enough that a stop under way shows.
AMPLITUDE = {'rad': 0.2, 'm': 0.004}
FREQUENCY_HZ = 0.45


class ScriptedPolicy:
    """Waves that start at rest where the arms are; begin an engagement with :meth:`engaged`.

    Column i follows ``start + a_i (1 - cos(w_i t))`` with a little another frequency for each, so that no joint
    hides behind another one.
    """

    def __init__(self, contract: Contract, home: Array):
        self._home = np.array(home, np.float64)
        self._names, self._timing, self._hash = contract.joint_names, contract.timing, contract.hash
        joints = contract.embodiment.joints
        self._amplitude = np.array([AMPLITUDE[joint.unit] for joint in joints])
        self._rate = 2 * np.pi * FREQUENCY_HZ * np.linspace(1.0, 1.25, len(joints))
        self._start = np.zeros(len(joints))
        self._sign = np.ones(len(joints))
        self._since_ns = 0
        self.epoch, self.seq = 0, 0
        self._next_ns = 0
        # Faults of the policy itself: publish only every n-th tick, or nothing; start beside the arms, (A,).
        self.every, self.silent, self.beside = 1, False, np.zeros(len(joints))

    def engaged(self, now_ns: int, measured: Array) -> None:
        """A new epoch starts at the measured pose and leads each joint back past its home, not ever further away."""
        self._start, self._since_ns, self._next_ns = measured + self.beside, now_ns, now_ns
        self.epoch, self.seq = self.epoch + 1, 0
        self._sign = np.where(measured <= self._home + 0.1 * self._amplitude, 1.0, -1.0)

    @property
    def _tick_ns(self) -> int:
        return self.every * self._timing.tick_ns

    def at(self, stamp_ns: int) -> Array:
        """Where the policy wants the arms at a time, (A,)."""
        since = max(0.0, (stamp_ns - self._since_ns) * 1e-9)
        return self._start + self._sign * self._amplitude * (1.0 - np.cos(self._rate * since))

    def chunk(self, now_ns: int) -> Sample | None:
        """The chunk of an observation made now, or None where none is due; a clock set back does not silence it."""
        if self.silent or self._next_ns - self._tick_ns <= now_ns < self._next_ns:
            return None
        timing = self._timing
        self._next_ns = now_ns + self._tick_ns
        times = tuple(i * timing.period_ns for i in range(timing.pred_horizon))
        sample = Sample(
            now_ns,
            self._names,
            tuple(self.at(now_ns + time_ns) for time_ns in times),
            times,
            f'{self._hash[:8]}:{self.epoch}:{self.seq}',
        )
        self.seq += 1
        return sample
