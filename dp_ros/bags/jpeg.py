# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Serialized images as serialized JPEG images."""

from typing import Any

import cv2
import numpy as np
from rosbags.typesys import Stores, get_typestore

from dp_ros.errors import MessageError
from dp_ros.messages.image import decode_image

IMAGE_TYPE = 'sensor_msgs/msg/Image'
COMPRESSED_TYPE = 'sensor_msgs/msg/CompressedImage'
# Where image_transport puts the compressed images of a topic.
COMPRESSED_SUFFIX = '/compressed'


class JpegCompressor:
    """Encodes images; may be used by several threads at once.

    Args:
        quality: 1 to 100, as JPEG counts it.
    """

    def __init__(self, quality: int):
        self._quality = quality
        self._store = get_typestore(Stores.ROS2_JAZZY)

    def compress(self, raw: bytes | memoryview) -> bytes:
        """A serialized Image as a serialized CompressedImage with the same header.

        Raises:
            MessageError: damaged, or an encoding of other than eight bits a colour, such as depth, to which JPEG
                would do harm.
        """
        try:
            image: Any = self._store.deserialize_cdr(raw, IMAGE_TYPE)
        except Exception as error:
            raise MessageError(f'{len(raw)} bytes are no {IMAGE_TYPE}: {error}') from error
        if not _eight_bits(image.encoding):
            raise MessageError(f'image encoding {image.encoding!r} does not fit into a JPEG')
        grey = image.encoding == 'mono8'
        rgb = decode_image(image)
        pixels = rgb[..., 0] if grey else cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode(
            '.jpg', np.ascontiguousarray(pixels), [cv2.IMWRITE_JPEG_QUALITY, self._quality]
        )
        if not done:
            raise MessageError(f'image of {rgb.shape[:2]} {image.encoding} does not become a JPEG')
        message = self._store.types[COMPRESSED_TYPE](
            header=image.header,
            # As image_transport says it: what it was; what the JPEG holds.
            format=f'{image.encoding}; jpeg compressed {"mono8" if grey else "bgr8"}',
            data=data.reshape(-1),
        )
        return bytes(self._store.serialize_cdr(message, COMPRESSED_TYPE))


def _eight_bits(encoding: str) -> bool:
    return '16' not in encoding and '32' not in encoding and '64' not in encoding
