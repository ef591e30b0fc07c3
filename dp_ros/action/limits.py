# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What every curve keeps: bounds of position, velocity, acceleration and jerk, one of each per column."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from dp_ros.contract.joint_limits import JointLimits
from dp_ros.errors import ConfigError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MotionLimits:
    """Limits of all columns (A,) of all arms, in the contract's order.

    Attributes:
        lower, upper: bounds of the position, rad or m, the margin already taken off; infinite where there is none.
        velocity: positive, per second; may be infinite.
        acceleration: positive and finite, per second squared; also the deceleration of every brake.
        jerk: positive, per second cubed; may be infinite.

    Raises:
        ConfigError: names every limit that is out of its range, and where.
    """

    lower: Array
    upper: Array
    velocity: Array
    acceleration: Array
    jerk: Array

    def __post_init__(self) -> None:
        wrong = []
        for field in fields(self):
            array = np.array(getattr(self, field.name), np.float64)
            array.setflags(write=False)
            object.__setattr__(self, field.name, array)
            if array.ndim != 1 or array.shape != np.shape(self.lower):
                raise ConfigError(
                    f'limit {field.name} must have one number for each joint, got shape {array.shape}'
                )
        for name in ('velocity', 'acceleration', 'jerk'):
            value = getattr(self, name)
            legal = (value > 0) & (np.isfinite(value) | (name != 'acceleration'))
            wrong += [f'{name}[{i}] = {value[i]}' for i in np.flatnonzero(~legal)]
        wrong += [
            f'lower[{i}] = {self.lower[i]}, upper[{i}] = {self.upper[i]}'
            for i in np.flatnonzero(~(self.lower <= self.upper))
        ]
        if wrong:
            raise ConfigError(
                'motion limits must be positive, accelerations finite, and lower at most upper; '
                f'these are not: {"; ".join(wrong)}'
            )

    @classmethod
    def of(
        cls,
        width: int,
        *,
        acceleration: float | Sequence[float] | Array,
        lower: float | Sequence[float] | Array = -np.inf,
        upper: float | Sequence[float] | Array = np.inf,
        velocity: float | Sequence[float] | Array = np.inf,
        jerk: float | Sequence[float] | Array = np.inf,
    ) -> 'MotionLimits':
        """Limits of ``width`` columns, each from one number for all or one for each.

        Raises:
            ConfigError: another count of numbers, or a limit out of its range.
        """
        given = (lower, upper, velocity, acceleration, jerk)
        arrays = []
        for field, value in zip(fields(cls), given, strict=True):
            array = np.asarray(value, np.float64)
            if array.shape not in ((), (1,), (width,)):
                raise ConfigError(
                    f'limit {field.name} must be one number, or one for each of the {width} joints, got {value}'
                )
            arrays.append(np.array(np.broadcast_to(array, (width,))))
        return cls(*arrays)

    @classmethod
    def of_joints(cls, limits: JointLimits) -> 'MotionLimits':
        """The limits that a site's binding and robot description give."""
        return cls(limits.lower, limits.upper, limits.velocity, limits.acceleration, limits.jerk)

    @property
    def width(self) -> int:
        """Number of columns A."""
        return len(self.acceleration)

    def scaled(self, scale: float) -> 'MotionLimits':
        """The same motion played at ``scale`` of its speed keeps these: v, a and j times scale, scale², scale³."""
        return MotionLimits(
            self.lower,
            self.upper,
            self.velocity * scale,
            self.acceleration * scale**2,
            self.jerk * scale**3,
        )

    def steps(self, point_ns: int) -> tuple[Array, Array, Array]:
        """Bounds of the first, second and third difference of controls that stand ``point_ns`` apart.

        A third difference beyond twice the second's bound cannot occur, so the jerk's is finite.
        """
        h = point_ns * 1e-9
        second = self.acceleration * h**2
        return self.velocity * h, second, np.minimum(self.jerk * h**3, 2.0 * second)
