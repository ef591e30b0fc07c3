# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Seeds of the splits never mix."""

import itertools

import pytest

from dp_ros.errors import ConfigError
from dp_ros.simulation.seeds import SPLITS, require_split, split_of


def test_splits_do_not_meet():
    ends = sorted((seeds.start, seeds.stop) for seeds in SPLITS.values())
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ends))
    assert [split_of(s) for s in (0, 999, 10_000, 99_999, 100_000)] == [
        'test', 'test', 'validation', 'validation', 'training',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('seeds', 'text'),
    [
        (range(990, 1001), 'seed 1000 belongs to no split; legal: 0 to 999'),
        (range(-1, 3), 'seed -1 belongs to no split'),
        (range(99_990, 100_010), 'are for training and validation'),
        (
            range(100_000, 100_001),
            r'are for training; legal: 0 to 999 \(test\), 10000 to 99999 \(validation\)',
        ),
    ],
)
def test_what_mixes_them_is_refused(seeds, text):
    with pytest.raises(ConfigError, match=text):
        require_split(seeds, ('test', 'validation'), 'rollout')


def test_one_split_is_named():
    assert require_split(range(10_000, 10_050), ('test', 'validation'), 'rollout') == 'validation'
