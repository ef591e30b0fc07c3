# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Serialized images as JPEGs, against the decoder that the live node uses."""

import cv2
import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from dp_ros.bags.jpeg import COMPRESSED_TYPE, IMAGE_TYPE, JpegCompressor
from dp_ros.errors import MessageError
from dp_ros.messages.image import decode_image

STORE = get_typestore(Stores.ROS2_JAZZY)
# Samples of a pixel, and which of them are red, green and blue.
LAYOUTS = {
    'rgb8': (3, (0, 1, 2)),
    'bgr8': (3, (2, 1, 0)),
    'rgba8': (4, (0, 1, 2)),
    'bgra8': (4, (2, 1, 0)),
    'mono8': (1, (0, 0, 0)),
}


def picture(height=48, width=64):
    """Smooth colours, different in every channel."""
    y, x = np.mgrid[:height, :width]
    return np.stack([40 + x, 200 - y, 90 + (x + y) // 2], axis=-1).astype(np.uint8)


def serialized(pixels, encoding, step_extra=0):
    time = STORE.types['builtin_interfaces/msg/Time'](sec=7, nanosec=9)
    rows = pixels.reshape(len(pixels), -1)
    rows = np.pad(rows, ((0, 0), (0, step_extra)))
    message = STORE.types[IMAGE_TYPE](
        header=STORE.types['std_msgs/msg/Header'](stamp=time, frame_id='eye'),
        height=len(pixels),
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=rows.shape[1],
        data=rows.reshape(-1).view(np.uint8),
    )
    return bytes(STORE.serialize_cdr(message, IMAGE_TYPE))


@pytest.mark.parametrize('encoding', list(LAYOUTS))
@pytest.mark.parametrize('step_extra', [0, 5])
def test_the_live_decoder_sees_the_same_picture_in_both(encoding, step_extra):
    size, colours = LAYOUTS[encoding]
    pixels = np.full((48, 64, size), 255, np.uint8)
    pixels[..., list(colours)] = picture()
    raw = serialized(pixels, encoding, step_extra)
    message = STORE.deserialize_cdr(JpegCompressor(95).compress(raw), COMPRESSED_TYPE)
    plain = decode_image(STORE.deserialize_cdr(raw, IMAGE_TYPE)).astype(int)
    assert np.abs(decode_image(message).astype(int) - plain).max() <= 8
    assert (message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id) == (7, 9, 'eye')
    assert message.format == f'{encoding}; jpeg compressed {"mono8" if size == 1 else "bgr8"}'
    channels = cv2.imdecode(message.data, cv2.IMREAD_UNCHANGED).ndim
    assert channels == (2 if size == 1 else 3)


def test_a_higher_quality_is_nearer_and_larger():
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    raw = serialized(pixels, 'rgb8')
    sizes, errors = [], []
    for quality in (30, 60, 95):
        compressed = JpegCompressor(quality).compress(raw)
        shown = decode_image(STORE.deserialize_cdr(compressed, COMPRESSED_TYPE))
        sizes.append(len(compressed))
        errors.append(np.abs(shown.astype(int) - pixels).mean())
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1', 'mono16'])
def test_depth_is_refused(encoding):
    depth = np.ones((4, 6), np.float32 if '32' in encoding else np.uint16)
    with pytest.raises(MessageError, match=encoding):
        JpegCompressor(95).compress(serialized(depth.view(np.uint8), encoding))


def test_damaged_bytes_are_refused():
    raw = serialized(picture(), 'rgb8')
    for cut in (0, 3, 30, len(raw) - 100):
        with pytest.raises(MessageError):
            JpegCompressor(95).compress(raw[:cut])
