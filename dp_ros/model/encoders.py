# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Encoders that turn one observation into context tokens."""

import torch
from torch import Tensor, nn


class ResidualConv(nn.Module):
    """Two 3x3 convolutions with GroupNorm around a skip connection."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(8, channels),
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Same shape in and out."""
        return nn.functional.silu(x_BCHW + self.body(x_BCHW))


class SpatialSoftmax(nn.Module):
    """Expected image coordinates of K learned attention maps (Finn et al., arXiv 1509.06113, sec. IV-B).

    Gives per point: x, y in [-1, 1], and the map's peak logit squashed to (0, 1), which says whether the point is
    there at all.
    """

    def __init__(self, channels: int, points: int):
        super().__init__()
        self.maps = nn.Conv2d(channels, points, 1)
        self.temperature = nn.Parameter(torch.ones(points, 1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) to (B, K, 3), computed in float32: coordinates need more bits than bfloat16 has."""
        height, width = x_BCHW.shape[-2:]
        logits_BKM = self.maps(x_BCHW).flatten(2).float()
        weight_BKM = (logits_BKM * self.temperature.float()).softmax(dim=-1)
        ys = torch.linspace(-1, 1, height, device=x_BCHW.device).repeat_interleave(width)
        xs = torch.linspace(-1, 1, width, device=x_BCHW.device).repeat(height)
        xy_BK2 = weight_BKM @ torch.stack([xs, ys], dim=-1)
        peak_BK1 = logits_BKM.amax(dim=-1, keepdim=True).tanh()
        return torch.cat([xy_BK2, peak_BK1], dim=-1)


class CameraEncoder(nn.Module):
    """A small GroupNorm ResNet with spatial softmax; its K points are dealt out to a few tokens."""

    CHANNELS = 64

    def __init__(self, width: int, points: int, tokens: int):
        super().__init__()
        if points % tokens:
            raise ValueError(f'camera_points ({points}) must be a multiple of camera_tokens ({tokens})')
        self.tokens = tokens
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 32, 5, stride=2, padding=2, bias=False),
            nn.GroupNorm(8, 32),
            nn.SiLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False),
            nn.GroupNorm(8, 64),
            nn.SiLU(),
            ResidualConv(64),
        )
        self.pool = SpatialSoftmax(64, points)
        self.project = nn.Linear(3 * points // tokens, tokens * width)

    @staticmethod
    def film(width: int) -> nn.Linear:
        """What turns a condition (B, D) into the modulation of :meth:`forward`: none at initialisation."""
        layer = nn.Linear(width, 4 * CameraEncoder.CHANNELS)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer

    def forward(self, image_BHWC: Tensor, film_BM: Tensor | None = None) -> Tensor:
        """(B, H, W, 3) uint8 RGB to (B, tokens, D).

        ``film_BM`` (M = 4 C) scales and shifts the channels before and after the residual block (FiLM, Perez et al.,
        arXiv 1709.07871).
        """
        weight = self.project.weight
        x_BCHW = image_BHWC.permute(0, 3, 1, 2).to(weight.dtype) / 127.5 - 1.0
        if film_BM is None:
            x_BCHW = self.trunk(x_BCHW)
        else:
            scale, shift, scale_after, shift_after = film_BM[..., None, None].chunk(4, dim=1)
            x_BCHW = self.trunk[:-1](x_BCHW) * (1 + scale) + shift
            x_BCHW = self.trunk[-1](x_BCHW) * (1 + scale_after) + shift_after
        points_BKv = self.pool(x_BCHW).to(weight.dtype)
        groups_BGv = points_BKv.unflatten(1, (self.tokens, -1)).flatten(2)  # (B, G, 3K/G)
        # Each group of points has its own projection: a grouped linear layer as one batched product.
        w_GDv = weight.unflatten(0, (self.tokens, -1))
        bias_GD = self.project.bias.unflatten(0, (self.tokens, -1))
        return torch.einsum('bgv,gdv->bgd', groups_BGv, w_GDv) + bias_GD


class VectorEncoder(nn.Module):
    """An MLP that turns one vector into one token."""

    def __init__(self, dim: int, width: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) to (..., D)."""
        return self.mlp(x)
