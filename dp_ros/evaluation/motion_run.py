# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One run of ``dp_ros bench motion``: messages through modelled controllers, and what these then command."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dp_ros.action.plan import CommittedPlan
from dp_ros.errors import TrajectoryRejected
from dp_ros.evaluation.motion_streams import JOINTS, START_NS, Message, Setting, Stream, intended
from dp_ros.simulation.controller_rules import Rules
from dp_ros.simulation.joint_trajectory_controller import JointTrajectoryController

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Run:
    """What the controllers commanded (N, width), what the plant did, and the meant curve at the same times."""

    times_ns: npt.NDArray[np.int64]
    commands: Array
    measured: Array
    positions: Array
    velocities: Array
    accelerations: Array
    refused: int


class _Forward:
    """A forward_command_controller: commands the last position that it got, for ever."""

    def __init__(self, position: Array):
        self._position = position

    def accept(self, message: Message) -> None:
        self._position = message.positions[0]

    def update(self) -> Array:
        return self._position


def drive(setting: Setting, rules: Rules, stream: Stream, forward: bool = False) -> Run:
    """Run a stream through one controller for each arm; a plant of first order follows the commands."""
    ticks = setting.ticks()
    width = len(stream.arms) * len(JOINTS)
    measured = intended(START_NS, width)[0]
    gain = 1.0 - np.exp(-setting.control_ns / setting.lag_ns)
    parts = [slice(i * len(JOINTS), (i + 1) * len(JOINTS)) for i in range(len(stream.arms))]
    controllers = [JointTrajectoryController(JOINTS, setting.control_ns, rules=rules) for _ in parts]
    forwards = [_Forward(measured[part]) for part in parts]
    for controller, part in zip(controllers, parts, strict=True):
        controller.reset(measured[part])
    position = [0] * len(parts)
    refused = 0
    commands, states = np.empty((len(ticks), width)), np.empty((len(ticks), width))
    for i, now in enumerate(int(t) for t in ticks):
        for arm, part in enumerate(parts):
            messages = stream.arms[arm]
            while position[arm] < len(messages) and messages[position[arm]][0] <= now:
                arrival, m = messages[position[arm]]
                position[arm] += 1
                forwards[arm].accept(m)
                try:
                    controllers[arm].accept(
                        arrival, m.stamp_ns, JOINTS, m.times_ns, m.positions, m.velocities
                    )
                except TrajectoryRejected:
                    refused += 1
            if forward:
                commands[i, part] = forwards[arm].update()
            else:
                commands[i, part] = controllers[arm].update(now, measured[part])[0]
        states[i] = measured
        measured = measured + gain * (commands[i] - measured)
    meant = ticks + (setting.control_ns if rules.sample_ahead and not forward else 0)
    curve = stream.curve(meant)
    return Run(meant, commands, states, curve[0], curve[1], curve[2], refused)


def measure(setting: Setting, run: Run, stream: Stream) -> dict[str, float]:
    """Figures of a run; lengths in rad, times in seconds, peaks over all joints.

    ``peak_*`` are of the command, ``curve_*`` of the curve that it should follow, ``jump`` is the largest step of the
    command's velocity at a knot (one-sided differences that are exact for cubics), ``seam_*`` are steps of the
    committed curve at its seams, ``stop_s`` when the command rests for good, counted from the end of the last message's
    future (below 0 if nothing moved then), ``delay`` the shift at which the plant fits the intended motion best.
    """
    h = setting.control_ns * 1e-9
    v = np.diff(run.commands, axis=0) / h
    a = np.diff(run.commands, 2, axis=0) / h**2
    step = setting.point_ns // setting.control_ns
    knots = np.flatnonzero(run.times_ns % setting.point_ns == 0)
    knots = knots[(knots >= 3) & (knots < len(run.commands) - 3)]
    figures = {
        'peak_v': float(np.abs(v).max()),
        'peak_a': float(np.abs(a).max()),
        'curve_v': float(np.abs(run.velocities).max()),
        'curve_a': float(np.abs(run.accelerations).max()),
        'follow': float(np.abs(run.commands - run.positions).max()),
        'jump': float(
            np.abs(_one_sided(run.commands, knots, h, 1) - _one_sided(run.commands, knots, h, -1)).max()
        )
        if step >= 3
        else float('nan'),
        'delay': _delay(setting, run),
        'stop_s': _stop(setting, run, stream),
        'refused': float(run.refused),
    }
    half = len(JOINTS)
    if run.commands.shape[1] > half:
        figures['apart'] = float(np.abs(run.commands[:, :half] - run.commands[:, half:]).max())
    if stream.seams:
        sides = np.array([_seam(setting, s.old, s.new, s.knot_ns) for s in stream.seams])
        figures['seam_v'], figures['seam_a'] = (float(x) for x in sides.max(axis=0))
        figures['seam_asked'] = float(max(np.abs(s.asked).max() for s in stream.seams))
    return figures


def _one_sided(f: Array, at: npt.NDArray[np.int64], h: float, side: int) -> Array:
    """Derivative on one side of samples, from four of them: exact where that side is one cubic."""
    out: Array = side * (
        -11.0 * f[at] + 18.0 * f[at + side] - 9.0 * f[at + 2 * side] + 2.0 * f[at + 3 * side]
    )
    return out / (6.0 * h)


def _seam(setting: Setting, old: CommittedPlan, new: CommittedPlan, knot_ns: int) -> tuple[float, float]:
    """Steps of velocity and acceleration from the plan before to the plan after, at the knot where they part.

    The limits come from the positions of the two cubics beside the knot, not from what the plans say of their slopes.
    """
    third = setting.point_ns // 4
    left = np.array([old.sample(knot_ns - i * third)[0] for i in range(4)])
    right = np.array([new.sample(knot_ns + i * third)[0] for i in range(4)])
    h = third * 1e-9
    slopes = [
        side * (-11.0 * f[0] + 18.0 * f[1] - 9.0 * f[2] + 2.0 * f[3]) / (6.0 * h)
        for side, f in ((-1, left), (1, right))
    ]
    bends = [(2.0 * f[0] - 5.0 * f[1] + 4.0 * f[2] - f[3]) / h**2 for f in (left, right)]
    step = np.abs(slopes[1] - slopes[0]) + np.abs(right[0] - left[0]) / h
    return float(step.max()), float(np.abs(bends[1] - bends[0]).max())


def _stop(setting: Setting, run: Run, stream: Stream) -> float:
    moving = np.flatnonzero(np.any(np.diff(run.commands, axis=0) != 0.0, axis=1))
    rest = run.times_ns[moving[-1] + 1] if moving.size else run.times_ns[0]
    return float(rest - stream.last_ns - setting.future_ns) * 1e-9


def _delay(setting: Setting, run: Run) -> float:
    """Shift (s) by which the measured motion trails the intended one."""
    ticks = setting.ticks()
    wanted = intended(ticks, run.measured.shape[1])[0]
    settled = len(ticks) // 3
    shifts = range(min(150, settled))
    costs = [
        float(np.square(run.measured[settled:] - wanted[settled - s : len(ticks) - s]).mean()) for s in shifts
    ]
    return int(np.argmin(costs)) * setting.control_ns * 1e-9
