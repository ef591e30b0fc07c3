# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Does a bag hold what a contract needs, where a binding says it is? From an index and a few messages of each topic."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from dp_ros.bags.reader import Bag
from dp_ros.bags.time_statistics import TimeStatistics
from dp_ros.bags.topics import locate
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding, CameraBinding
from dp_ros.contract.binding_actions import (
    ARRAY,
    JOINT_STATE,
    POSE,
    TRAJECTORY,
    ActionSourceBinding,
)
from dp_ros.contract.camera import Camera
from dp_ros.errors import BagError, MessageError
from dp_ros.messages.image import decode_image
from dp_ros.messages.joint_state import decode_joint_state
from dp_ros.messages.pose import decode_pose
from dp_ros.messages.sequences import read
from dp_ros.messages.trajectory import decode_trajectory
from dp_ros.observation.limits import ObservationLimits

# Messages of a topic that are looked at: enough for drivers that publish each arm by itself.
LOOKED_AT = 40
# A rate that is lower by less is that rate.
SLACK = 0.95


@dataclass
class FieldFit:
    """One topic and what it carries.

    Attributes:
        name: 'joints', 'camera NAME', 'vector NAME' or 'command'.
        topic: in the bag.
        found: what its messages hold, in words.
        problems: why the bag does not fit.
        notes: what is worth knowing all the same.
    """

    name: str
    topic: str
    found: str = ''
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def bag_fit(
    bag: Bag,
    contract: Contract,
    binding: Binding,
    times: Mapping[str, TimeStatistics],
    namespace: str = '',
    limits: ObservationLimits | None = None,
) -> list[FieldFit]:
    """Each topic of the binding that the contract needs, in the bag.

    Args:
        bag: an open bag.
        contract: what is needed.
        binding: which topics carry it; how it differs from the contract by itself is another question.
        times: of the bag's topics.
        namespace: of the binding's relative topics.
        limits: when the live node refuses an observation.
    """
    look = _Look(bag, contract, binding, times, namespace, limits or ObservationLimits())
    return [*look.joints(), *look.cameras(), *look.vectors(), *look.commands()]


class _Look:
    def __init__(
        self,
        bag: Bag,
        contract: Contract,
        binding: Binding,
        times: Mapping[str, TimeStatistics],
        namespace: str,
        limits: ObservationLimits,
    ) -> None:
        self._bag, self._contract, self._binding = bag, contract, binding
        self._times, self._namespace, self._limits = times, namespace, limits
        self._wanted = set(contract.joint_names)

    def joints(self) -> Iterator[FieldFit]:
        """What is measured of the joints."""
        seen: set[str] = set()
        rows = []
        for state in self._binding.joint_states:
            row = self._row('joints', state.topic, JOINT_STATE)
            names = self._named(row, lambda m: _finite(*decode_joint_state(m)[1:]))
            rows.append(self._tell_names(row, names))
            seen |= names
        for pose in self._binding.pose_states:
            if self._wanted.isdisjoint(pose.columns):
                continue
            row = self._row('joints', pose.topic, POSE)

            def columns(
                message: Any, frame: str = pose.frame_id, names: tuple[str, ...] = pose.columns
            ) -> set[str]:
                decode_pose(message, frame)
                return set(names)

            names = self._named(row, columns)
            rows.append(self._tell_names(row, names))
            seen |= names
        for row in rows:
            self._check_rate(row, self._limits.joint_gap_ns)
        yield from rows
        yield from self._missing('joints', seen, 'measured')

    def cameras(self) -> Iterator[FieldFit]:
        """Images: the first and the last one of each camera."""
        for camera in self._contract.cameras:
            bound = self._binding.cameras.get(camera.name)
            if bound is None:
                yield FieldFit(f'camera {camera.name}', '', problems=['no topic in the binding'])
                continue
            row = self._row(f'camera {camera.name}', bound.topic, bound.type)
            if not row.problems:
                self._tell_images(row, camera, bound)
                limit = self._limits.max_image_age_ns
                if self._contract.timing.obs_horizon > 1:
                    limit = min(limit, 2 * self._limits.max_camera_skew_ns)
                self._check_rate(row, limit)
            yield row

    def vectors(self) -> Iterator[FieldFit]:
        """Further vectors: their lengths."""
        for vector in self._contract.vectors:
            bound = self._binding.vectors.get(vector.name)
            if bound is None:
                yield FieldFit(f'vector {vector.name}', '', problems=['no topic in the binding'])
                continue
            row = self._row(f'vector {vector.name}', bound.topic, bound.type)
            for message in self._decoded(row):
                dim = len(read(message.data, np.float64))
                row.found = f'{dim} numbers'
                if dim != vector.dim:
                    row.problems.append(f'{dim} numbers, the contract has {vector.dim}')
                    break
            self._check_rate(row, self._limits.max_image_age_ns)
            yield row

    def commands(self) -> Iterator[FieldFit]:
        """What was commanded."""
        seen: set[str] = set()
        for source in self._binding.action_sources():
            if source.joints and self._wanted.isdisjoint(source.joints):
                continue
            row = self._row('command', source.topic, source.type)
            names = self._named(row, lambda m, s=source: _commanded(s, m))  # type: ignore[misc]
            yield self._tell_names(row, names)
            seen |= names
        yield from self._missing('command', seen, 'commanded')

    def _row(self, name: str, topic: str, kind: str) -> FieldFit:
        place = locate(self._bag, topic, kind, self._namespace)
        row = FieldFit(name, place.topic)
        if place.problem:
            row.problems.append(place.problem)
        elif not self._bag.topics[place.topic].count:
            row.problems.append('no message')
        return row

    def _decoded(self, row: FieldFit, start_ns: int | None = None) -> Iterator[Any]:
        """The first messages of a topic that has none but good ones; the first bad one is a problem."""
        if row.problems:
            return
        for message in islice(self._bag.messages([row.topic], start_ns), LOOKED_AT):
            try:
                yield message.decode()
            except BagError as error:
                row.problems.append(str(error))
                return

    def _named(self, row: FieldFit, names_of: Callable[[Any], set[str]]) -> set[str]:
        """All joints that the first messages carry."""
        names: set[str] = set()
        for message in self._decoded(row):
            try:
                names |= names_of(message)
            except MessageError as error:
                row.problems.append(str(error))
                break
        return names

    def _tell_names(self, row: FieldFit, names: set[str]) -> FieldFit:
        ours, others = names & self._wanted, sorted(names - self._wanted)
        if names:
            row.found = f'{len(ours)} of {len(self._wanted)} joints'
        if others:
            row.notes.append(f'further joints: {", ".join(others)}')
        if names and not ours:
            row.notes.append('carries none of the joints of the contract')
        return row

    def _missing(self, name: str, seen: set[str], what: str) -> Iterator[FieldFit]:
        missing = [joint for joint in self._contract.joint_names if joint not in seen]
        if missing:
            yield FieldFit(name, '', problems=[f'never {what}: {", ".join(missing)}'])

    def _tell_images(self, row: FieldFit, camera: Camera, bound: CameraBinding) -> None:
        last = self._times[row.topic].last_ns if row.topic in self._times else None
        kinds = []
        for start_ns in (None, last):
            message = next(self._decoded(row, start_ns), None)
            if message is None:
                continue
            how = str(message.format if hasattr(message, 'format') else message.encoding)
            try:
                height, width = decode_image(message, bound.depth_m).shape[:2]
            except MessageError as error:
                row.problems.append(str(error))
                return
            kinds.append(f'{width}x{height} {how}')
            if (height, width) != camera.source_size:
                wide = f'{camera.source_size[1]}x{camera.source_size[0]}'
                row.problems.append(f'images of {width}x{height}, the contract has {wide}')
        row.found = ', later '.join(dict.fromkeys(kinds))
        if len(set(kinds)) > 1:
            row.problems.append(f'the images change: {row.found}')
        row.problems = list(dict.fromkeys(row.problems))

    def _check_rate(self, row: FieldFit, longest_ns: int) -> None:
        """Each tick wants something new, and no gap may be longer than the live node bridges."""
        times = self._times.get(row.topic)
        if row.problems or times is None or not times.gaps:
            return
        timing = self._contract.timing
        # The usual gap: recordings pause.
        usual_hz = 1e9 / max(1.0, times.gap_ns(0.5))
        period_hz, tick_hz = 1e9 / timing.period_ns, 1e9 / timing.tick_ns
        if usual_hz < SLACK * tick_hz:
            row.problems.append(f'{usual_hz:.3g} Hz, less than the {tick_hz:.3g} Hz of ticks')
        elif usual_hz < SLACK * period_hz:
            row.notes.append(f'{usual_hz:.3g} Hz, less than the {period_hz:.3g} Hz of the period')
        if times.gap_ns(0.5) > longest_ns:
            row.problems.append(
                f'usually {times.gap_ns(0.5) / 1e6:.0f} ms apart, at most {longest_ns / 1e6:.0f} ms are bridged'
            )
        elif times.gap_ns(0.99) > longest_ns:
            row.notes.append(f'gaps of more than {longest_ns / 1e6:.0f} ms, which are not bridged')


def _finite(names: tuple[str, ...], positions: Any) -> set[str]:
    return {name for name, position in zip(names, positions, strict=True) if np.isfinite(position)}


def _commanded(source: ActionSourceBinding, message: Any) -> set[str]:
    """Which columns a command is for."""
    if source.type == TRAJECTORY:
        return set(decode_trajectory(message).joint_names)
    if source.type == JOINT_STATE:
        names = decode_joint_state(message)[1]
        return {source.names[n] for n in names if n in source.names} if source.names else set(names)
    if source.type == ARRAY:
        count = len(read(message.data, np.float64))
        if count != len(source.joints):
            raise MessageError(f'{count} values for {len(source.joints)} joints')
    else:
        decode_pose(message, source.frame_id)
    return set(source.joints)
