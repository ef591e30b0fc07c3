# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Streams in, one aligned observation out.

The rule of time: t_obs is the oldest of the cameras' newest stamps. Every camera gives the frame nearest to
t_obs, the joints are interpolated at t_obs, vectors give the newest sample at or before it, and the history
stands at t_obs - k * period by the same rule.
Nothing is extrapolated and nothing is filled with zeros: what is missing, old, skewed or from the future is
an error that names the stream, its age and the limit. Only before the first sample (start, or after a pause)
the first one is repeated.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dp_ros.contract import Contract
from dp_ros.errors import MessageError, StaleObservationError
from dp_ros.observation.camera_stream import FrozenWatch, Image, LazyFrame
from dp_ros.observation.joint_streams import JointStreams
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation import Observation
from dp_ros.observation.stream_buffer import Pushed, StreamBuffer

NAME_MAPS = 16
# Nothing that is measured is a year old.
ANOTHER_CLOCK_NS = 365 * 86_400 * 1_000_000_000


class ObservationBuffer:
    """Short memories of all streams of a contract. Pushing and observing may happen in different threads."""

    def __init__(self, contract: Contract, limits: ObservationLimits | None = None) -> None:
        self.contract = contract
        self.limits = limits = limits or ObservationLimits()
        self._names = contract.joint_names
        self._lock = threading.Lock()
        self._counters: Counter[str] = Counter()
        self._first_ns: dict[str, int] = {}
        timing = contract.timing
        horizon = (timing.obs_horizon - 1) * timing.period_ns + limits.max_image_age_ns
        jump = limits.backward_jump_ns
        self._cameras = {
            c.name: StreamBuffer[LazyFrame](horizon + limits.max_camera_skew_ns, jump)
            for c in contract.cameras
        }
        self._vectors = {
            v.name: StreamBuffer[npt.NDArray[np.float32]](horizon + limits.max_image_age_ns, jump)
            for v in contract.vectors
        }
        horizon += limits.max_joint_age_ns + limits.joint_gap_ns
        self._joints = JointStreams(len(contract.joint_names), horizon, jump)
        self._name_maps: dict[tuple[str, ...], tuple[tuple[int, ...], npt.NDArray[np.intp]]] = {}
        self._frozen = {c.name: FrozenWatch() for c in contract.cameras}

    def push_joints(self, stamp_ns: int, names: Sequence[str], positions: npt.ArrayLike) -> None:
        """Store joint positions by name, in any order; unknown names are ignored, missing ones may come
        apart.

        Raises:
            MessageError: if the lengths differ or a position of the contract's joints is not finite. Nothing
                of such a message is stored.
        """
        values = np.asarray(positions, np.float64).reshape(-1)
        if len(values) != len(names):
            self._count('malformed.joints')
            raise MessageError(f'joint state: {len(names)} names, {len(values)} positions')
        joints, places = self._carried(tuple(names))
        used = values[places]
        if not np.isfinite(used).all():
            bad = [names[place] for place in places if not np.isfinite(values[place])]
            self._count('not_finite.joints')
            raise MessageError(
                f'joint state at {stamp_ns} ns: positions of {bad} are not finite; message dropped'
            )
        with self._lock:
            self._counters['joints'] += 1
            self._stored('joints', stamp_ns, lambda: self._joints.push(stamp_ns, joints, used))

    def push_image(self, camera: str, stamp_ns: int, decode: Callable[[], Image]) -> None:
        """Store a frame; ``decode`` returns (Hs, Ws, 3) uint8 RGB and is called at most once, if it is used.

        Raises:
            MessageError: for a camera that the contract does not have.
        """
        if camera not in self._cameras:
            raise MessageError(f'unknown camera {camera!r}; legal: {list(self._cameras)}')
        described = next(c for c in self.contract.cameras if c.name == camera)
        frame = LazyFrame(described, decode)
        with self._lock:
            self._counters[f'images.{camera}'] += 1
            self._stored(camera, stamp_ns, lambda: self._cameras[camera].push(stamp_ns, frame))

    def push_vector(self, name: str, stamp_ns: int, values: npt.ArrayLike) -> None:
        """Store a sample of a vector.

        Raises:
            MessageError: for a vector that the contract does not have, of another length, or not finite.
        """
        if name not in self._vectors:
            raise MessageError(f'unknown vector {name!r}; legal: {list(self._vectors)}')
        row = np.array(values, np.float32).reshape(-1)
        dim = next(v.dim for v in self.contract.vectors if v.name == name)
        if len(row) != dim:
            self._count(f'malformed.{name}')
            raise MessageError(f'vector {name!r}: expected {dim} numbers, got {len(row)}')
        if not np.isfinite(row).all():
            self._count(f'not_finite.{name}')
            raise MessageError(f'vector {name!r} at {stamp_ns} ns: not finite; message dropped')
        with self._lock:
            self._counters[f'vectors.{name}'] += 1
            self._stored(name, stamp_ns, lambda: self._vectors[name].push(stamp_ns, row))

    def newest_observation_ns(self) -> int | None:
        """t_obs of the observation that could be made now, or None while a stream has not begun."""
        with self._lock:
            return self._observation_ns()

    def ages(self, now_ns: int) -> dict[str, int | None]:
        """Age of the newest sample of ``'joints'`` (the oldest joint), of each camera and of each vector;
        None: never seen."""
        with self._lock:
            newest = {'joints': self._joints.newest_ns()}
            newest.update({name: stream.newest_ns for name, stream in self._cameras.items()})
            newest.update({name: stream.newest_ns for name, stream in self._vectors.items()})
        return {name: None if stamp is None else now_ns - stamp for name, stamp in newest.items()}

    @property
    def counters(self) -> dict[str, int]:
        """Messages, duplicates, refusals and clock jumps since the start, by ``kind`` or ``kind.stream``."""
        with self._lock:
            return dict(self._counters)

    @property
    def first_ns(self) -> dict[str, int]:
        """The first stamp that each counter of unusual samples counted."""
        with self._lock:
            return dict(self._first_ns)

    def note_unstamped(self, stream: str, now_ns: int) -> None:
        """Count a sample that came without a stamp, so that its arrival has to stand in."""
        with self._lock:
            self._note(f'unstamped.{stream}', now_ns)

    def clear(self) -> None:
        """Forget all samples, as at a reset or after a jump of the clock. Counters go on."""
        with self._lock:
            self._clear()

    def observe(self, now_ns: int) -> Observation:
        """Assemble the newest observation.

        Args:
            now_ns: ROS time, for the ages.

        Raises:
            StaleObservationError: a stream is silent, stale, skewed, frozen, or from the future, or the
                joints have not reached t_obs yet.
            MessageError: a needed image cannot be decoded; it is dropped and counted.
        """
        try:
            with self._lock:
                stamp_ns = self._checked_observation_ns(now_ns)
                steps = range(self.contract.timing.obs_horizon)
                wanted = [(k, stamp_ns - k * self.contract.timing.period_ns) for k in reversed(steps)]
                ages: dict[str, int] = {}
                proprio = np.array([self._joints_at(k, at, now_ns, ages) for k, at in wanted], np.float32)
                vectors = {
                    name: np.stack([self._vector_at(name, k, at, now_ns, ages) for k, at in wanted])
                    for name in self._vectors
                }
                frames = {
                    name: [self._frame_at(name, k, at, now_ns, ages) for k, at in wanted]
                    for name in self._cameras
                }
            images = {name: self._decoded(name, chosen) for name, chosen in frames.items()}
        except StaleObservationError:
            self._count('refused_observations')
            raise
        for values in (proprio, *vectors.values()):
            values.setflags(write=False)
        self._count('observations')
        return Observation(stamp_ns, proprio, images, ages, vectors)

    def _carried(self, names: tuple[str, ...]) -> tuple[tuple[int, ...], npt.NDArray[np.intp]]:
        """Which joints of the contract a message carries, in their order, and their places in it."""
        found = self._name_maps.get(names)
        if found is None:
            if len(self._name_maps) >= NAME_MAPS:  # somebody shuffles the names of every message
                self._name_maps.clear()
            place = {name: i for i, name in enumerate(names)}
            joints = tuple(j for j, name in enumerate(self._names) if name in place)
            places = [place[self._names[j]] for j in joints]
            found = self._name_maps[names] = (joints, np.array(places, np.intp))
        return found

    def _note(self, counter: str, stamp_ns: int) -> None:
        self._counters[counter] += 1
        self._first_ns.setdefault(counter, stamp_ns)

    def _stored(self, stream: str, stamp_ns: int, push: Callable[[], Pushed]) -> None:
        outcome = push()
        if outcome is Pushed.BACKWARD_JUMP:
            self._note('clock_jumps', stamp_ns)
            self._clear()
            push()
        elif outcome is not Pushed.NEWEST:
            self._note(f'{outcome.name.lower()}.{stream}', stamp_ns)

    def _clear(self) -> None:
        for camera in self._cameras.values():
            camera.clear()
        for vector in self._vectors.values():
            vector.clear()
        self._joints.clear()
        self._frozen = {name: FrozenWatch() for name in self._frozen}

    def _count(self, name: str) -> None:
        with self._lock:
            self._counters[name] += 1

    def _observation_ns(self) -> int | None:
        if not self._cameras:
            return self._joints.newest_ns()
        return _oldest([stream.newest_ns for stream in self._cameras.values()])

    def _checked_observation_ns(self, now_ns: int) -> int:
        limits, names = self.limits, self._names
        streams: list[tuple[str, StreamBuffer[Any], int]] = [
            (f'camera {name!r}', stream, limits.max_image_age_ns) for name, stream in self._cameras.items()
        ]
        streams += [
            (f'vector {name!r}', stream, limits.max_image_age_ns) for name, stream in self._vectors.items()
        ]
        silent = [what for what, stream, _ in streams if not len(stream)]
        silent_joints = sorted(j for group in self._joints if not len(group.stream) for j in group.joints)
        silent += [f'joint {names[j]!r}' for j in silent_joints]
        stamp_ns = self._observation_ns()
        if silent or stamp_ns is None:
            raise StaleObservationError(f'nothing received yet from {", ".join(silent)}')
        joints = [(f'joint {names[group.joints[0]]!r}', group.stream) for group in self._joints]
        for what, stream, limit in (*streams, *((*joint, limits.max_joint_age_ns) for joint in joints)):
            age = now_ns - (stream.newest_ns or 0)
            if age > limit:
                hung = f'; {stream.repeats} messages repeated its stamp' if stream.repeats else ''
                if age > ANOTHER_CLOCK_NS:
                    hung += '; is one of the two a simulated time (use_sim_time)?'
                raise StaleObservationError(f'{what}: newest is {_ms(age)} old, limit {_ms(limit)}{hung}')
            if -age > limits.max_future_ns:
                raise StaleObservationError(
                    f'{what}: stamped {_ms(-age)} in the future, limit {_ms(limits.max_future_ns)}; '
                    'are the clocks synchronised?'
                )
        for what, stream in joints:
            behind = stamp_ns - (stream.newest_ns or 0)
            if behind > 0:
                raise StaleObservationError(
                    f'{what}: not yet at t_obs, newest is {_ms(now_ns - stamp_ns + behind)} old, '
                    f'limit {_ms(now_ns - stamp_ns)}'
                )
        return stamp_ns

    def _joints_at(self, k: int, at_ns: int, now_ns: int, ages: dict[str, int]) -> npt.NDArray[np.float64]:
        out, oldest_used = np.empty(len(self._names)), now_ns
        for group in self._joints:
            used = max(at_ns, group.stream.oldest_ns or 0)
            pair = group.stream.bracket(used)
            assert pair is not None
            (before_ns, before), (after_ns, after) = pair
            # At t_obs itself a stream that has only just begun may not stand in for the past either.
            gap = after_ns - before_ns if k else max(after_ns - before_ns, used - at_ns)
            if gap > self.limits.joint_gap_ns:
                name = self._names[group.joints[0]]
                raise StaleObservationError(
                    f'joint {name!r}: {_ms(gap)} without a sample, limit {_ms(self.limits.joint_gap_ns)}'
                )
            share = (used - before_ns) / (after_ns - before_ns) if after_ns > before_ns else 0.0
            out[list(group.joints)] = before + share * (after - before)
            oldest_used = min(oldest_used, used)
        ages[_key('joints', k)] = now_ns - oldest_used
        return out

    def _vector_at(
        self, name: str, k: int, at_ns: int, now_ns: int, ages: dict[str, int]
    ) -> npt.NDArray[np.float32]:
        stream, limit = self._vectors[name], self.limits.max_image_age_ns
        found = stream.held(max(at_ns, stream.oldest_ns or 0) if k else at_ns)
        if found is None or at_ns - found[0] > limit:
            off = at_ns - found[0] if found else (stream.oldest_ns or 0) - at_ns
            where = 'before' if found else 'after'
            raise StaleObservationError(
                f'vector {name!r}: no sample at the wanted time (t_obs - {k} periods), the nearest one is '
                f'{_ms(off)} {where} it, limit {_ms(limit)} before'
            )
        ages[_key(name, k)] = now_ns - found[0]
        return found[1]

    def _frame_at(
        self, name: str, k: int, at_ns: int, now_ns: int, ages: dict[str, int]
    ) -> tuple[int, LazyFrame]:
        stream, limit = self._cameras[name], self.limits.max_camera_skew_ns
        found = stream.nearest(max(at_ns, stream.oldest_ns or 0) if k else at_ns, limit)
        if found is None:
            nearest = stream.nearest(at_ns, 2**62)
            assert nearest is not None
            raise StaleObservationError(
                f'camera {name!r}: nearest image is {_ms(abs(nearest[0] - at_ns))} off the wanted time '
                f'(t_obs - {k} periods), limit {_ms(limit)}'
            )
        ages[_key(name, k)] = now_ns - found[0]
        return found

    def _decoded(self, name: str, chosen: list[tuple[int, LazyFrame]]) -> Image:
        pixels = []
        for stamp_ns, frame in chosen:
            try:
                pixels.append(frame.pixels())
            except MessageError as error:
                with self._lock:
                    self._counters[f'undecodable.{name}'] += 1
                    self._cameras[name].discard(stamp_ns)
                raise MessageError(f'camera {name!r}, image at {stamp_ns} ns: {error}') from error
        limit = self.limits.frozen_camera_ns
        unchanged = self._frozen[name].unchanged_ns(chosen[-1][0], pixels[-1]) if limit else 0
        if unchanged > limit:
            raise StaleObservationError(
                f'camera {name!r}: frozen, the pixels have not changed for {_ms(unchanged)}, '
                f'limit {_ms(limit)}'
            )
        stacked = np.stack(pixels) if len(pixels) > 1 else pixels[0][None]
        stacked.setflags(write=False)
        return stacked


def _oldest(stamps: list[int | None]) -> int | None:
    known = [stamp for stamp in stamps if stamp is not None]
    return min(known) if len(known) == len(stamps) else None


def _key(stream: str, k: int) -> str:
    return f'{stream}[{k}]' if k else stream


def _ms(duration_ns: int) -> str:
    return f'{duration_ns / 1e6:.0f} ms'
