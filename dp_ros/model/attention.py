# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Attention with QK-norm; keys and values can be made once and used many times."""

import torch.nn.functional as F
from torch import Tensor, nn

KeyValue = tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Multi-head attention; queries and keys are RMS-normalised per head (QK-norm, FiTv2, arXiv 2410.13925)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        if width % heads:
            raise ValueError(f'width ({width}) must be a multiple of heads ({heads})')
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.query_norm = nn.RMSNorm(width // heads, eps=1e-6)
        self.key_norm = nn.RMSNorm(width // heads, eps=1e-6)

    def keys_values(self, source_BND: Tensor) -> KeyValue:
        """Keys and values of a source sequence, each (B, H, N, D/H)."""
        k_BND, v_BND = self.key_value(source_BND).chunk(2, dim=-1)
        return self.key_norm(self._split(k_BND)), self._split(v_BND)

    def forward(self, x_BTD: Tensor, keys_values: KeyValue, valid_BN: Tensor | None = None) -> Tensor:
        """Attend from x to prepared keys and values; ``valid_BN`` False hides a source token.

        Every row must see at least one valid source token.
        """
        k_BHNd, v_BHNd = keys_values
        q_BHTd = self.query_norm(self._split(self.query(x_BTD)))
        mask = None if valid_BN is None else valid_BN[:, None, None, :]
        y_BHTd = F.scaled_dot_product_attention(q_BHTd, k_BHNd, v_BHNd, attn_mask=mask)
        return self.out(y_BHTd.transpose(1, 2).flatten(2))

    def _split(self, x_BND: Tensor) -> Tensor:
        return x_BND.unflatten(-1, (self.heads, -1)).transpose(1, 2)
