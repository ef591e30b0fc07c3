# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What the policy saw, as a file and back."""

import numpy as np
import pytest

from dp_ros.errors import StoreError
from dp_ros.observation.observation import Observation
from dp_ros.observation.observation_file import load_observation, save_observation


def test_an_observation_comes_back_bit_for_bit(tmp_path):
    rng = np.random.default_rng(0)
    seen = Observation(
        1_700_000_000_123_456_789,
        rng.normal(size=(2, 7)).astype(np.float32),
        {'top': rng.integers(0, 255, (2, 6, 8, 3), np.uint8)},
        {'joints': 3, 'top[1]': 50_000_000},
    )
    again = load_observation(save_observation(tmp_path / 'new' / 'folder', seen))
    assert (again.stamp_ns, again.ages_ns) == (seen.stamp_ns, seen.ages_ns)
    assert again.proprio.dtype == np.float32
    np.testing.assert_array_equal(again.proprio, seen.proprio)
    np.testing.assert_array_equal(again.images['top'], seen.images['top'])


@pytest.mark.parametrize('content', [b'', b'nothing of the kind'])
def test_a_file_that_holds_none_is_named(tmp_path, content):
    path = tmp_path / '17.npz'
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r'17\.npz'):
        load_observation(path)
