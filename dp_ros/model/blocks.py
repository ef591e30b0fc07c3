# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The transformer block: self-attention over action tokens, cross-attention to the context, MLP or experts."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dp_ros.model.attention import Attention, KeyValue
from dp_ros.model.experts import Experts, ExpertSizes, FeedForward


class Block(nn.Module):
    """A pre-norm block whose three branches are modulated and gated per action token (adaLN-zero).

    The gates are zero at initialisation, so a fresh block is the identity (DiT, arXiv 2212.09748, sec. 3.2). The
    modulation is computed once for all blocks and each block adds its own offset (adaLN-single, PixArt-alpha,
    arXiv 2310.00426, sec. 2.3): per-block projections would cost a third of the whole network.
    """

    CHUNKS = 7

    def __init__(self, width: int, heads: int, mlp_ratio: int, experts: ExpertSizes | None = None):
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.self_attention = Attention(width, heads)
        self.cross_attention = Attention(width, heads)
        self.mlp: nn.Module
        if experts is None:
            self.mlp = nn.Sequential(
                nn.Linear(width, mlp_ratio * width), nn.GELU('tanh'), nn.Linear(mlp_ratio * width, width)
            )
        else:
            self.mlp = Experts(width, experts)
        self.modulation_offset = nn.Parameter(torch.zeros(self.CHUNKS * width))

    def context_keys_values(self, tokens_BND: Tensor) -> KeyValue:
        """This layer's keys and values of the context: computed once per observation."""
        return self.cross_attention.keys_values(tokens_BND)

    def forward(
        self,
        x_BTD: Tensor,
        modulation_BTM: Tensor,
        context: KeyValue,
        action_valid_BT: Tensor | None,
        context_valid_BN: Tensor | None,
        feed_forward: FeedForward | None = None,
    ) -> Tensor:
        """One layer; ``modulation_BTM`` (M = 7 D) is shared by all layers, ``context`` is this layer's.

        ``feed_forward`` stands in for the MLP: experts with their routes.
        """
        modulation_BTM = modulation_BTM + self.modulation_offset
        shift_a, scale_a, gate_a, gate_c, shift_m, scale_m, gate_m = modulation_BTM.chunk(self.CHUNKS, dim=-1)
        h_BTD = self.norm(x_BTD) * (1 + scale_a) + shift_a
        attended_BTD = self.self_attention(h_BTD, self.self_attention.keys_values(h_BTD), action_valid_BT)
        x_BTD = x_BTD + gate_a * attended_BTD
        x_BTD = x_BTD + gate_c * self.cross_attention(self.norm(x_BTD), context, context_valid_BN)
        h_BTD = self.norm(x_BTD) * (1 + scale_m) + shift_m
        return x_BTD + gate_m * (feed_forward or self.mlp)(h_BTD)


class OutputHead(nn.Module):
    """Final modulated norm and projection, zero at initialisation: a fresh network predicts F = 0."""

    def __init__(self, width: int, out: int):
        super().__init__()
        self.modulation = nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, out)
        for layer in (self.modulation, self.project):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x_BTD: Tensor, condition_BTD: Tensor) -> Tensor:
        """(B, T, D) to (B, T, P)."""
        shift, scale = self.modulation(condition_BTD).chunk(2, dim=-1)
        h_BTD = F.layer_norm(x_BTD, x_BTD.shape[-1:], eps=1e-6) * (1 + scale) + shift
        return self.project(h_BTD)
