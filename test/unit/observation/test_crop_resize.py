# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""From a camera's image to the network's pixels."""

import numpy as np
import pytest

from dp_ros.contract import Camera
from dp_ros.errors import MessageError
from dp_ros.observation.image import crop_resize


def test_area_resampling_of_the_crop_is_the_mean_of_blocks():
    camera = Camera(name='top', source_size=(8, 12), crop=(2, 3, 4, 6), size=(2, 3))
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    blocks = image[2:6, 3:9].reshape(2, 2, 3, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(crop_resize(image, camera), blocks, atol=0.5)


def test_equal_size_is_the_identity_and_strides_do_not_matter():
    camera = Camera(name='top', source_size=(4, 5), crop=(0, 0, 4, 5), size=(4, 5))
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    np.testing.assert_array_equal(crop_resize(image, camera), image)
    flipped = crop_resize(image[..., ::-1], camera)
    np.testing.assert_array_equal(flipped, image[..., [2, 1, 0]])
    assert flipped.flags.c_contiguous


def test_the_input_is_not_changed():
    camera = Camera(name='top', source_size=(4, 6), crop=(0, 0, 4, 6), size=(2, 3))
    image = np.zeros((4, 6, 3), np.uint8)
    image.setflags(write=False)
    assert crop_resize(image, camera).shape == (2, 3, 3)


@pytest.mark.parametrize(
    'image', [np.zeros((4, 5), np.uint8), np.zeros((5, 4, 3), np.uint8), np.zeros((4, 5, 3), np.float32)]
)
def test_another_shape_or_type_is_refused(image):
    camera = Camera(name='top', source_size=(4, 5), crop=(0, 0, 4, 5), size=(4, 5))
    with pytest.raises(MessageError, match=r"camera 'top': expected \(4, 5, 3\) uint8, got"):
        crop_resize(image, camera)
