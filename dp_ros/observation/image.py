# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""From a camera's image to the pixels that the network sees."""

import cv2
import numpy as np
import numpy.typing as npt

from dp_ros.contract import Camera
from dp_ros.errors import MessageError


def crop_resize(image: npt.NDArray[np.uint8], camera: Camera) -> npt.NDArray[np.uint8]:
    """Crop and resample by area: the one function that training, simulation and the robot share.

    Args:
        image: (Hs, Ws, 3) uint8 RGB of the camera's source size; any strides.
        camera: crop and size.

    Returns:
        (H, W, 3) uint8 RGB, contiguous. May share memory with ``image`` where nothing is to be resampled.

    Raises:
        MessageError: for another shape or type.
    """
    if image.shape != (*camera.source_size, 3) or image.dtype != np.uint8:
        raise MessageError(
            f'camera {camera.name!r}: expected {(*camera.source_size, 3)} uint8, '
            f'got {image.shape} {image.dtype}'
        )
    top, left, height, width = camera.crop
    part = np.ascontiguousarray(image[top : top + height, left : left + width])
    if camera.size == (height, width):
        return part
    resized = cv2.resize(part, (camera.size[1], camera.size[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)
