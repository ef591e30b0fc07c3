# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Messages of one topic that differ in their stamps and numbers alone, deserialized without reading the rest again.

A robot's joint states come a thousand times a minute, with the same names every time. `rosbags` reads each name anew:
most of what such a message costs. The layout of a message follows from its bytes other than stamp and numbers; where
those are as before, so is the layout.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from rosbags.typesys.store import Typestore

from dp_ros.messages.header_bytes import BODY, LITTLE_ENDIAN, STAMP

# All begin with a header, and nothing but arrays of numbers changes behind it.
REPEATED = ('sensor_msgs/msg/JointState', 'trajectory_msgs/msg/JointTrajectory')
HEADER = [
    ('std_msgs/msg/Header', ['stamp', 'frame_id']),
    ('builtin_interfaces/msg/Time', ['sec', 'nanosec']),
]

Raw = bytes | memoryview
Make = Callable[[Raw], Any]


def deserializer(store: Typestore, kind: str) -> Callable[[Raw], Any]:
    """What makes messages of a topic; raises what :meth:`Typestore.deserialize_cdr` raises."""
    usual = all([name for name, _ in store.fielddefs.get(k, ([], []))[1]] == names for k, names in HEADER)
    if kind in REPEATED and usual and store.fielddefs[kind][1][0][0] == 'header':
        return RepeatedLayout(store, kind)
    return lambda raw: store.deserialize_cdr(raw, kind)


class RepeatedLayout:
    """Deserializes the messages of one topic. Names and whatever else is as before are the same objects as before."""

    def __init__(self, store: Typestore, kind: str) -> None:
        self._store, self._kind = store, kind
        # Bytes of a message, where its fixed ones stand, what they are, and how the message is made.
        self._known: tuple[int, npt.NDArray[np.intp], bytes, Make] | None = None

    def __call__(self, raw: Raw) -> Any:
        """The message, as of :meth:`Typestore.deserialize_cdr`."""
        if self._known is not None:
            size, places, fixed, make = self._known
            if len(raw) == size and np.frombuffer(raw, np.uint8)[places].tobytes() == fixed:
                return make(raw)
        raw = memoryview(raw)  # of bytes its arrays would be copies
        message = self._store.deserialize_cdr(raw, self._kind)
        self._known = self._learnt(raw, message) if bytes(raw[:2]) == LITTLE_ENDIAN else None
        return message

    def _learnt(self, raw: Raw, message: Any) -> tuple[int, npt.NDArray[np.intp], bytes, Make]:
        data = np.frombuffer(raw, np.uint8)
        changing = np.zeros(len(data), bool)
        changing[BODY : BODY + STAMP.size] = True
        parts = _fields(message)
        header = parts.pop('header')
        make_rest = {name: _maker(value, data, changing) for name, value in parts.items()}
        kind, kinds = type(message), (type(header), type(header.stamp))

        def make(raw: Raw) -> Any:
            stamp = kinds[1](*STAMP.unpack_from(raw, BODY))
            rest = {name: part(raw) for name, part in make_rest.items()}
            return kind(header=kinds[0](stamp, header.frame_id), **rest)

        places = np.flatnonzero(~changing)
        return len(data), places, data[places].tobytes(), make


def _fields(message: Any) -> dict[str, Any]:
    return {f.name: getattr(message, f.name) for f in dataclasses.fields(message) if f.init}


def _maker(value: Any, data: npt.NDArray[np.uint8], changing: npt.NDArray[np.bool_]) -> Make:
    """What makes a field of another message; notes which bytes of ``data`` may change."""
    if isinstance(value, np.ndarray) and value.size:
        begin = value.__array_interface__['data'][0] - data.__array_interface__['data'][0]
        if not 0 <= begin <= len(data) - value.nbytes:
            raise TypeError('an array that is no view of its message')
        changing[begin : begin + value.nbytes] = True
        dtype, count = value.dtype, value.size
        return lambda raw: np.frombuffer(raw, dtype, count, begin)
    if isinstance(value, list) and value and dataclasses.is_dataclass(value[0]):
        makers = [_maker(item, data, changing) for item in value]
        return lambda raw: [make(raw) for make in makers]
    if dataclasses.is_dataclass(value):
        kind: Callable[..., Any] = type(value)
        parts = [_maker(part, data, changing) for part in _fields(value).values()]
        return lambda raw: kind(*[part(raw) for part in parts])
    return lambda raw: value
