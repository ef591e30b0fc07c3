# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a joint trajectory controller commands, as a function of time: one polynomial after the other."""

import numpy as np
import numpy.typing as npt

from dp_ros.messages.trajectory import Trajectory

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

# Coefficients of a piece: powers 0 to 5 of the seconds since its origin.
POWERS = 6
BLOCK = 8192


class TrajectoryCurve:
    """Messages of one controller into the curve that it commands.

    As ros2_control's controller that goes on from what it commanded last (``interpolate_from_desired_state``): a
    message replaces the one before as a whole when it arrives; lines, cubics or quintics by what the points carry; a
    way from the last command to the first point where that lies ahead; the last position is held.
    :mod:`dp_ros.simulation.joint_trajectory_controller` is the model with which this agrees.

    Only what came into force is kept, so that memory grows with the time and not with the length of the messages.
    """

    def __init__(self, joint_names: tuple[str, ...]) -> None:
        self.joint_names = joint_names
        self.first_ns: int | None = None
        self.end_ns = 0
        self._begins: list[Times] = []
        self._origins: list[Times] = []
        self._pieces: list[Array] = []
        self._all: tuple[Times, Times, Array] | None = None

    def put(self, trajectory: Trajectory, arrival_ns: int) -> None:
        """Take a message with points at increasing times, that arrived then, no earlier than the one before."""
        knots = (trajectory.stamp_ns or arrival_ns) + trajectory.times_ns
        order = [trajectory.joint_names.index(name) for name in self.joint_names]
        rows = [
            None if values is None else values[:, order]
            for values in (trajectory.positions, trajectory.velocities, trajectory.accelerations)
        ]
        # Nobody knows where the robot stood before the first message of all; its first point is the best guess.
        at_rest = np.zeros(len(order))
        before = self._state(arrival_ns) if self._begins else (rows[0][0], at_rest, at_rest)  # type: ignore[index]
        self._cut(arrival_ns)
        if arrival_ns < knots[0]:
            knots = np.concatenate([[arrival_ns], knots])
            rows = [
                None if values is None else np.concatenate([start[None], values])
                for start, values in zip(before, rows, strict=True)
            ]
        used = max(int(np.searchsorted(knots, arrival_ns, side='right')) - 1, 0)
        knots, rows = knots[used:], [None if values is None else values[used:] for values in rows]
        self._begins.append(np.maximum(knots, arrival_ns))
        self._origins.append(knots)
        self._pieces.append(_polynomials(knots, *rows))  # type: ignore[arg-type]
        self._all = None
        if self.first_ns is None:
            self.first_ns = arrival_ns
        self.end_ns = max(int(knots[-1]), arrival_ns)

    def sample(self, times_ns: Times) -> Array:
        """Commanded positions (n, A) at times (n,); before the first message, its first position."""
        begins, origins, pieces = self._joined()
        out = np.empty((len(times_ns), len(self.joint_names)))
        for start in range(0, len(times_ns), BLOCK):
            times = times_ns[start : start + BLOCK]
            times = np.maximum(times, begins[0])
            i = np.searchsorted(begins, times, side='right') - 1
            out[start : start + BLOCK] = _evaluate(pieces[i], (times - origins[i])[:, None] * 1e-9)
        return out

    def _cut(self, at_ns: int) -> None:
        """Forget the pieces that would have begun then or later."""
        while self._begins and self._begins[-1][0] >= at_ns:
            for rows in (self._begins, self._origins, self._pieces):
                rows.pop()
        if self._begins:
            kept = int(np.searchsorted(self._begins[-1], at_ns))
            for rows in (self._begins, self._origins, self._pieces):
                rows[-1] = rows[-1][:kept].copy()

    def _state(self, at_ns: int) -> tuple[Array, Array, Array]:
        """Position, velocity and acceleration that the newest message commands."""
        i = max(int(np.searchsorted(self._begins[-1], at_ns, side='right')) - 1, 0)
        c, t = self._pieces[-1][i], max(at_ns - int(self._origins[-1][i]), 0) * 1e-9
        first = np.arange(1, POWERS)[:, None] * c[1:]
        second = np.arange(1, POWERS - 1)[:, None] * first[1:]
        powers = t ** np.arange(POWERS)[:, None]
        return (c * powers).sum(0), (first * powers[:-1]).sum(0), (second * powers[:-2]).sum(0)

    def _joined(self) -> tuple[Times, Times, Array]:
        if self._all is None:
            self._all = (
                np.concatenate(self._begins),
                np.concatenate(self._origins),
                np.concatenate(self._pieces),
            )
            begins, origins, pieces = self._all
            self._begins, self._origins, self._pieces = [begins], [origins], [pieces]
        return self._all


def _evaluate(pieces: Array, t: Array) -> Array:
    """Values (n, A) of polynomials (n, 6, A) at t (n, 1)."""
    out = pieces[:, -1]
    for power in range(POWERS - 2, -1, -1):
        out = pieces[:, power] + t * out
    return out


def _polynomials(knots: Times, p: Array, v: Array | None, a: Array | None) -> Array:
    """The ways from point to point with ros2_control's coefficients, and the rest at the last: (N, 6, A)."""
    out = np.zeros((len(knots), POWERS, p.shape[1]))
    out[:, 0] = p
    h = np.diff(knots)[:, None] * 1e-9
    move = np.diff(p, axis=0) / h
    way = out[:-1]
    if v is None:
        way[:, 1] = move
        return out
    way[:, 1] = v0 = v[:-1]
    v1 = v[1:]
    if a is None:
        way[:, 2] = (3.0 * move - 2.0 * v0 - v1) / h
        way[:, 3] = (-2.0 * move + v0 + v1) / h**2
        return out
    a0, a1 = a[:-1], a[1:]
    way[:, 2] = 0.5 * a0
    way[:, 3] = (20.0 * move - 12.0 * v0 - 8.0 * v1 + (a1 - 3.0 * a0) * h) / (2.0 * h**2)
    way[:, 4] = (-30.0 * move + 16.0 * v0 + 14.0 * v1 + (3.0 * a0 - 2.0 * a1) * h) / (2.0 * h**3)
    way[:, 5] = (12.0 * move - 6.0 * (v0 + v1) + (a1 - a0) * h) / (2.0 * h**4)
    return out
