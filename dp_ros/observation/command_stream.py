# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What was commanded, from the messages of a site's command topics: a curve for every joint of a contract."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dp_ros.contract import Contract
from dp_ros.contract.binding_actions import ARRAY, JOINT_STATE, TRAJECTORY, ActionSourceBinding
from dp_ros.errors import MessageError
from dp_ros.messages.joint_state import decode_joint_state
from dp_ros.messages.pose import decode_pose
from dp_ros.messages.sequences import read
from dp_ros.messages.trajectory import decode_trajectory
from dp_ros.observation.set_points import SetPoints
from dp_ros.observation.trajectory_curve import TrajectoryCurve

Array = npt.NDArray[np.float64]


class CommandStream:
    """The recorded command as a function of time.

    Trajectories are what a controller makes of them: at each time the newest message that had arrived counts (see
    :class:`TrajectoryCurve`). Single commands are joined by lines between their header stamps, those of
    Float64MultiArray between their log times. A stamp of zero stands for the log time. Ends are held.

    Args:
        contract: whose joints are asked for; others are ignored.
        sources: see :meth:`dp_ros.contract.binding.Binding.action_sources`; those without a joint of the contract
            are left out.

    Attributes:
        topics: (topic, type) of the sources, with topics as in the binding.
    """

    def __init__(self, contract: Contract, sources: Sequence[ActionSourceBinding]) -> None:
        self._columns = {name: i for i, name in enumerate(contract.joint_names)}
        self._sources = {
            s.topic: s for s in sources if not s.joints or not self._columns.keys().isdisjoint(s.joints)
        }
        self.topics = tuple((s.topic, s.type) for s in self._sources.values())
        self._curves: dict[str, TrajectoryCurve] = {}
        self._points: dict[str, SetPoints] = {}
        self._owner: dict[str, str] = {}
        self._arrivals: dict[str, int] = {}

    def put(self, topic: str, message: Any, log_ns: int) -> None:
        """Take a message.

        Args:
            topic: one of ``topics``.
            message: the message.
            log_ns: when it arrived; of one topic in their order.

        Raises:
            MessageError: it is malformed, not finite, or has joints that another topic commands. Nothing of it counts.
        """
        source = self._sources.get(topic)
        if source is None:
            raise MessageError(f'{topic!r} is no command topic; legal: {list(self._sources)}')
        try:
            if source.type == TRAJECTORY:
                self._put_trajectory(source, message, log_ns)
            else:
                self._put_values(source, *_values(source, message, log_ns))
        except MessageError as error:
            raise MessageError(f'command on {topic}: {error}') from error

    def sample(self, times_ns: npt.ArrayLike) -> tuple[Array, npt.NDArray[np.bool_]]:
        """The command at some times.

        Args:
            times_ns: (n,) times, in any order.

        Returns:
            Positions (n, A) in the contract's order, NaN for joints that were never commanded; and (n,) whether
            every joint had been commanded by then.
        """
        times = np.asarray(times_ns, np.int64)
        out = np.full((len(times), len(self._columns)), np.nan)
        for curve in self._curves.values():
            out[:, [self._columns[name] for name in curve.joint_names]] = curve.sample(times)
        for name, points in self._points.items():
            out[:, self._columns[name]] = points.sample(times)
        first = self.first_ns
        return out, np.zeros(len(times), bool) if first is None else times >= first

    @property
    def missing(self) -> tuple[str, ...]:
        """Joints of the contract that were never commanded."""
        return tuple(name for name in self._columns if name not in self._owner)

    @property
    def first_ns(self) -> int | None:
        """From when on every joint has a command; None while one never had any."""
        if self.missing:
            return None
        begins = [c.first_ns for c in self._curves.values()] + [p.first_ns for p in self._points.values()]
        return max((begin for begin in begins if begin is not None), default=None)

    @property
    def last_ns(self) -> int | None:
        """When the last command ends: the last stamp, or the end of the last trajectory; None before the first."""
        ends = [c.end_ns for c in self._curves.values()] + [p.end_ns for p in self._points.values()]
        return max(ends, default=None)

    def known_until(self, time_ns: int) -> int | None:
        """Up to when what was commanded does not depend on what came later than some time; None before the first.

        Single commands are joined by lines: behind the last one before that time, they lead to the next one.
        """
        out = time_ns
        for points in self._points.values():
            last = points.last_before(time_ns)
            if last is None:
                return None
            out = min(out, last)
        return out

    def _put_trajectory(self, source: ActionSourceBinding, message: Any, log_ns: int) -> None:
        trajectory = decode_trajectory(message)
        names = tuple(name for name in self._columns if name in trajectory.joint_names)
        curve = self._curves.get(source.topic)
        if len(set(trajectory.joint_names)) != len(trajectory.joint_names):
            raise MessageError(f'joints stand twice in {trajectory.joint_names}')
        if not names or (curve and curve.joint_names != names):
            expected = curve.joint_names if curve else tuple(self._columns)
            raise MessageError(f'it has the joints {trajectory.joint_names}, expected {expected}')
        if not len(trajectory.times_ns) or np.any(np.diff(trajectory.times_ns) <= 0):
            raise MessageError(
                f'its points must have increasing times, got {trajectory.times_ns.tolist()} ns'
            )
        for values in (trajectory.positions, trajectory.velocities, trajectory.accelerations):
            if values is not None and not np.all(np.isfinite(values)):
                raise MessageError('its points are not all finite')
        end_ns = (trajectory.stamp_ns or log_ns) + int(trajectory.times_ns[-1])
        if end_ns < log_ns:
            raise MessageError(
                f'it ended {(log_ns - end_ns) / 1e6:.0f} ms before it arrived: controllers refuse that'
            )
        if log_ns < self._arrivals.get(source.topic, log_ns):
            raise MessageError(f'it arrived at {log_ns} ns, before the one in front of it')
        self._own(source.topic, names)
        if curve is None:
            curve = self._curves[source.topic] = TrajectoryCurve(names)
        self._arrivals[source.topic] = log_ns
        curve.put(trajectory, log_ns)

    def _put_values(
        self, source: ActionSourceBinding, stamp_ns: int, names: Sequence[str], values: Array
    ) -> None:
        row = values.tolist()
        wanted = [(name, row[i]) for i, name in enumerate(names) if name in self._columns]
        if not wanted:
            raise MessageError(f'it has the joints {tuple(names)}, expected some of {tuple(self._columns)}')
        bad = [name for name, value in wanted if not math.isfinite(value)]
        if bad:
            raise MessageError(f'positions of {bad} at {stamp_ns} ns are not finite')
        self._own(source.topic, [name for name, _ in wanted])
        for name, value in wanted:
            self._points.setdefault(name, SetPoints()).put(stamp_ns, value)

    def _own(self, topic: str, names: Sequence[str]) -> None:
        """No joint has two masters."""
        taken = {name: self._owner[name] for name in names if self._owner.get(name, topic) != topic}
        if taken:
            raise MessageError(f'joints are commanded by another topic already: {taken}')
        self._owner.update(dict.fromkeys(names, topic))


def _values(source: ActionSourceBinding, message: Any, log_ns: int) -> tuple[int, Sequence[str], Array]:
    """Stamp, columns and values of a single command."""
    if source.type == ARRAY:
        values = read(message.data, np.float64)
        if len(values) != len(source.joints):
            raise MessageError(f'it has {len(values)} values for the joints {source.joints}')
        return log_ns, source.joints, values
    if source.type == JOINT_STATE:
        stamp_ns, names, positions = decode_joint_state(message)
        if source.names:
            found = [(source.names[n], i) for i, n in enumerate(names) if n in source.names]
            names, positions = tuple(n for n, _ in found), positions[[i for _, i in found]]
        return stamp_ns or log_ns, names, positions
    stamp_ns, row = decode_pose(message, source.frame_id)
    return stamp_ns or log_ns, source.joints, row
