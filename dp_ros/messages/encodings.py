# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The colour encodings of sensor_msgs/Image, and how each becomes RGB.

Names are those of sensor_msgs/image_encodings. Sixteen bits become eight by keeping the upper ones, which is a view and
the same for either byte order. A plain ``8UC3`` says nothing of its colours; like OpenCV it is read as BGR.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Encoding:
    """One encoding.

    Attributes:
        samples: of a pixel, each of ``sample_bytes``.
        rgb: (H, W, samples) uint8 to (H, W, 3) uint8.
        block: height and width must be multiples of it.
        sample_bytes: 1 or 2.
    """

    samples: int
    rgb: Callable[[Bytes], Bytes]
    block: tuple[int, int] = (1, 1)
    sample_bytes: int = 1


def _grey(pixels: Bytes) -> Bytes:
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _rgb(pixels: Bytes) -> Bytes:
    return pixels[..., :3]


def _bgr(pixels: Bytes) -> Bytes:
    return pixels[..., 2::-1]


def _by_opencv(code: int) -> Callable[[Bytes], Bytes]:
    def convert(pixels: Bytes) -> Bytes:
        rgb = np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), code), np.uint8)
        rgb.setflags(write=False)
        return rgb

    return convert


_UYVY, _YUYV = _by_opencv(cv2.COLOR_YUV2RGB_UYVY), _by_opencv(cv2.COLOR_YUV2RGB_YUY2)
# ROS names a mosaic by its first two rows, OpenCV's old names by the pixels from (1, 1) on.
_MOSAICS = {
    'rggb': _by_opencv(cv2.COLOR_BayerBG2RGB),
    'bggr': _by_opencv(cv2.COLOR_BayerRG2RGB),
    'gbrg': _by_opencv(cv2.COLOR_BayerGR2RGB),
    'grbg': _by_opencv(cv2.COLOR_BayerGB2RGB),
}

COLOURS: dict[str, Encoding] = {
    'rgb8': Encoding(3, _rgb),
    'bgr8': Encoding(3, _bgr),
    'rgba8': Encoding(4, _rgb),
    'bgra8': Encoding(4, _bgr),
    'mono8': Encoding(1, _grey),
    '8UC1': Encoding(1, _grey),
    '8UC3': Encoding(3, _bgr),
    '8UC4': Encoding(4, _bgr),
    'rgb16': Encoding(3, _rgb, sample_bytes=2),
    'bgr16': Encoding(3, _bgr, sample_bytes=2),
    'rgba16': Encoding(4, _rgb, sample_bytes=2),
    'bgra16': Encoding(4, _bgr, sample_bytes=2),
    'mono16': Encoding(1, _grey, sample_bytes=2),
    'yuv422': Encoding(2, _UYVY, block=(1, 2)),
    'uyvy': Encoding(2, _UYVY, block=(1, 2)),
    'yuv422_yuy2': Encoding(2, _YUYV, block=(1, 2)),
    'yuyv': Encoding(2, _YUYV, block=(1, 2)),
    **{f'bayer_{name}8': Encoding(1, rgb, block=(2, 2)) for name, rgb in _MOSAICS.items()},
    **{f'bayer_{name}16': Encoding(1, rgb, block=(2, 2), sample_bytes=2) for name, rgb in _MOSAICS.items()},
}
