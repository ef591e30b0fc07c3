# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The tables of config/instructions hold the embeddings of the texts beside them."""

import pytest
import torch

from dp_ros.contract.strict_yaml import load_strict_yaml
from dp_ros.policy.goal import Instructions
from dp_ros.policy.sentence_encoder import SentenceEncoder, is_installed
from dp_ros.share import share_path

PAGES = sorted(share_path('config', 'instructions').glob('*.yaml'))


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_every_text_has_its_embedding(page):
    texts = {text for several in load_strict_yaml(page).values() for text in several}
    table = Instructions.from_bytes(page.with_suffix('.safetensors').read_bytes())
    assert set(table.texts) == texts, 'run scripts/embed_instructions.py'
    torch.testing.assert_close(table.vectors_MG.norm(dim=1), torch.ones(len(texts)))
    # Also without a language model, and whatever a checkpoint knows.
    assert torch.equal(Instructions().vector(table.texts[0].upper()), table.vectors_MG[0])
    if is_installed():
        torch.testing.assert_close(SentenceEncoder().encode(table.texts[:3]), table.vectors_MG[:3])
