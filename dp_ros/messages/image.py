# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""sensor_msgs Image and CompressedImage."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dp_ros.errors import MessageError
from dp_ros.messages.depth import DEPTHS, decode_compressed_depth, nearness
from dp_ros.messages.encodings import COLOURS
from dp_ros.messages.sequences import like, read
from dp_ros.messages.stamps import fill_time

Image = npt.NDArray[np.uint8]
DepthRange = tuple[float, float]

JPEG_END = b'\xff\xd9'


def decode_image(message: Any, depth_m: DepthRange | None = None) -> Image:
    """RGB pixels of an Image or a CompressedImage.

    Args:
        message: live, of a bag, or of the same shape.
        depth_m: (near, far) in metres of a depth camera, whose pixels are its nearness (see depth.py); None: a camera
            of colours.

    Returns:
        (H, W, 3) uint8 RGB, read-only. Where the encoding allows it (all of plain RGB, BGR or grey) a view of the
        message's data, with whatever strides that takes.

    Raises:
        MessageError: unknown encoding or format, a depth image of a camera that is bound as none or the reverse, data
            that is too short or damaged.
    """
    if hasattr(message, 'format'):
        return _decode_compressed(message, depth_m)
    return _decode_raw(message) if depth_m is None else _decode_depth(message, depth_m)


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
    encoding = COLOURS.get(message.encoding)
    if encoding is None:
        if message.encoding in DEPTHS:
            raise MessageError(
                f'image encoding {message.encoding!r} is depth: say depth_m: [near, far] at this camera of the binding'
            )
        raise MessageError(f'image encoding {message.encoding!r} is unknown; legal: {[*COLOURS, *DEPTHS]}')
    size = encoding.samples * encoding.sample_bytes
    pixels = _rows(message, size)
    high, wide = encoding.block
    if pixels.shape[0] % high or pixels.shape[1] % wide:
        raise MessageError(
            f'image of {pixels.shape[0]} x {pixels.shape[1]} {message.encoding}: '
            f'height and width must be multiples of {high} and {wide}'
        )
    if encoding.sample_bytes == 2:
        pixels = pixels[..., (0 if message.is_bigendian else 1) :: 2]
    return encoding.rgb(pixels)


def _decode_depth(message: Any, depth_m: DepthRange) -> Image:
    if message.encoding not in DEPTHS:
        raise MessageError(
            f'image encoding {message.encoding!r} is no depth, but the binding says depth_m of this camera; '
            f'legal: {list(DEPTHS)}'
        )
    kind, unit_m = DEPTHS[message.encoding]
    dtype = np.dtype('>' + kind if message.is_bigendian else '<' + kind)
    rows = np.ascontiguousarray(_rows(message, dtype.itemsize))
    return nearness(rows.view(dtype)[..., 0], unit_m, depth_m)


def _rows(message: Any, size: int) -> Image:
    """The bytes (H, W, size) of an Image, a view."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    data = read(message.data, np.uint8)
    if height < 1 or width < 1 or step < width * size or len(data) < step * height:
        raise MessageError(
            f'image of {height} x {width} {message.encoding}: {len(data)} bytes in steps of {step}, '
            f'need at least {height} steps of {width * size}'
        )
    return data[: step * height].reshape(height, step)[:, : width * size].reshape(height, width, size)


def _decode_compressed(message: Any, depth_m: DepthRange | None) -> Image:
    form = str(message.format)
    kind = form.lower()
    data = read(message.data, np.uint8)
    is_depth = 'depth' in kind or kind.split(';')[0].strip() in ('16uc1', '32fc1')
    if depth_m is not None:
        if not is_depth and kind != 'png':
            raise MessageError(
                f'image format {form!r} is no depth, but the binding says depth_m of this camera; '
                'legal: compressedDepth png, 16UC1; png compressed, png'
            )
        return decode_compressed_depth(form, data, depth_m)
    if is_depth:
        raise MessageError(
            f'image format {form!r} is depth: say depth_m: [near, far] at this camera of the binding'
        )
    if not any(name in kind for name in ('jpeg', 'jpg', 'png')):
        raise MessageError(f'image format {form!r} is unknown; legal: jpeg, png, compressedDepth png')
    # A cut JPEG decodes to a picture with a grey rest; only the missing end mark tells.
    cut = 'png' not in kind and data.tobytes().rfind(JPEG_END) < 0
    # The network must see what the sensor saw, not what a viewer would turn upright. Alpha is dropped, grey becomes
    # three channels, and of 16 bits the upper eight are kept.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = None if cut or not len(data) else cv2.imdecode(data, flags)
    if pixels is None:
        raise MessageError(f'{len(data)} bytes of format {form!r} do not decode: damaged or cut')
    rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    rgb.setflags(write=False)
    return rgb
