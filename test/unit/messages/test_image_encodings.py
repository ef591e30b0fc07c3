# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Mosaics, YUV, sixteen bits and depth: laws, and an independent decoder."""

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from message_kinds import header
from rosbags.image import message_to_cvimage

from dp_ros.errors import MessageError
from dp_ros.messages.encodings import COLOURS
from dp_ros.messages.image import decode_image

RNG = np.random.default_rng(3)
HEIGHT, WIDTH = 6, 8


def image(encoding, rows, big=0, width=WIDTH, padding=0):
    """An Image message of whole rows of bytes, with so many bytes of padding each."""
    rows = np.pad(rows.reshape(len(rows), -1), ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        header=header(), height=len(rows), width=width, encoding=encoding, is_bigendian=big,
        step=rows.shape[1], data=rows.tobytes(),
    )  # fmt: skip


def random_bytes(encoding):
    kind = COLOURS[encoding]
    return RNG.integers(0, 256, (HEIGHT, WIDTH * kind.samples * kind.sample_bytes), np.uint8)


def swapped(rows):
    return rows.reshape(-1, 2)[:, ::-1].reshape(rows.shape)


@pytest.mark.parametrize('encoding', list(COLOURS))
def test_another_decoder_sees_the_same(encoding):
    rows = random_bytes(encoding)
    kind = COLOURS[encoding]
    # It squeezes sixteen bits by a factor instead of dropping eight, and does not know colours of plain 8UC3.
    known = {'8UC1': 'mono8', '8UC3': 'bgr8', '8UC4': 'bgra8'}.get(encoding, encoding)
    got = decode_image(image(encoding, rows)).astype(int)
    wide = '16' if kind.sample_bytes == 2 else '8'
    other = np.asarray(message_to_cvimage(image(known, rows), 'rgb' + wide), int)
    if kind.sample_bytes == 2:
        # A mosaic is interpolated there with all its bits; here after dropping them.
        assert np.abs(got - other / 256).max() <= 2.0
    else:
        np.testing.assert_array_equal(got, other)


@pytest.mark.parametrize('encoding', list(COLOURS))
def test_padding_and_byte_order_change_nothing(encoding):
    rows = random_bytes(encoding)
    plain = decode_image(image(encoding, rows))
    assert plain.shape == (HEIGHT, WIDTH, 3)
    assert plain.dtype == np.uint8
    assert not plain.flags.writeable
    np.testing.assert_array_equal(decode_image(image(encoding, rows, padding=5)), plain)
    if COLOURS[encoding].sample_bytes == 2:
        np.testing.assert_array_equal(decode_image(image(encoding, swapped(rows), big=1)), plain)


@pytest.mark.parametrize('bits', ['8', '16'])
@pytest.mark.parametrize('mosaic', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_a_mosaic_of_one_colour_is_that_colour(mosaic, bits):
    colour = dict(zip('rgb', (200, 120, 30), strict=True))
    tile = np.array([colour[c] for c in mosaic], np.uint16).reshape(2, 2)
    samples = np.tile(tile, (HEIGHT // 2, WIDTH // 2))
    rows = samples.astype(np.uint8) if bits == '8' else (samples << 8).astype('<u2').view(np.uint8)
    got = decode_image(image(f'bayer_{mosaic}{bits}', rows))
    assert (got == [200, 120, 30]).all()


@pytest.mark.parametrize('rgb', [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (30, 200, 90)])
def test_yuv_gives_back_the_colour_it_was_made_from(rgb):
    y, u, v = (
        int(x) for x in np.dot([[66, 129, 25], [-38, -74, 112], [112, -94, -18]], rgb) // 256 + [16, 128, 128]
    )
    for encoding, order in (('yuv422', (u, y, v, y)), ('yuv422_yuy2', (y, u, y, v))):
        rows = np.tile(np.array(order, np.uint8), (HEIGHT, WIDTH // 2))
        assert np.abs(decode_image(image(encoding, rows)).astype(int) - rgb).max() <= 4, encoding


@pytest.mark.parametrize(
    ('encoding', 'height', 'width'), [('yuv422', 4, 7), ('bayer_rggb8', 5, 8), ('bayer_rggb8', 4, 7)]
)
def test_odd_sizes_of_blocks_are_refused(encoding, height, width):
    rows = np.zeros((height, width * COLOURS[encoding].samples), np.uint8)
    with pytest.raises(
        MessageError, match=rf'{height} x {width} {encoding}: height and width must be multiples'
    ):
        decode_image(image(encoding, rows, width=width))


RANGE = (0.5, 2.5)
METRES = np.array([[0.0, 0.4, 0.5, 1.0, 1.5, 2.0, 2.5, 9.0]] * HEIGHT)
NEARNESS = [0, 255, 255, 192, 128, 64, 1, 1]  # 1 + 254 * (far - z) / (far - near), halves to the even one


def depth_rows(encoding, big):
    order = '>' if big else '<'
    if encoding == '32FC1':
        return METRES.astype(order + 'f4').view(np.uint8)
    return np.rint(METRES * 1000).astype(order + 'u2').view(np.uint8)


@pytest.mark.parametrize('big', [0, 1])
@pytest.mark.parametrize('encoding', ['16UC1', 'mono16', '32FC1'])
def test_depth_is_seen_as_nearness(encoding, big):
    got = decode_image(image(encoding, depth_rows(encoding, big), big, padding=3), RANGE)
    assert got.shape == (HEIGHT, WIDTH, 3)
    assert not got.flags.writeable
    for channel in range(3):
        np.testing.assert_array_equal(got[..., channel], [NEARNESS] * HEIGHT)


def test_nearness_falls_with_distance_and_the_unmeasured_is_zero():
    metres = np.linspace(0.01, 5.0, 400, dtype='<f4')[None]
    got = decode_image(image('32FC1', metres.view(np.uint8), width=400), RANGE)[0, :, 0].astype(int)
    assert (np.diff(got) <= 0).all()
    assert got.min() == 1
    nothing = np.array([[np.nan, np.inf, -np.inf, -1.0, 0.0, 1.0, 1.0, 1.0]], '<f4')
    got = decode_image(image('32FC1', nothing.view(np.uint8)), RANGE)[0, :, 0]
    assert (got[:5] == 0).all()
    assert (got[5:] == 192).all()


def compressed_depth(form, stored, head=b''):
    png = cv2.imencode('.png', stored)[1].tobytes()
    return SimpleNamespace(header=header(), format=form, data=head + png)


@pytest.mark.parametrize(
    ('form', 'head'),
    [
        ('16UC1; compressedDepth png', struct.pack('<iff', 0, 0.0, 0.0)),
        ('16UC1; compressedDepth', struct.pack('<iff', 0, 0.0, 0.0)),
        ('16UC1; png compressed ', b''),
        ('png', b''),
    ],
)
def test_compressed_millimetres_are_seen_as_raw_ones(form, head):
    stored = np.rint(METRES * 1000).astype(np.uint16)
    got = decode_image(compressed_depth(form, stored, head), RANGE)
    np.testing.assert_array_equal(got[..., 0], [NEARNESS] * HEIGHT)


def test_compressed_metres_are_stored_as_inverse_depth():
    # compressed_depth_image_transport: stored = a / z + b, with a = q * (q + 1) and b = 1 - a / far.
    far, quantisation = 10.0, 100.0
    a = quantisation * (quantisation + 1.0)
    b = 1.0 - a / far
    with np.errstate(divide='ignore'):
        stored = np.where(METRES > 0, np.clip(a / METRES + b, 0, 65535), 0).astype(np.uint16)
    message = compressed_depth('32FC1; compressedDepth png', stored, struct.pack('<iff', 0, a, b))
    got = decode_image(message, RANGE)[..., 0].astype(int)
    assert np.abs(got - [NEARNESS] * HEIGHT).max() <= 1


@pytest.mark.parametrize(
    ('form', 'data', 'reason'),
    [
        ('16UC1; compressedDepth rvl', b'x' * 30, 'compressed by RVL; legal: png'),
        ('16UC1; compressedDepth png', b'', 'do not decode'),
        ('16UC1; compressedDepth png', b'\0' * 40, 'do not decode'),
        ('jpeg', b'x', 'is no depth, but the binding says depth_m'),
    ],
)
def test_illegal_compressed_depth_is_refused(form, data, reason):
    with pytest.raises(MessageError, match=reason):
        decode_image(SimpleNamespace(header=header(), format=form, data=data), RANGE)


def test_eight_bits_of_depth_are_refused():
    message = compressed_depth('16UC1; png compressed', np.zeros((4, 4), np.uint8))
    with pytest.raises(MessageError, match='must be a grey PNG of 16 bits, got uint8'):
        decode_image(message, RANGE)


def test_colours_of_a_camera_that_is_bound_as_depth_are_refused():
    with pytest.raises(MessageError, match="'rgb8' is no depth, but the binding says depth_m"):
        decode_image(image('rgb8', random_bytes('rgb8')), RANGE)


@pytest.mark.parametrize(
    ('dtype', 'shape'),
    [(np.uint16, (6, 8)), (np.uint16, (6, 8, 3)), (np.uint8, (6, 8)), (np.uint8, (6, 8, 4))],
)
def test_png_of_any_depth_reads_as_colours(dtype, shape):
    pixels = RNG.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    got = decode_image(
        SimpleNamespace(header=header(), format='png', data=cv2.imencode('.png', pixels)[1].tobytes())
    )
    eight = (pixels >> 8).astype(np.uint8) if dtype == np.uint16 else pixels
    expected = np.repeat(eight[..., None], 3, axis=2) if eight.ndim == 2 else eight[..., 2::-1]
    np.testing.assert_array_equal(got, expected)
