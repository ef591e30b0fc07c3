# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What reaches the controllers in ``dp_ros bench motion``: our windows, and the messages of other stacks.

One intended motion, a policy that sends a chunk of it ten times a second, and a recipe that makes messages of the
chunks. The messages then cross a transport that delays each one at random but, as DDS does, keeps their order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt

from dp_ros.action.chunk import ActionChunk
from dp_ros.action.limits import MotionLimits
from dp_ros.action.plan import CommittedPlan
from dp_ros.action.window import Window
from dp_ros.errors import ConfigError

Array = npt.NDArray[np.float64]
MS = 1_000_000
START_NS = 10_000 * MS
JOINTS = ('shoulder', 'elbow')
# Each joint of an arm swings with this amplitude (rad) and frequency (Hz). It starts at rest, eased in, and only when
# the first chunks have been committed.
SWING = np.array([[0.5, 0.4], [0.25, 0.5]])
MOTION_NS = START_NS + 400 * MS
EASE_S = 2.5


@dataclass(frozen=True)
class Setting:
    """Times in nanoseconds, limits per joint; ``future_ns`` and ``freeze_ns`` are sized for the transport below.

    ``freeze_ns`` is the publish period, both ends of its jitter, the longest delay, and one control period. The jerk
    limit is the one that a binding gets by default: twice the acceleration within one point.
    """

    duration_ns: int = 6_000 * MS
    control_ns: int = 2 * MS
    publish_ns: int = 20 * MS
    replan_ns: int = 100 * MS
    row_ns: int = 20 * MS
    rows: int = 64
    inference_ns: int = 60 * MS
    point_ns: int = 20 * MS
    past_ns: int = 40 * MS
    future_ns: int = 160 * MS
    freeze_ns: int = 80 * MS
    lag_ns: int = 50 * MS
    velocity: float = 2.5
    acceleration: float = 6.0
    jerk: float = 600.0

    def limits(self, width: int) -> MotionLimits:
        """The same for every column."""
        return MotionLimits.of(width, velocity=self.velocity, acceleration=self.acceleration, jerk=self.jerk)

    def ticks(self) -> npt.NDArray[np.int64]:
        """(N,) times at which the controllers update."""
        return START_NS + np.arange(0, self.duration_ns, self.control_ns, dtype=np.int64)


@dataclass(frozen=True)
class Transport:
    """Delays drawn evenly from 0 to ``delay_ns``, publish times moved by up to ``jitter_ns`` either way."""

    name: str
    delay_ns: int = 0
    jitter_ns: int = 0

    def published(self, rng: np.random.Generator, start_ns: int, stop_ns: int, period_ns: int) -> list[int]:
        """Publish times of a timer, each off its own grid point."""
        grid = np.arange(start_ns, stop_ns, period_ns, dtype=np.int64)
        return [int(t) for t in grid + rng.integers(-self.jitter_ns, self.jitter_ns + 1, len(grid))]

    def arrivals(self, rng: np.random.Generator, published: list[int]) -> list[int]:
        """Times of receipt, in the order of sending."""
        times = np.array(published, np.int64) + rng.integers(0, self.delay_ns + 1, len(published))
        return [int(t) for t in np.maximum.accumulate(times)]


EXACT = Transport('none')
ROUGH = Transport('0-30 ms, jitter 10 ms', 30 * MS, 10 * MS)


@dataclass(frozen=True, eq=False)
class Message:
    """A trajectory for one arm: (N,) times since the stamp, (N, J) points."""

    stamp_ns: int
    times_ns: npt.NDArray[np.int64]
    positions: Array
    velocities: Array | None = None


@dataclass(frozen=True, eq=False)
class Seam:
    """A commitment: what was committed before, after, and from which knot on they may differ."""

    old: CommittedPlan
    new: CommittedPlan
    knot_ns: int
    asked: Array


@dataclass(frozen=True, eq=False)
class Stream:
    """All messages of one run, and the curve that they mean.

    Attributes:
        arms: for each arm, pairs of (time of receipt, message) in order.
        curve: position, velocity and acceleration (N, width) at (N,) times; the committed plan for our windows, and
            the intended motion for the recipes that commit to nothing.
        seams: of the committed plan.
        last_ns: when the last message was published.
    """

    arms: list[list[tuple[int, Message]]]
    curve: Callable[[npt.NDArray[np.int64]], tuple[Array, Array, Array]]
    seams: list[Seam] = field(default_factory=list)
    last_ns: int = 0


@dataclass(frozen=True)
class Disturbance:
    """What else goes wrong. ``disagree`` is the distance (rad) between any two consecutive chunks.

    The publisher is silent in [quiet_ns, back_ns); ``resync``: whether it then starts from where its last window's
    brake has led, or goes on with its old curve. ``tail``: whether windows end at rest by a brake.
    """

    disagree: float = 0.0
    quiet_ns: int | None = None
    back_ns: int | None = None
    resync: bool = True
    tail: str = 'brake'

    def silent(self, at_ns: int) -> bool:
        """Whether nothing is sent at this time."""
        if self.quiet_ns is None or at_ns < self.quiet_ns:
            return False
        return self.back_ns is None or at_ns < self.back_ns


def intended(at_ns: int | npt.NDArray[np.int64], width: int) -> tuple[Array, Array, Array]:
    """Position, velocity and acceleration (..., width) of the motion that the policy wants; arms move alike."""
    t = np.maximum(np.asarray(at_ns, np.float64) - MOTION_NS, 0.0)[..., None] * 1e-9
    amplitude = np.tile(SWING[:, 0], width // len(JOINTS))
    omega = np.tile(2.0 * np.pi * SWING[:, 1], width // len(JOINTS))
    u = np.clip(t / EASE_S, 0.0, 1.0)
    e0 = u**3 * (10.0 - 15.0 * u + 6.0 * u**2)
    e1 = 30.0 * u**2 * (1.0 - u) ** 2 / EASE_S
    e2 = 60.0 * u * (1.0 - u) * (1.0 - 2.0 * u) / EASE_S**2
    s, c = np.sin(omega * t), np.cos(omega * t)
    return (
        amplitude * e0 * s,
        amplitude * (e1 * s + e0 * omega * c),
        amplitude * (e2 * s + 2.0 * e1 * omega * c - e0 * omega**2 * s),
    )


def window_stream(
    setting: Setting, transport: Transport, arms: int, seed: int, fault: Disturbance, velocities: bool = True
) -> Stream:
    """Our windows: one plan for all arms, one stamp, each arm's topic with delays of its own.

    Raises:
        ConfigError: an unknown kind of tail.
    """
    if fault.tail not in ('brake', 'none', 'zero'):
        raise ConfigError(f"tail must be 'brake', 'none' or 'zero', got {fault.tail!r}")
    rng = np.random.default_rng(seed)
    width = arms * len(JOINTS)
    names = tuple(f'{arm}_{joint}' for arm in range(arms) for joint in JOINTS)
    plan = CommittedPlan.hold(intended(START_NS, width)[0], START_NS, setting.point_ns, setting.limits(width))
    stop = START_NS + setting.duration_ns
    # The first windows hold the start, so that the controllers have one before anything moves.
    published = transport.published(rng, START_NS + setting.publish_ns, stop, setting.publish_ns)
    first = START_NS + setting.replan_ns
    events = [(t, 'publish', 0) for t in published if not fault.silent(t)]
    for k, observed in enumerate(range(first, stop, setting.replan_ns)):
        # A chunk travels like everything else.
        commit = observed + setting.inference_ns + int(rng.integers(0, transport.delay_ns + 1))
        if not fault.silent(commit):
            events.append((commit, 'commit', k))
    log: list[tuple[int, CommittedPlan]] = [(0, plan)]
    seams: list[Seam] = []
    sent: list[tuple[int, Window]] = []
    for now, what, k in sorted(events):
        if sent and now - sent[-1][0] > setting.future_ns and fault.resync:
            # Nobody heard of the plan after the last window's future: the controllers braked from there.
            plan = plan.braked(sent[-1][0] + setting.future_ns)
            log.append((sent[-1][0], plan))
        if what == 'commit':
            joined = plan.joined(_chunk(setting, names, first, k, fault.disagree), now, setting.freeze_ns)
            knot = -(-(now + setting.freeze_ns) // setting.point_ns) * setting.point_ns
            seams.append(Seam(plan, joined.plan, knot, joined.seam))
            plan = joined.plan
            log.append((now, plan))
        else:
            sent.append((now, plan.window(now, setting.past_ns, setting.future_ns)))
    if fault.quiet_ns is not None and fault.back_ns is None:
        log.append((sent[-1][0], plan.braked(sent[-1][0] + setting.future_ns)))
    stamps = np.array([stamp for stamp, _ in log])

    @cache
    def curve_at(at_ns: int) -> tuple[Array, Array, Array]:
        current = log[int(np.searchsorted(stamps, at_ns, side='right')) - 1][1]
        return *current.sample(at_ns), current.acceleration(at_ns)

    def curve(at_ns: npt.NDArray[np.int64]) -> tuple[Array, Array, Array]:
        p, v, a = zip(*(curve_at(int(t)) for t in at_ns), strict=True)
        return np.array(p), np.array(v), np.array(a)

    streams = []
    for arm in range(arms):
        columns = slice(arm * len(JOINTS), (arm + 1) * len(JOINTS))
        messages = [_of_window(w.for_arm(columns), now, setting, fault.tail, velocities) for now, w in sent]
        streams.append(list(zip(transport.arrivals(rng, [t for t, _ in sent]), messages, strict=True)))
    return Stream(streams, curve, seams, sent[-1][0])


def recipe_stream(
    setting: Setting,
    transport: Transport,
    arms: int,
    seed: int,
    fault: Disturbance,
    period_ns: int,
    make: Callable[[Setting, Array, Array], Message],
) -> Stream:
    """What other stacks send: each message is made from the chunk of its moment and nothing that went before.

    ``make`` gets the rows (R, J) of positions and velocities, the first one in force at the time of publishing.
    """
    rng = np.random.default_rng(seed)
    width = arms * len(JOINTS)
    stop = START_NS + setting.duration_ns
    published = [
        t
        for t in transport.published(rng, START_NS + setting.publish_ns, stop, period_ns)
        if not fault.silent(t)
    ]
    streams = []
    for _ in range(arms):
        messages = []
        for k, now in enumerate(published):
            rows = now + np.arange(setting.rows, dtype=np.int64) * setting.row_ns
            p, v, _ = intended(rows, len(JOINTS))
            messages.append(make(setting, p + _offset(fault.disagree, k), v))
        streams.append(list(zip(transport.arrivals(rng, published), messages, strict=True)))
    return Stream(streams, lambda at_ns: intended(at_ns, width), [], published[-1])


def _offset(disagree: float, k: int) -> float:
    return 0.5 * disagree * (-1.0) ** k


def _chunk(setting: Setting, names: tuple[str, ...], first: int, k: int, disagree: float) -> ActionChunk:
    stamp = first + k * setting.replan_ns
    rows = stamp + np.arange(setting.rows, dtype=np.int64) * setting.row_ns
    positions = intended(rows, len(names))[0] + _offset(disagree, k)
    return ActionChunk(stamp, setting.row_ns, names, positions, seq=k)


def _of_window(window: Window, now_ns: int, setting: Setting, tail: str, velocities: bool) -> Message:
    """The message of a window; ``tail`` 'none' ends it with its future, 'zero' also sets the last velocity to 0."""
    count = len(window.times_ns)
    if tail != 'brake':
        future = -(-(now_ns + setting.future_ns) // setting.point_ns) * setting.point_ns
        count = int(np.searchsorted(window.stamp_ns + window.times_ns, future, side='right'))
    v = window.velocities[:count].copy()
    if tail == 'zero':
        v[-1] = 0.0
    return Message(
        window.stamp_ns, window.times_ns[:count], window.positions[:count], v if velocities else None
    )
