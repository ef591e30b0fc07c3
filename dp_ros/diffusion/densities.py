# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Which noise levels training visits.

Streaming meets two shapes: all tokens at one level (a full denoise at the start of an epoch, chunk policies) and the
buffer's staircase (every tick). Training draws from both (Streaming Diffusion Policy, arXiv 2406.04806, sec. IV-B),
per sample rather than per batch, with the offset between whole levels drawn continuously so that any number of
evaluations a tick stays in distribution. A third shape, every token at a level of its own (Diffusion Forcing, arXiv
2407.01392, sec. 3.1), covers both and everything else.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dp_ros.diffusion.levels import NoiseLevels


@dataclass(frozen=True, kw_only=True)
class LevelDensity:
    """A mixture over level vectors.

    Attributes:
        buffer_share: probability of the buffer's staircase.
        independent_share: probability of independent levels; the rest shares one level among all tokens.
    """

    buffer_share: float
    independent_share: float = 0.0

    def __post_init__(self) -> None:
        shares = self.buffer_share, self.independent_share
        if min(shares) < 0.0 or sum(shares) > 1.0:
            raise ValueError(
                'buffer_share and independent_share must not be negative, nor their sum above 1, '
                f'got {self.buffer_share} and {self.independent_share}'
            )

    def levels(self, batch: int, tokens: int, levels: NoiseLevels, generator: torch.Generator) -> Tensor:
        """(B, T) levels in (0, L]: token t of a staircase has floor(t / (T / L)) + u, u uniform in (0, 1]."""
        u_B1 = 1.0 - torch.rand(batch, 1, generator=generator)
        shared_BT = (u_B1 * levels.count).expand(batch, tokens)
        stairs_T = torch.arange(tokens) // (tokens // levels.count)
        kind_B1 = torch.rand(batch, 1, generator=generator)
        level_BT = torch.where(kind_B1 < self.buffer_share, stairs_T + u_B1, shared_BT)
        if not self.independent_share:
            return level_BT
        own_BT = (1.0 - torch.rand(batch, tokens, generator=generator)) * levels.count
        return torch.where(kind_B1 >= 1.0 - self.independent_share, own_BT, level_BT)
