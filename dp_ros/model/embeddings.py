# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Embeddings of the noise level."""

import math

import torch
from torch import Tensor, nn


class SigmaEmbedding(nn.Module):
    """Fourier features of ln(sigma) / 4 through an MLP, for every action token on its own.

    The features are non-linear in ln(sigma), so that conditioning directions at different noise levels are not
    collinear (an affine embedding, as in the published MoDE code, draws a line that only later layers can bend).
    """

    frequencies: Tensor

    def __init__(self, width: int, features: int = 32):
        super().__init__()
        # Periods from 8 (the whole range of ln(sigma)/4 is about 2) down to 1/16 of the range.
        self.register_buffer(
            'frequencies', 2.0 * math.pi * torch.logspace(-3, 2, features, base=2.0), persistent=False
        )
        self.mlp = nn.Sequential(nn.Linear(2 * features, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, sigma_BT: Tensor) -> Tensor:
        """(B, T) positive noise levels to (B, T, D)."""
        c_noise_BT = 0.25 * sigma_BT.float().log()
        angle = c_noise_BT[..., None] * self.frequencies
        return self.mlp(torch.cat([angle.sin(), angle.cos()], dim=-1))
