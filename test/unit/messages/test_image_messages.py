# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Images of every encoding, padding and kind of message."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from message_kinds import KINDS, as_field, empty_image, header

from dp_ros.errors import MessageError
from dp_ros.messages.image import decode_image, fill_image
from dp_ros.messages.stamps import header_ns

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
ALPHA = np.full((5, 7, 1), 200, np.uint8)
RAW = {
    'rgb8': RGB,
    'bgr8': RGB[..., ::-1],
    'rgba8': np.concatenate([RGB, ALPHA], axis=2),
    'bgra8': np.concatenate([RGB[..., ::-1], ALPHA], axis=2),
    'mono8': RGB[..., :1],
}


def message(kind, encoding, padding=0):
    made = empty_image(kind)
    rows = RAW[encoding].reshape(5, -1)
    made.height, made.width, made.encoding = 5, 7, encoding
    made.step = rows.shape[1] + padding
    rows = np.concatenate([rows, np.full((5, padding), 255, np.uint8)], axis=1)
    made.data = as_field(kind, rows.tobytes())
    return made


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('encoding', list(RAW))
def test_every_encoding_reads_as_rgb_without_a_copy(kind, padding, encoding):
    sent = message(kind, encoding, padding)
    got = decode_image(sent)
    expected = np.repeat(RGB[..., :1], 3, axis=2) if encoding == 'mono8' else RGB
    np.testing.assert_array_equal(got, expected)
    assert not got.flags.writeable
    assert np.shares_memory(got, np.frombuffer(sent.data, np.uint8))


@pytest.mark.parametrize('kind', KINDS)
def test_what_is_filled_in_reads_back(kind):
    made = empty_image(kind)
    fill_image(made, RGB[::2, ::-1], 1_500_000_007, 'top')
    np.testing.assert_array_equal(decode_image(made), RGB[::2, ::-1])
    assert (header_ns(made), made.header.frame_id) == (1_500_000_007, 'top')
    assert (made.encoding, made.step, made.height, made.width) == ('rgb8', 21, 3, 7)


def smooth():
    y, x = np.mgrid[:48, :64]
    return np.stack([x * 3, y * 4, (x + y) * 2], axis=2).astype(np.uint8)


def compressed(form, extension, **changes):
    data = cv2.imencode(extension, cv2.cvtColor(smooth(), cv2.COLOR_RGB2BGR))[1]
    return SimpleNamespace(**{'header': header(), 'format': form, 'data': data.tobytes(), **changes})


def test_png_is_exact_and_jpeg_is_close_both_in_rgb():
    np.testing.assert_array_equal(decode_image(compressed('png', '.png')), smooth())
    for form in ('jpeg', 'rgb8; jpeg compressed bgr8'):
        error = np.abs(decode_image(compressed(form, '.jpg')).astype(int) - smooth())
        assert error.mean() < 3


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'encoding': 'nv12'}, r"encoding 'nv12' is unknown; legal: \['rgb8', 'bgr8', 'rgba8'"),
        ({'encoding': '16UC1'}, r"encoding '16UC1' is depth: say depth_m: \[near, far\]"),
        ({'step': 20}, '105 bytes in steps of 20, need at least 5 steps of 21'),
        ({'data': b'\0' * 104}, '104 bytes in steps of 21'),
        ({'height': 0}, 'image of 0 x 7'),
    ],
)
def test_illegal_images_are_refused(changes, reason):
    sent = message('plain', 'rgb8')
    vars(sent).update(changes)
    with pytest.raises(MessageError, match=reason):
        decode_image(sent)


@pytest.mark.parametrize('form', ['tiff', ''])
def test_unknown_formats_are_refused(form):
    with pytest.raises(MessageError, match='is unknown; legal: jpeg, png'):
        decode_image(compressed(form, '.png'))


@pytest.mark.parametrize('form', ['16UC1; compressedDepth png', '16UC1; png compressed'])
def test_depth_of_a_camera_that_is_bound_as_none_is_refused(form):
    with pytest.raises(MessageError, match='is depth: say depth_m'):
        decode_image(compressed(form, '.png'))


@pytest.mark.parametrize(('form', 'extension'), [('jpeg', '.jpg'), ('png', '.png')])
def test_damaged_and_cut_images_are_refused(form, extension):
    whole = compressed(form, extension).data
    for data in (b'', b'garbage', whole[: len(whole) // 4]):
        with pytest.raises(MessageError, match='do not decode'):
            decode_image(compressed(form, extension, data=data))


def test_only_rgb_can_be_filled_in():
    with pytest.raises(MessageError, match=r'must be \(H, W, 3\) uint8'):
        fill_image(empty_image('plain'), np.zeros((4, 4), np.uint8), 0)
