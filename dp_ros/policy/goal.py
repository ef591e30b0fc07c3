# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a policy is asked to do, and the instructions whose embeddings it knows."""

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from dp_ros.errors import GoalError
from dp_ros.model.goals import TEXT_DIM
from dp_ros.policy.sentence_encoder import SentenceEncoder, is_installed
from dp_ros.share import share_path

_LISTED = 10


@dataclass(frozen=True, eq=False)
class Goal:
    """An instruction or a picture of the end, exactly one of them.

    Attributes:
        instruction: what to do, in words.
        image: (H, W, 3) uint8 RGB, what the contract's first camera shall show in the end, of the size that the
            network sees (``crop_resize`` makes it).
    """

    instruction: str | None = None
    image: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if (self.instruction is None) == (self.image is None):
            raise GoalError('a goal is an instruction or an image, and not both')
        if self.instruction is not None and not self.instruction.strip():
            raise GoalError('an instruction must not be empty')

    @property
    def kind(self) -> str:
        """'instruction' or 'image'."""
        return 'image' if self.instruction is None else 'instruction'

    def __str__(self) -> str:
        return 'image' if self.instruction is None else f'instruction {self.instruction!r}'


@dataclass(frozen=True, eq=False)
class Instructions:
    """Embeddings by text, so that a robot needs no language model for what it was taught.

    Attributes:
        texts: as they were given; case and white space make no difference.
        vectors_MG: (M, 384) float32 of length 1.
    """

    texts: tuple[str, ...] = ()
    vectors_MG: Tensor = field(default_factory=lambda: torch.zeros(0, TEXT_DIM))

    @classmethod
    def embed(cls, texts: Iterable[str]) -> 'Instructions':
        """From the tables that the package ships, and by the language model for what is not in them.

        Raises:
            ConfigError: a text is in no table, and the language model is not installed.
        """
        unique = {_key(text): text for text in texts}
        if not unique:
            return cls()
        known = _shipped()
        missing = [key for key in unique if key not in known]
        if missing:
            known = known | dict(zip(missing, SentenceEncoder().encode(missing), strict=True))
        return cls(tuple(unique.values()), torch.stack([known[key] for key in unique]))

    def rows(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (M, 384) of several texts, see :meth:`vector`."""
        return torch.stack([self.vector(text) for text in texts]) if texts else torch.zeros(0, TEXT_DIM)

    def vector(self, text: str) -> Tensor:
        """The embedding (384,) of a known text, of one in the package's tables, or of any other by the language model.

        Raises:
            GoalError: nobody knows the text and the model is not installed; lists what is known, the nearest first.
        """
        key = _key(text)
        for known, vector_G in zip(self.texts, self.vectors_MG, strict=True):
            if _key(known) == key:
                return vector_G
        if (shipped_G := _shipped().get(key)) is not None:
            return shipped_G
        if is_installed():
            return SentenceEncoder().encode([text])[0]
        near = sorted(self.texts, key=lambda known: -difflib.SequenceMatcher(None, key, _key(known)).ratio())
        more = f', and {len(near) - _LISTED} more' if len(near) > _LISTED else ''
        raise GoalError(
            f'instruction {text!r} is not one that this checkpoint knows, and the language model (extra [language]) '
            f'is not installed; known, the nearest first: {", ".join(map(repr, near[:_LISTED])) or "none"}{more}'
        )

    def to_bytes(self) -> bytes:
        """As a safetensors file whose header holds the texts."""
        return save_tensors({'vectors': self.vectors_MG.contiguous()}, {'texts': json.dumps(self.texts)})

    @classmethod
    def from_bytes(cls, blob: bytes) -> 'Instructions':
        """The inverse of :meth:`to_bytes`; ValueError or KeyError for anything else."""
        vectors_MG = load_tensors(blob)['vectors']
        header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], 'little')])
        texts = tuple(json.loads(header['__metadata__']['texts']))
        if vectors_MG.shape != (len(texts), TEXT_DIM):
            raise ValueError(f'{len(texts)} texts with vectors of shape {tuple(vectors_MG.shape)}')
        return cls(texts, vectors_MG.float())


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Tensor]:
    """The tables of config/instructions."""
    out: dict[str, Tensor] = {}
    for path in sorted(share_path('config', 'instructions').glob('*.safetensors')):
        table = Instructions.from_bytes(path.read_bytes())
        out |= {_key(text): vector_G for text, vector_G in zip(table.texts, table.vectors_MG, strict=True)}
    return out


def _key(text: str) -> str:
    return ' '.join(text.lower().split())
