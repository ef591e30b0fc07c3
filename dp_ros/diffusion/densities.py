# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Which noise levels training visits.

Streaming meets two shapes: all tokens at one level (a full denoise at the start of an epoch, chunk policies) and the
buffer's staircase (every tick). Training draws from both (Streaming Diffusion Policy, arXiv 2406.04806, sec. IV-B),
per sample rather than per batch, with the offset between whole levels drawn continuously so that any number of
evaluations a tick stays in distribution.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dp_ros.diffusion.levels import NoiseLevels


@dataclass(frozen=True, kw_only=True)
class LevelDensity:
    """A mixture over level vectors.

    Attributes:
        buffer_share: probability of the buffer's staircase; the rest shares one level among all tokens.
    """

    buffer_share: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.buffer_share <= 1.0:
            raise ValueError(f'buffer_share must lie in [0, 1], got {self.buffer_share}')

    def levels(self, batch: int, tokens: int, levels: NoiseLevels, generator: torch.Generator) -> Tensor:
        """(B, T) levels in (0, L]: token t of a staircase has floor(t / (T / L)) + u, u uniform in (0, 1]."""
        u_B1 = 1.0 - torch.rand(batch, 1, generator=generator)
        shared_BT = (u_B1 * levels.count).expand(batch, tokens)
        stairs_T = torch.arange(tokens) // (tokens // levels.count)
        is_buffer_B1 = torch.rand(batch, 1, generator=generator) < self.buffer_share
        return torch.where(is_buffer_B1, stairs_T + u_B1, shared_BT)
