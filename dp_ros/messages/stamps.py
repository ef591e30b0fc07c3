# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""builtin_interfaces/Time and Duration as integer nanoseconds."""

from typing import Any

from dp_ros.errors import MessageError

SECOND_NS = 1_000_000_000
MAX_SEC = 2**31 - 1


def to_ns(time: Any) -> int:
    """Nanoseconds of a Time or Duration message."""
    return int(time.sec) * SECOND_NS + int(time.nanosec)


def fill_time(time: Any, stamp_ns: int) -> None:
    """Write nanoseconds into a Time or Duration message.

    Raises:
        MessageError: if the value is negative or does not fit.
    """
    sec, nanosec = divmod(checked_stamp(stamp_ns), SECOND_NS)
    time.sec, time.nanosec = sec, nanosec


def checked_stamp(stamp_ns: int) -> int:
    """Nanoseconds that fit into a Time message; :class:`MessageError` for others."""
    stamp_ns = int(stamp_ns)
    if not 0 <= stamp_ns < (MAX_SEC + 1) * SECOND_NS:
        raise MessageError(f'a stamp must lie between 0 and {MAX_SEC} s, got {stamp_ns} ns')
    return stamp_ns


def header_ns(message: Any) -> int:
    """Nanoseconds of a message's header stamp; 0 if its sender did not stamp it."""
    return to_ns(message.header.stamp)
