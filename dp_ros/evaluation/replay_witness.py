# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""An observation buffer that remembers what passed through it: joint curves, and pictures now and then."""

from array import array
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from dp_ros.contract import Contract
from dp_ros.errors import MessageError
from dp_ros.evaluation.record import FrameRecord
from dp_ros.observation.camera_stream import Image
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation_buffer import ObservationBuffer

# Wide enough for a report and a video; a record of megapixel pictures would be as large as its bag.
FRAME_WIDTH = 640


class WitnessBuffer(ObservationBuffer):
    """The same observations as :class:`ObservationBuffer`; a reset forgets streams, not what was witnessed.

    Args:
        contract, limits: as of an observation buffer.
        frame_every_ns: distance between the pictures that are kept of each camera; 0 keeps none.

    Attributes:
        frames: camera to its kept pictures, oldest first.
    """

    def __init__(self, contract: Contract, limits: ObservationLimits | None = None, frame_every_ns: int = 0):
        super().__init__(contract, limits)
        self.frames: dict[str, list[FrameRecord]] = {c.name: [] for c in contract.cameras}
        self._frame_every_ns = frame_every_ns
        # Joint states come faster than any plot needs them.
        self._joints_every_ns = contract.timing.period_ns // 4
        self._stamps = {name: array('q') for name in contract.joint_names}
        self._positions = {name: array('d') for name in contract.joint_names}

    def push_joints(self, stamp_ns: int, names: Sequence[str], positions: npt.ArrayLike) -> None:
        """Store joint positions, see :meth:`ObservationBuffer.push_joints`."""
        super().push_joints(stamp_ns, names, positions)
        for name, value in zip(names, np.asarray(positions, np.float64).reshape(-1), strict=True):
            stamps = self._stamps.get(name)
            if stamps is not None and (not stamps or stamp_ns >= stamps[-1] + self._joints_every_ns):
                stamps.append(stamp_ns)
                self._positions[name].append(float(value))

    def push_image(self, camera: str, stamp_ns: int, decode: Callable[[], Image]) -> None:
        """Store a frame, see :meth:`ObservationBuffer.push_image`."""
        kept = self.frames.get(camera)
        due = kept is not None and (not kept or stamp_ns >= kept[-1].stamp_ns + self._frame_every_ns)
        if kept is not None and self._frame_every_ns and due:
            try:
                picture = decode()
            except MessageError:
                pass  # whoever needs this picture hears of it
            else:
                kept.append(FrameRecord.encode(stamp_ns, _narrow(picture)))
        super().push_image(camera, stamp_ns, decode)

    def measured_at(self, times_ns: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Joint positions (n, A) at times (n,), linear between samples; NaN before the first and after the last."""
        times = np.asarray(times_ns, np.int64)
        out = np.full((len(times), len(self._stamps)), np.nan)
        for column, (name, stamps) in enumerate(self._stamps.items()):
            if stamps:
                # Nanoseconds since 1970 do not fit a float: count from the first sample.
                known = np.asarray(stamps, np.int64)
                out[:, column] = np.interp(
                    (times - known[0]).astype(np.float64),
                    (known - known[0]).astype(np.float64),
                    np.asarray(self._positions[name]),
                    left=np.nan,
                    right=np.nan,
                )
        return out


def _narrow(picture: Image) -> Image:
    height, width = picture.shape[:2]
    if width <= FRAME_WIDTH:
        return picture
    size = (FRAME_WIDTH, max(1, round(height * FRAME_WIDTH / width)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
