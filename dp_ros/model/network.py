# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The diffusion transformer on one page.

An action token is ``actions_per_token`` consecutive actions. The network sees noised action tokens, one sigma per
token, and a context that is encoded once per observation: its tokens, their keys and values for every layer, and a
pooled summary that joins the noise level in modulating the blocks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dp_ros.model.attention import KeyValue
from dp_ros.model.blocks import Block, OutputHead
from dp_ros.model.embeddings import SigmaEmbedding
from dp_ros.model.encoders import CameraEncoder, VectorEncoder


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Sizes that an experiment chooses; the contract gives the rest."""

    width: int = 192
    depth: int = 4
    heads: int = 6
    mlp_ratio: int = 4
    actions_per_token: int = 4
    camera_points: int = 64
    camera_tokens: int = 4
    goal_dim: int = 0


@dataclass(frozen=True)
class Context:
    """One observation, encoded: what every denoising step reuses.

    Attributes:
        tokens_BND: context tokens.
        valid_BN: False where a token is padding; None if all are valid.
        summary_BD: masked mean of the tokens through an MLP.
        keys_values: per layer, the cross-attention's keys and values.
    """

    tokens_BND: Tensor
    valid_BN: Tensor | None
    summary_BD: Tensor
    keys_values: tuple[KeyValue, ...]

    def repeat(self, times: int) -> 'Context':
        """Each row ``times`` times in a row, for several noise draws of one observation."""

        def many(x: Tensor) -> Tensor:
            return x.repeat_interleave(times, dim=0)

        return Context(
            many(self.tokens_BND),
            None if self.valid_BN is None else many(self.valid_BN),
            many(self.summary_BD),
            tuple((many(k), many(v)) for k, v in self.keys_values),
        )


class Network(nn.Module):
    """F(c_in * x, sigma, context): action tokens in, raw prediction out, both (B, T, P).

    Args:
        config: sizes.
        cameras: names of the camera fields, in token order.
        proprio_dim: S.
        action_dim: A; P = actions_per_token * A.
        pred_horizon: Tp; T = Tp / actions_per_token.
        obs_horizon: To.
    """

    def __init__(
        self,
        config: NetworkConfig,
        *,
        cameras: tuple[str, ...],
        proprio_dim: int,
        action_dim: int,
        pred_horizon: int,
        obs_horizon: int,
    ):
        super().__init__()
        if pred_horizon % config.actions_per_token:
            raise ValueError(
                f'pred_horizon ({pred_horizon}) must be a multiple of '
                f'actions_per_token ({config.actions_per_token})'
            )
        self.config = config
        self.cameras = cameras
        self.num_tokens = pred_horizon // config.actions_per_token
        self.token_dim = config.actions_per_token * action_dim
        width = config.width
        self.camera_encoders = nn.ModuleDict(
            {name: CameraEncoder(width, config.camera_points, config.camera_tokens) for name in cameras}
        )
        self.proprio_encoder = VectorEncoder(proprio_dim, width)
        self.goal_encoder = VectorEncoder(config.goal_dim, width) if config.goal_dim else None
        tokens_per_step = len(cameras) * config.camera_tokens + 1
        self.num_context = obs_horizon * tokens_per_step + (1 if config.goal_dim else 0)
        self.context_position = nn.Parameter(0.02 * torch.randn(self.num_context, width))
        self.context_norm = nn.LayerNorm(width, eps=1e-6)
        self.summary = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.embed = nn.Linear(self.token_dim, width)
        self.action_position = nn.Parameter(0.02 * torch.randn(self.num_tokens, width))
        self.sigma_embedding = SigmaEmbedding(width)
        self.modulation = nn.Linear(width, Block.CHUNKS * width)
        nn.init.zeros_(self.modulation.weight)  # all gates closed: every block starts as the identity
        nn.init.zeros_(self.modulation.bias)
        self.blocks = nn.ModuleList(
            [Block(width, config.heads, config.mlp_ratio) for _ in range(config.depth)]
        )
        self.head = OutputHead(width, self.token_dim)

    def encode(
        self,
        proprio_BOS: Tensor,
        images: Mapping[str, Tensor],
        goal_BG: Tensor | None = None,
        valid_BN: Tensor | None = None,
    ) -> Context:
        """Encode one observation per row.

        Args:
            proprio_BOS: normalised joint positions.
            images: camera name to (B, O, H, W, 3) uint8.
            goal_BG: goal vector; required if and only if the network was built with ``goal_dim``.
            valid_BN: False hides a context token. Order: for each observation step the cameras' tokens, then
                proprioception; the goal last.
        """
        batch, steps = proprio_BOS.shape[:2]
        groups = []  # per observation step: (B, O, tokens, D)
        for name in self.cameras:
            tokens = self.camera_encoders[name](images[name].flatten(0, 1))
            groups.append(tokens.unflatten(0, (batch, steps)))
        groups.append(self.proprio_encoder(proprio_BOS)[:, :, None])
        tokens_BND = torch.cat(groups, dim=2).flatten(1, 2)
        if self.goal_encoder is not None:
            if goal_BG is None:
                raise ValueError('this network was built with a goal and got none')
            tokens_BND = torch.cat([tokens_BND, self.goal_encoder(goal_BG)[:, None]], dim=1)
        tokens_BND = self.context_norm(tokens_BND + self.context_position)  # (B, N, D)
        if valid_BN is None:
            mean_BD = tokens_BND.mean(dim=1)
        else:
            weight_BN1 = valid_BN[..., None].to(tokens_BND.dtype)
            mean_BD = (tokens_BND * weight_BN1).sum(dim=1) / weight_BN1.sum(dim=1).clamp(min=1)
        keys_values = tuple(block.context_keys_values(tokens_BND) for block in self._blocks())
        return Context(tokens_BND, valid_BN, self.summary(mean_BD), keys_values)

    def forward(
        self, x_BTP: Tensor, sigma_BT: Tensor, context: Context, action_valid_BTP: Tensor | None = None
    ) -> Tensor:
        """Raw prediction F.

        Args:
            x_BTP: scaled noised action tokens c_in * x.
            sigma_BT: noise level of every token.
            context: from :meth:`encode`.
            action_valid_BTP: False marks padded action dimensions; a token without a valid one is hidden.
        """
        token_valid_BT = None
        if action_valid_BTP is not None:
            x_BTP = x_BTP.masked_fill(~action_valid_BTP, 0.0)
            token_valid_BT = action_valid_BTP.any(dim=-1)
        x_BTD = self.embed(x_BTP) + self.action_position[: x_BTP.shape[1]]
        condition_BTD = self.sigma_embedding(sigma_BT) + context.summary_BD[:, None]
        condition_BTD = nn.functional.silu(condition_BTD)
        modulation_BTM = self.modulation(condition_BTD)
        for block, keys_values in zip(self._blocks(), context.keys_values, strict=True):
            x_BTD = block(x_BTD, modulation_BTM, keys_values, token_valid_BT, context.valid_BN)
        out_BTP = self.head(x_BTD, condition_BTD)
        return out_BTP if action_valid_BTP is None else out_BTP.masked_fill(~action_valid_BTP, 0.0)

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]
