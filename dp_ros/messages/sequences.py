# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Number fields of messages: rclpy keeps array.array, bag readers numpy, others lists or bytes."""

from array import array
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Scalar = TypeVar('Scalar', np.uint8, np.float64)


def read(field: Any, dtype: type[Scalar]) -> npt.NDArray[Scalar]:
    """Return the field as a flat read-only array, without a copy where it is a buffer of that type."""
    # NumPy's type characters are array's: 'B' and 'd'. Its names would cost more than a short row.
    if isinstance(field, np.ndarray):
        values = np.asarray(field, dtype).reshape(-1).view()
    elif isinstance(field, bytes | bytearray | memoryview) or (
        isinstance(field, array) and field.typecode == np.dtype(dtype).char
    ):
        values = np.frombuffer(field, dtype)
    else:
        values = np.array(field, dtype).reshape(-1)
    values.setflags(write=False)
    return values


def like(field: Any, values: npt.NDArray[Scalar]) -> Any:
    """Return the values as what the field holds already: array.array for rclpy, else a numpy array."""
    if not isinstance(field, array):
        return values.copy()
    return array(values.dtype.char, values.tobytes())
