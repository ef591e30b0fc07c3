# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Single commands with stamps, as a function of time: lines between them."""

from array import array

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


class SetPoints:
    """Values of one column with their stamps, in any order; of two with one stamp the later message counts."""

    def __init__(self) -> None:
        self._stamps = array('q')
        self._values = array('d')
        self._sorted: tuple[Times, Array] | None = None

    def put(self, stamp_ns: int, value: float) -> None:
        """Take one value."""
        self._stamps.append(stamp_ns)
        self._values.append(value)
        self._sorted = None

    @property
    def first_ns(self) -> int | None:
        """The earliest stamp, or None."""
        return int(self._joined()[0][0]) if self._stamps else None

    @property
    def end_ns(self) -> int:
        """The latest stamp, or 0."""
        return int(self._joined()[0][-1]) if self._stamps else 0

    def last_before(self, time_ns: int) -> int | None:
        """The latest stamp that is no later than a time, or None."""
        stamps = self._joined()[0]
        count = int(np.searchsorted(stamps, time_ns, 'right'))
        return int(stamps[count - 1]) if count else None

    def sample(self, times_ns: Times) -> Array:
        """Values (n,) at times (n,), held before the first and after the last stamp."""
        stamps, values = self._joined()
        # Floating-point nanoseconds are exact for a hundred days from the first stamp on.
        return np.interp(times_ns - stamps[0], stamps - stamps[0], values)

    def _joined(self) -> tuple[Times, Array]:
        if self._sorted is None:
            stamps, values = np.array(self._stamps, np.int64), np.array(self._values, np.float64)
            order = np.argsort(stamps, kind='stable')
            stamps, values = stamps[order], values[order]
            newest = np.append(stamps[1:] != stamps[:-1], True)
            self._sorted = stamps[newest], values[newest]
        return self._sorted
