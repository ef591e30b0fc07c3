# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The goal as one token: from a text, from a picture, or a learned null, all in the same place.

One latent for text and picture follows MDT (arXiv 2407.05996, sec. III-B). An absent goal is a learned token rather
than zeros, so that the unconditional branch of classifier-free guidance (BESO, arXiv 2304.02532) is a trained one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dp_ros.contract.contract import GOAL_KINDS
from dp_ros.model.encoders import CameraEncoder, VectorEncoder

# A row's kind of goal: none, or 1 + its place in GOAL_KINDS.
NO_GOAL, INSTRUCTION, IMAGE = range(1 + len(GOAL_KINDS))
_CODES = {kind: 1 + place for place, kind in enumerate(GOAL_KINDS)}
TEXT_DIM = 384
"""G, of the sentence embeddings (all-MiniLM-L6-v2)."""


@dataclass(frozen=True)
class GoalBatch:
    """One goal per row, of any kind.

    Attributes:
        kind_B: int64, NO_GOAL, INSTRUCTION or IMAGE.
        text_BG: sentence embeddings of length 1; rows of other kinds are not looked at. None if there are none.
        image_BHWC: uint8 RGB; rows of other kinds are not looked at. None if there are none.
    """

    kind_B: Tensor
    text_BG: Tensor | None = None
    image_BHWC: Tensor | None = None

    def rows(self, row_K: Tensor) -> 'GoalBatch':
        """Some of the rows."""
        text_BG, image_BHWC = self.text_BG, self.image_BHWC
        return GoalBatch(
            self.kind_B[row_K],
            None if text_BG is None else text_BG[row_K],
            None if image_BHWC is None else image_BHWC[row_K],
        )


class GoalEncoder(nn.Module):
    """One token per goal.

    The picture's encoder is built like a camera's but has weights of its own: where the end differs from the present
    is another question than where things are now, a camera's trunk may be modulated by the goal, and it is small.

    Args:
        width: D.
        points: of the picture's spatial softmax.
        kinds: the contract's goals, at least one.
    """

    def __init__(self, width: int, points: int, kinds: Sequence[str]):
        super().__init__()
        self.kinds = tuple(kinds)
        self.null = nn.Parameter(0.02 * torch.randn(width))
        self.text = VectorEncoder(TEXT_DIM, width) if 'instruction' in kinds else None
        self.picture = (
            nn.Sequential(CameraEncoder(width, points, 1), nn.Flatten(1), VectorEncoder(width, width))
            if 'image' in kinds
            else None
        )
        # Whatever its kind, a goal has the same size.
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)

    def forward(self, goals: GoalBatch) -> Tensor:
        """(B, D); only rows of a kind go through its encoder."""
        token_BD = self.null.expand(len(goals.kind_B), -1)
        for kind, code in _CODES.items():
            row_K = (goals.kind_B == code).nonzero()[:, 0]
            if not len(row_K):
                continue
            if kind not in self.kinds:
                raise ValueError(f'goals must be of {self.kinds}, as the network was built, got {kind!r}')
            token_BD = token_BD.index_put((row_K,), self._encode(goals, code, row_K).to(token_BD.dtype))
        return self.norm(token_BD)

    def null_tokens(self, rows: int) -> Tensor:
        """The token of no goal, (rows, D)."""
        return self.norm(self.null.expand(rows, -1))

    def _encode(self, goals: GoalBatch, code: int, row_K: Tensor) -> Tensor:
        if code == INSTRUCTION and self.text is not None and goals.text_BG is not None:
            # Length 1 becomes a spread of about 1, which is what the MLP's initialisation expects.
            return self.text(goals.text_BG[row_K] * TEXT_DIM**0.5)
        if code == IMAGE and self.picture is not None and goals.image_BHWC is not None:
            return self.picture(goals.image_BHWC[row_K])
        raise ValueError(f'rows {row_K.tolist()} have a goal of kind {code} and nothing that says it')
