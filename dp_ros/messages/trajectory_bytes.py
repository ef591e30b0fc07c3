# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""JointTrajectory messages as the bytes that travel, without an object for each point.

rclpy turns 32 points into as many Python objects and back, in the policy, in action_node and once more for each topic
that carries the same chunk. Trajectories of one layout (the same joints, points, fields and length of the id) differ
in stamp, id and numbers alone, so only these are written or read. A layout counts once the middleware's own serializer
has made the same bytes of a message; what does not look like one takes the usual way.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dp_ros.errors import MessageError
from dp_ros.messages.header_bytes import BODY, FRAME, LITTLE_ENDIAN, STAMP, header_of
from dp_ros.messages.stamps import SECOND_NS, checked_stamp
from dp_ros.messages.trajectory import Array, Trajectory, decode_trajectory, fill_trajectory

# A number stands at a multiple of its size, counted from the body's begin. What lies between may be anything.
_COUNT = struct.Struct('<I')
_MOST_LAYOUTS = 256


class _Draft:
    """A message from its beginning on, and which of its bytes never change."""

    def __init__(self) -> None:
        self.raw = bytearray(LITTLE_ENDIAN)
        self.fixed = [np.arange(len(LITTLE_ENDIAN))]
        self.raw += bytes(BODY - len(LITTLE_ENDIAN))

    def put(self, data: bytes) -> None:
        """Bytes that never change."""
        self.fixed.append(np.arange(len(self.raw), len(self.raw) + len(data)))
        self.raw += data

    def skip(self, size: int, align: int = 1) -> int:
        """Room for what changes; returns where it begins, in bytes from the body on."""
        self.raw += bytes((BODY - len(self.raw)) % align)
        start = len(self.raw) - BODY
        self.raw += bytes(size)
        return start

    def count(self, count: int) -> None:
        """The length of what follows."""
        self.skip(0, _COUNT.size)
        self.put(_COUNT.pack(count))

    def doubles(self, count: int) -> npt.NDArray[np.intp]:
        """A sequence of numbers; returns their places."""
        self.count(count)
        return np.arange(count) + (self.skip(8 * count, 8) // 8 if count else 0)


class _Layout:
    """Where everything stands in messages of these joints, points and fields, with an id of this size.

    Attributes:
        raw: a message of this layout, all numbers 0.
        times: (N,) of the seconds, counted in 32-bit numbers from the body on; their nanoseconds follow.
        positions, velocities: (N, A), counted in 64-bit numbers from the body on; None: the points have none.
    """

    def __init__(self, names: Sequence[str], points: int, velocities: bool, id_size: int):
        draft = _Draft()
        draft.skip(STAMP.size)
        draft.count(id_size + 1)
        draft.skip(id_size)
        draft.put(b'\0')
        draft.count(len(names))
        for name in names:
            text = name.encode() + b'\0'
            draft.count(len(text))
            draft.put(text)
        draft.count(points)
        positions, speeds, times = [], [], []
        for _ in range(points):
            positions.append(draft.doubles(len(names)))
            speeds.append(draft.doubles(len(names) if velocities else 0))
            draft.doubles(0)
            draft.doubles(0)
            times.append(draft.skip(STAMP.size, _COUNT.size) // _COUNT.size)
        self.times = np.array(times, np.intp)
        self.positions = np.array(positions)
        self.velocities = np.array(speeds) if velocities else None
        self.raw = bytes(draft.raw)
        self._places = np.concatenate(draft.fixed)
        self._bytes = self._at_places(self.raw)

    def fits(self, raw: bytes) -> bool:
        """Whether a message is of this layout: all that never changes is the same. Serializers may leave a rest."""
        return len(raw) >= len(self.raw) and self._at_places(raw) == self._bytes

    def write(
        self,
        stamp_ns: int,
        text: bytes,
        times_ns: npt.NDArray[np.int64],
        positions: Array,
        velocities: Array | None,
    ) -> bytes:
        """A message."""
        raw = bytearray(self.raw)
        STAMP.pack_into(raw, BODY, *divmod(stamp_ns, SECOND_NS))
        raw[FRAME : FRAME + len(text)] = text
        whole, double = _views(raw)
        whole[self.times], whole[self.times + 1] = np.divmod(times_ns, SECOND_NS)
        double[self.positions] = positions
        if self.velocities is not None:
            double[self.velocities] = velocities
        return bytes(raw)

    def read(self, raw: bytes, names: tuple[str, ...]) -> Trajectory:
        """What a message that fits says."""
        whole, double = _views(raw)
        return Trajectory(
            *header_of(raw),
            names,
            whole[self.times] * np.int64(SECOND_NS) + whole[self.times + 1],
            double[self.positions],
            None if self.velocities is None else double[self.velocities],
        )

    def _at_places(self, raw: bytes) -> bytes:
        return np.frombuffer(raw, np.uint8)[self._places].tobytes()


class TrajectoryWriter:
    """Makes the bytes of trajectories.

    Args:
        serialize: message to bytes, as ``rclpy.serialization.serialize_message`` does.
        make_message, make_point: make an empty JointTrajectory and JointTrajectoryPoint.
    """

    def __init__(
        self,
        serialize: Callable[[Any], bytes],
        make_message: Callable[[], Any],
        make_point: Callable[[], Any],
    ):
        self._serialize, self._make_message, self._make_point = serialize, make_message, make_point
        self._layouts: dict[tuple[object, ...], _Layout | None] = {}

    def write(
        self,
        stamp_ns: int,
        frame_id: str,
        joint_names: Sequence[str],
        times_ns: npt.NDArray[np.int64],
        positions: Array,
        velocities: Array | None = None,
    ) -> bytes:
        """The message as bytes; they say what the serializer's would.

        Args:
            stamp_ns: header stamp.
            frame_id: header frame: a chunk's id.
            joint_names: A names.
            times_ns: (N,) time from start of each point.
            positions: (N, A).
            velocities: (N, A), or None: the points have none.

        Raises:
            MessageError: the columns are not those of the joints, or a time does not fit.
        """
        if positions.shape[1] != len(joint_names):
            raise MessageError(f'trajectory: {positions.shape[1]} columns for joints {tuple(joint_names)}')
        text = frame_id.encode()
        layout = self.layout(tuple(joint_names), len(positions), velocities is not None, len(text))
        if layout is None:
            return self._slowly(stamp_ns, frame_id, joint_names, times_ns, positions, velocities)
        for time_ns in (stamp_ns, *times_ns[[0, -1]].tolist()):
            checked_stamp(time_ns)
        return layout.write(stamp_ns, text, times_ns, positions, velocities)

    def layout(self, names: tuple[str, ...], points: int, velocities: bool, id_size: int) -> '_Layout | None':
        """The layout of such messages; None where the serializer's bytes are not understood."""
        key = (names, points, velocities, id_size)
        if key not in self._layouts:
            if len(self._layouts) >= _MOST_LAYOUTS:
                self._layouts.clear()
            layout = _Layout(*key) if names and points else None
            self._layouts[key] = layout if layout and self._holds(layout, *key) else None
        return self._layouts[key]

    def _holds(
        self, layout: _Layout, names: tuple[str, ...], points: int, velocities: bool, id_size: int
    ) -> bool:
        """Whether the serializer's bytes of a message say to the layout what the message says."""
        positions, speeds = np.arange(1.0, 2 * points * len(names) + 1).reshape(2, points, len(names))
        times_ns = np.arange(1, points + 1) * (3 * SECOND_NS + 7)
        sent = (5 * SECOND_NS + 11, '#' * id_size, names, times_ns, positions, speeds if velocities else None)
        raw = self._slowly(*sent)
        if not layout.fits(raw):
            return False
        found = layout.read(raw, names)
        same = (found.stamp_ns, found.frame_id) == sent[:2] and np.array_equal(found.times_ns, times_ns)
        same = same and np.array_equal(found.positions, positions)
        return same and (found.velocities is None or np.array_equal(found.velocities, speeds))

    def _slowly(self, stamp_ns: int, frame_id: str, *rest: Any) -> bytes:
        message = self._make_message()
        fill_trajectory(message, stamp_ns, frame_id, self._make_point, *rest)
        return self._serialize(message)


class TrajectoryReader:
    """Reads trajectories from their bytes; those that look like the one before cost little.

    Args:
        deserialize: bytes to message; whatever it raises is a MessageError here.
        writer: knows the layouts.
    """

    def __init__(self, deserialize: Callable[[bytes], Any], writer: TrajectoryWriter):
        self._deserialize, self._writer = deserialize, writer
        self._names: tuple[str, ...] = ()
        self._layout: _Layout | None = None

    def read(self, raw: bytes) -> Trajectory:
        """The trajectory; its arrays are copies.

        Raises:
            MessageError: no JointTrajectory, or a point without one number for each joint.
        """
        if self._layout is not None and self._layout.fits(raw):
            return self._layout.read(raw, self._names)
        try:
            message = self._deserialize(raw)
        except Exception as error:
            raise MessageError(f'trajectory: {len(raw)} bytes cannot be read: {error}') from error
        found = decode_trajectory(message)
        size = len(found.frame_id.encode())
        layout = self._writer.layout(
            found.joint_names, len(found.positions), found.velocities is not None, size
        )
        self._names, self._layout = found.joint_names, layout if layout and layout.fits(raw) else None
        return found


def _views(raw: bytes | bytearray) -> tuple[npt.NDArray[np.int32], Array]:
    """The body as 32-bit and as 64-bit numbers."""
    size = len(raw) - BODY
    return np.frombuffer(raw, '<i4', size // 4, BODY), np.frombuffer(raw, '<f8', size // 8, BODY)
