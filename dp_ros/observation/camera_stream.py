# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One camera's recent frames: decoded late, at most once, and watched for freezing."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dp_ros.contract import Camera
from dp_ros.observation.image import crop_resize

Image = npt.NDArray[np.uint8]


class LazyFrame:
    """A frame that is decoded, cropped and resampled when it is first looked at, then kept in small."""

    def __init__(self, camera: Camera, decode: Callable[[], Image]) -> None:
        self._camera = camera
        self._decode: Callable[[], Image] | None = decode
        self._pixels: Image | None = None

    def pixels(self) -> Image:
        """(H, W, 3) uint8 RGB, read-only. Errors of the decoder come through."""
        if self._pixels is None:
            assert self._decode is not None
            pixels = crop_resize(self._decode(), self._camera)
            if pixels.base is not None or not pixels.flags.owndata:
                pixels = pixels.copy()  # let go of the message's buffer
            pixels.setflags(write=False)
            self._pixels, self._decode = pixels, None
        return self._pixels


class FrozenWatch:
    """Notices a camera that sends the same pixels with ever new stamps.

    A real sensor is noisy: two equal pictures in a row mean a driver that repeats its last buffer.
    """

    def __init__(self) -> None:
        self._since_ns: int | None = None
        self._pixels: Image | None = None

    def unchanged_ns(self, stamp_ns: int, pixels: Image) -> int:
        """For how long, by the stamps, the pixels have been the same as in this frame."""
        same = (
            self._pixels is not None
            and self._since_ns is not None
            and stamp_ns >= self._since_ns
            and (pixels is self._pixels or _equal(pixels, self._pixels))
        )
        if not same or self._since_ns is None:
            self._since_ns, self._pixels = stamp_ns, pixels
        return stamp_ns - self._since_ns


def _equal(one: Image, other: Image) -> bool:
    """Most pictures differ in their first row already."""
    return np.array_equal(one[:1], other[:1]) and np.array_equal(one, other)
