# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""sensor_msgs Image and CompressedImage."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dp_ros.errors import MessageError
from dp_ros.messages.sequences import like, read
from dp_ros.messages.stamps import fill_time

Image = npt.NDArray[np.uint8]

# Encoding: bytes of a pixel, and which of them are red, green, blue.
ENCODINGS: dict[str, tuple[int, tuple[int, int, int]]] = {
    'rgb8': (3, (0, 1, 2)),
    'bgr8': (3, (2, 1, 0)),
    'rgba8': (4, (0, 1, 2)),
    'bgra8': (4, (2, 1, 0)),
    'mono8': (1, (0, 0, 0)),
}
JPEG_END = b'\xff\xd9'


def decode_image(message: Any) -> Image:
    """RGB pixels of an Image or a CompressedImage.

    Returns:
        (H, W, 3) uint8 RGB, read-only. Of an Image it is a view of the message's data, with whatever strides
        that takes; nothing is copied.

    Raises:
        MessageError: unknown encoding or format, data that is too short or damaged.
    """
    return _decode_compressed(message) if hasattr(message, 'format') else _decode_raw(message)


def fill_image(message: Any, image: Image, stamp_ns: int, frame_id: str = '') -> None:
    """Write (H, W, 3) uint8 RGB into an Image message as rgb8.

    Raises:
        MessageError: for another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise MessageError(f'an image must be (H, W, 3) uint8, got {image.shape} {image.dtype}')
    fill_time(message.header.stamp, stamp_ns)
    message.header.frame_id = frame_id
    message.height, message.width = int(image.shape[0]), int(image.shape[1])
    message.encoding, message.is_bigendian, message.step = 'rgb8', 0, 3 * int(image.shape[1])
    message.data = like(message.data, np.ascontiguousarray(image).reshape(-1))


def _decode_raw(message: Any) -> Image:
    if message.encoding not in ENCODINGS:
        raise MessageError(f'image encoding {message.encoding!r} is unknown; legal: {list(ENCODINGS)}')
    size, (red, _, blue) = ENCODINGS[message.encoding]
    height, width, step = int(message.height), int(message.width), int(message.step)
    data = read(message.data, np.uint8)
    if height < 1 or width < 1 or step < width * size or len(data) < step * height:
        raise MessageError(
            f'image of {height} x {width} {message.encoding}: {len(data)} bytes in steps of {step}, '
            f'need at least {height} steps of {width * size}'
        )
    pixels = data[: step * height].reshape(height, step)[:, : width * size].reshape(height, width, size)
    if size == 1:
        return np.broadcast_to(pixels, (height, width, 3))
    return pixels[..., :3] if red < blue else pixels[..., 2::-1]


def _decode_compressed(message: Any) -> Image:
    form = str(message.format)
    kind = form.lower()
    if 'depth' in kind or not any(name in kind for name in ('jpeg', 'jpg', 'png')):
        raise MessageError(f'image format {form!r} is unknown; legal: jpeg, png')
    data = read(message.data, np.uint8)
    # A cut JPEG decodes to a picture with a grey rest; only the missing end mark tells.
    cut = 'png' not in kind and data.tobytes().rfind(JPEG_END) < 0
    # The network must see what the sensor saw, not what a viewer would turn upright.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = None if cut or not len(data) else cv2.imdecode(data, flags)
    if pixels is None:
        raise MessageError(f'{len(data)} bytes of format {form!r} do not decode: damaged or cut')
    rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    rgb.setflags(write=False)
    return rgb
