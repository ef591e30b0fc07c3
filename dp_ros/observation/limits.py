# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""When an observation is refused."""

from dataclasses import dataclass, fields

from dp_ros.errors import ConfigError

MS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ObservationLimits:
    """Limits of age, skew and stillness; all in nanoseconds.

    Attributes:
        max_image_age_ns: of the newest image of each camera and the newest sample of each vector, and of a sample of
            a vector when it is used.
        max_joint_age_ns: of the newest position of each joint.
        max_camera_skew_ns: between the wanted time and the stamp of the frame used for it.
        joint_gap_ns: between two joint samples that are interpolated.
        max_future_ns: how far a stamp may lie ahead of the clock.
        frozen_camera_ns: how long a camera may send the same pixels; 0 switches the watch off, as is right
            where pictures carry no noise (simulation).
        backward_jump_ns: a stamp further behind its stream's newest one means a clock set back; all is
            cleared.
    """

    max_image_age_ns: int = 250 * MS
    max_joint_age_ns: int = 100 * MS
    max_camera_skew_ns: int = 60 * MS
    joint_gap_ns: int = 100 * MS
    max_future_ns: int = 100 * MS
    frozen_camera_ns: int = 1000 * MS
    backward_jump_ns: int = 500 * MS

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ConfigError(f'{field.name} must be a non-negative integer, got {value!r}')
