# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Actions that were commanded already, as the first tokens of the sequence: history in the manner of Diffusion Forcing.

A clean token is one at the lowest noise level (Diffusion Forcing, arXiv 2407.01392, sec. 3.2), so what was done needs
no encoder of its own: it precedes the tokens to be denoised, carries sigma_min, and is never noised. Nothing is
predicted for it. Where nothing was commanded yet a token is hidden from all others.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Past:
    """The K action tokens before the first one that is denoised, the oldest first.

    Attributes:
        x_BKP: c_in(sigma_min) * a, as F is given any token.
        valid_BK: False where the epoch had not begun.
    """

    x_BKP: Tensor
    valid_BK: Tensor

    def to(self, device: torch.device) -> 'Past':
        """The same on another device."""
        return Past(self.x_BKP.to(device), self.valid_BK.to(device))

    def repeat(self, times: int) -> 'Past':
        """Each row ``times`` times in a row."""
        return Past(self.x_BKP.repeat_interleave(times, 0), self.valid_BK.repeat_interleave(times, 0))

    def tile(self, times: int) -> 'Past':
        """All rows ``times`` times."""
        return Past(self.x_BKP.repeat(times, 1, 1), self.valid_BK.repeat(times, 1))


class PastTokens(nn.Module):
    """Puts past tokens before those that are denoised.

    Args:
        count: K.
        token_dim: P.
        width: D.
        sigma: their noise level.
    """

    def __init__(self, count: int, token_dim: int, width: int, sigma: float):
        super().__init__()
        self.count, self.token_dim, self.sigma = count, token_dim, sigma
        self.position = nn.Parameter(0.02 * torch.randn(count, width))

    def none(self, like_BX: Tensor) -> Past:
        """Nothing was commanded yet: all are hidden; for as many rows as ``like_BX`` has."""
        x_BKP = like_BX.new_zeros(len(like_BX), self.count, self.token_dim)
        return Past(x_BKP, torch.zeros(x_BKP.shape[:2], dtype=torch.bool, device=like_BX.device))

    def noise(self, sigma_BT: Tensor) -> Tensor:
        """Noise levels of the whole sequence, (B, K + T)."""
        return torch.cat([sigma_BT.new_full((len(sigma_BT), self.count), self.sigma), sigma_BT], dim=1)

    def join(self, past_BKD: Tensor, x_BTD: Tensor) -> Tensor:
        """The sequence of embedded tokens, (B, K + T, D)."""
        return torch.cat([past_BKD + self.position, x_BTD], dim=1)

    def valid(self, past: Past, valid_BT: Tensor | None, tokens: int) -> Tensor:
        """Which tokens of the sequence may be seen, (B, K + T)."""
        if valid_BT is None:
            valid_BT = past.valid_BK.new_ones(len(past.valid_BK), tokens)
        return torch.cat([past.valid_BK, valid_BT], dim=1)
