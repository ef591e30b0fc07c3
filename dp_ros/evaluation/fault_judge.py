# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Judges what the controllers commanded during a fault, and what the nodes said about it. Pure: data in, verdict out.

Velocity, acceleration and jerk are finite differences of the commanded positions at the controllers' period: each is
a mean of the true one over a period or more, so a command within its limits is never called a violation, and a step is
called one even where the controller claims that its velocity is small.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dp_ros.simulation.fault_files import FaultSpec
from dp_ros.simulation.fault_robot import Trace

Array = npt.NDArray[np.float64]

# One per cent over a limit is a violation; positions are compared to 1e-6.
TOLERANCE = 1.01
POSITION_TOLERANCE = 1e-6
# Slower than this is at rest, rad/s or m/s.
REST = 1e-9
# Rounding of positions, divided by the period once for each difference.
_EPSILON = 1e-14


@dataclass(frozen=True, eq=False)
class MotionBounds:
    """What no command may exceed, (A,) each: positions, velocity, acceleration, jerk; infinite where free."""

    joint_names: tuple[str, ...]
    lower: Array
    upper: Array
    velocity: Array
    acceleration: Array
    jerk: Array

    def stop_s(self) -> float:
        """The longest that a brake from full velocity may take, one jerk-limited ramp of acceleration included."""
        finite = np.isfinite(self.velocity)
        ramp = np.where(np.isfinite(self.jerk), self.acceleration / self.jerk, 0.0)
        return float(np.max((self.velocity / self.acceleration + ramp)[finite], initial=0.0))


@dataclass(frozen=True)
class Violation:
    """A limit that a command exceeded: which, of which joint, when, and by how much at its worst."""

    quantity: str
    joint: str
    time_ns: int
    value: float
    limit: float

    def __str__(self) -> str:
        at = f'at {self.time_ns / 1e9:.3f} s'
        return f'{self.quantity} of {self.joint}: {self.value:.4g}, limit {self.limit:.4g}, {at}'


def derivatives(trace: Trace) -> dict[str, tuple[npt.NDArray[np.int64], Array]]:
    """'velocity', 'acceleration', 'jerk' of the commanded positions: times (K,) and values (K, A)."""
    times, values, out = trace.times_ns, trace.positions, {}
    periods = np.diff(times)
    period_s = float(periods[0]) * 1e-9 if len(periods) else 1.0
    if np.any(periods != periods[:1]):
        raise ValueError('a trace needs one period; split it where time was lost')
    for name in ('velocity', 'acceleration', 'jerk'):
        values = np.diff(values, axis=0) / period_s
        times = times[1:]
        out[name] = (times, values)
    return out


def limit_violations(trace: Trace, bounds: MotionBounds) -> list[Violation]:
    """The worst excess of each quantity and joint; empty where everything commanded lies within the bounds."""
    if len(trace.times_ns) < 4:
        return []
    if not np.all(np.isfinite(trace.positions)):
        row, column = np.argwhere(~np.isfinite(trace.positions))[0]
        joint = bounds.joint_names[column]
        return [
            Violation('position', joint, int(trace.times_ns[row]), float('nan'), float(bounds.upper[column]))
        ]
    out = []
    for name, excess, limit in (
        ('position', trace.positions - bounds.upper, bounds.upper),
        ('position', bounds.lower - trace.positions, bounds.lower),
    ):
        out += _worst(
            name, trace.times_ns, trace.positions, excess > POSITION_TOLERANCE, excess, limit, bounds
        )
    period_s = float(trace.times_ns[1] - trace.times_ns[0]) * 1e-9
    for order, (name, (times, values)) in enumerate(derivatives(trace).items(), 1):
        limit = getattr(bounds, name)
        allowed = limit * TOLERANCE + _EPSILON * 2**order / period_s**order
        excess = np.abs(values) - allowed
        out += _worst(name, times, values, excess > 0, excess, limit, bounds)
    # What the controllers claim as velocity is commanded too, where they command velocities.
    excess = np.abs(trace.velocities) - bounds.velocity * TOLERANCE
    return out + _worst(
        'claimed velocity', trace.times_ns, trace.velocities, excess > 0, excess, bounds.velocity, bounds
    )


def peaks(trace: Trace, bounds: MotionBounds) -> dict[str, float]:
    """Largest velocity, acceleration and jerk as shares of their limits; 1 is the limit."""
    out = {}
    for name, (_, values) in derivatives(trace).items():
        share = np.abs(values) / getattr(bounds, name)
        out[name] = float(np.max(share, initial=0.0))
    return out


def rest_since_ns(trace: Trace, until_ns: int) -> int | None:
    """Time from which all joints stand until ``until_ns``; None where something still moves then."""
    inside = trace.times_ns < until_ns
    # A cubic between two knots at rest comes out with rounding, hence the comparison of positions as well.
    moving = np.any(np.abs(trace.velocities[inside]) > REST, axis=1)
    times = trace.times_ns[inside]
    if not len(times) or moving[-1]:
        return None
    last = np.flatnonzero(moving)
    return int(times[last[-1] + 1]) if last.size else int(times[0])


@dataclass(frozen=True)
class Observation:
    """What a run of one fault came to, as fault_node reports it (times in simulated nanoseconds).

    Attributes:
        states: (time, text) of every state heard, the synthetic 'DEAD' of a process that ended included.
        fault_ns, end_ns: begin and end of the fault.
        before, after: the counter of the expectation.
        answers: (what was asked, success, message) of the operator's services, in order.
        recovered: what came of the recovery; empty where it went well.
        rejected: windows that the controllers refused.
        trouble: what the harness could not do, such as starting a node.
    """

    states: Sequence[tuple[int, str]]
    fault_ns: int
    end_ns: int
    before: int
    after: int
    answers: Sequence[tuple[str, bool, str]] = ()
    recovered: str = ''
    rejected: int = 0
    rejection: str = ''
    trouble: str = ''

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> 'Observation':
        """From the JSON of fault_node."""
        keys = dict(data)
        keys['states'] = tuple((int(t), str(s)) for t, s in keys['states'])
        keys['answers'] = tuple((str(a), bool(b), str(c)) for a, b, c in keys['answers'])
        return cls(**keys)

    def state_at(self, stamp_ns: int) -> str:
        """The last state heard up to a time."""
        return next((text for at, text in reversed(self.states) if at <= stamp_ns), '')


@dataclass
class Verdict:
    """One row of the fault matrix; ``problems`` is empty where everything was as specified."""

    fault: str
    arms: str
    expected: str
    observed: str
    counter: str
    before: int
    after: int
    violations: list[str]
    stop_from_detection_s: float | None
    stop_from_fault_s: float | None
    recovery: str
    peaks: dict[str, float]
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """No violation and no other problem."""
        return not self.problems


def judge(
    spec: FaultSpec, arms: str, seen: Observation, trace: Trace, bounds: MotionBounds, reaction_s: float
) -> Verdict:
    """Compare what happened with what had to happen.

    Args:
        reaction_s: time that a stop may take from the state that announces it to the onset of the brake (freeze horizon
            and periods), or, where the commanding process is gone, the window's future.
    """
    observed = seen.state_at(seen.end_ns)
    problems = [seen.trouble] if seen.trouble else []
    violations = [str(v) for v in limit_violations(trace, bounds)]
    problems += violations
    if not re.search(spec.expect.state, observed):
        problems.append(f'state {observed!r} does not match {spec.expect.state!r}')
    if spec.expect.counter and seen.after <= seen.before:
        problems.append(f'counter {spec.expect.counter} stays at {seen.after}, the state was {observed!r}')
    if seen.rejected and not spec.expect.rejects:
        problems.append(f'the controllers refused {seen.rejected} windows, the last: {seen.rejection}')
    detected_ns = _left_run_ns(seen)
    rest_ns = rest_since_ns(trace, seen.end_ns)
    if seen.trouble:
        # Nothing can be said about a stop that was never begun.
        rest_ns = None
    elif spec.stops:
        problems += _stop_problems(
            seen, trace, bounds, reaction_s + spec.expect.slack_s, detected_ns, rest_ns
        )
    elif detected_ns is not None:
        problems.append(f'left RUN for {seen.state_at(detected_ns)!r}, but had to go on')
    if seen.recovered:
        problems.append(seen.recovered)
    stopped = rest_ns is not None and spec.stops and spec.phase == 'run'
    return Verdict(
        fault=spec.name,
        arms=arms,
        expected=spec.expect.state,
        observed=observed,
        counter=spec.expect.counter,
        before=seen.before,
        after=seen.after,
        violations=violations,
        stop_from_detection_s=_seconds(detected_ns, rest_ns) if stopped else None,
        stop_from_fault_s=_seconds(seen.fault_ns, rest_ns) if stopped else None,
        recovery=f'{spec.expect.recovery}: {"FAILED" if seen.recovered else "ok"}',
        peaks=peaks(trace, bounds),
        problems=problems,
    )


def _stop_problems(
    seen: Observation,
    trace: Trace,
    bounds: MotionBounds,
    reaction_s: float,
    detected_ns: int | None,
    rest_ns: int | None,
) -> list[str]:
    if rest_ns is None:
        moving = np.flatnonzero(np.abs(trace.velocities[trace.times_ns < seen.end_ns][-1]) > REST)
        return [f'still moving at the end of the fault: {[bounds.joint_names[i] for i in moving]}']
    if detected_ns is None:
        return []
    late_s = (rest_ns - detected_ns) * 1e-9 - reaction_s - bounds.stop_s()
    return [f'rests {late_s:.3f} s later than limits and reaction allow'] if late_s > 0 else []


def _left_run_ns(seen: Observation) -> int | None:
    """When the nodes first said, after the fault, that the chunks are not followed any more."""
    for at, text in seen.states:
        if text.startswith('DEAD'):
            # Nobody is left to detect it.
            return seen.fault_ns
        if seen.fault_ns <= at <= seen.end_ns and not text.startswith(('RUN', 'SYNC')):
            return at
    return None


def _worst(
    name: str,
    times: npt.NDArray[np.int64],
    values: Array,
    wrong: npt.NDArray[np.bool_],
    excess: Array,
    limit: Array,
    bounds: MotionBounds,
) -> list[Violation]:
    out = []
    for column in np.flatnonzero(wrong.any(axis=0)):
        row = int(np.argmax(excess[:, column]))
        out.append(
            Violation(
                name,
                bounds.joint_names[column],
                int(times[row]),
                float(values[row, column]),
                float(limit[column]),
            )
        )
    return out


def _seconds(from_ns: int | None, to_ns: int | None) -> float | None:
    return None if from_ns is None or to_ns is None else round((to_ns - from_ns) * 1e-9, 4)
