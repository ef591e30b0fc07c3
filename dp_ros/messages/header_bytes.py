# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Stamp and frame of a message that begins with a std_msgs Header, read and written in the bytes that travel."""

import struct

from dp_ros.errors import MessageError
from dp_ros.messages.stamps import SECOND_NS, checked_stamp

# The representation that ROS 2 sends, XCDR version 1 in little endian, is known by its first two bytes.
LITTLE_ENDIAN = b'\0\1'
# Where the message begins: with the stamp, and the length of the frame.
BODY = 4
STAMP = struct.Struct('<iI')
_LENGTH = struct.Struct('<I')
# Where the text of the frame begins.
FRAME = BODY + STAMP.size + _LENGTH.size


def header_of(raw: bytes) -> tuple[int, str]:
    """Stamp in nanoseconds and frame.

    Raises:
        MessageError: too short, or another representation.
    """
    if raw[:2] != LITTLE_ENDIAN or len(raw) < FRAME:
        raise MessageError(
            f'{len(raw)} bytes that begin with {raw[:4].hex()} hold no header in little endian'
        )
    sec, nanosec = STAMP.unpack_from(raw, BODY)
    (length,) = _LENGTH.unpack_from(raw, FRAME - _LENGTH.size)
    return sec * SECOND_NS + nanosec, raw[FRAME : FRAME + length - 1].decode(errors='replace')


def stamped(raw: bytes, stamp_ns: int) -> bytes:
    """The same message with another stamp.

    Raises:
        MessageError: a stamp that does not fit.
    """
    stamp = STAMP.pack(*divmod(checked_stamp(stamp_ns), SECOND_NS))
    return b''.join((raw[:BODY], stamp, memoryview(raw)[BODY + len(stamp) :]))
