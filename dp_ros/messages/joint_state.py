# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""sensor_msgs JointState: positions by name."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dp_ros.errors import MessageError
from dp_ros.messages.sequences import like, read
from dp_ros.messages.stamps import fill_time, header_ns

Array = npt.NDArray[np.float64]


def decode_joint_state(message: Any) -> tuple[int, tuple[str, ...], Array]:
    """Stamp in nanoseconds, names, and positions (J,) of a message.

    Velocities and efforts are not read: broadcasters leave them out or fill them with NaN.

    Raises:
        MessageError: if there is not one position for every name, or a name stands twice.
    """
    names = tuple(message.name)
    positions = read(message.position, np.float64)
    if len(positions) != len(names):
        raise MessageError(f'joint state: {len(names)} names, {len(positions)} positions')
    if len(set(names)) != len(names):
        raise MessageError(f'joint state: names stand twice in {names}')
    return header_ns(message), names, positions


def fill_joint_state(
    message: Any, stamp_ns: int, names: Sequence[str], positions: Array, velocities: Array | None = None
) -> None:
    """Write names, positions (J,) and, if known, velocities (J,) into a JointState message."""
    fill_time(message.header.stamp, stamp_ns)
    message.name = list(names)
    message.position = like(message.position, np.asarray(positions, np.float64))
    rates = np.zeros(0) if velocities is None else np.asarray(velocities, np.float64)
    message.velocity = like(message.velocity, rates)
