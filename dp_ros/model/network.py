# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The diffusion transformer on one page.

An action token is ``actions_per_token`` consecutive actions. The network sees noised action tokens, one sigma per
token, and a context that is encoded once per observation: its tokens, their keys and values for every layer, and a
pooled summary that joins the noise level in modulating the blocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from dp_ros.errors import ConfigError
from dp_ros.model.attention import KeyValue
from dp_ros.model.blocks import Block, OutputHead
from dp_ros.model.embeddings import SigmaEmbedding
from dp_ros.model.encoders import CameraEncoder, VectorEncoder
from dp_ros.model.experts import Experts, ExpertSizes, FeedForward, Route
from dp_ros.model.goals import GoalEncoder
from dp_ros.model.past import Past, PastTokens


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Sizes that an experiment chooses; the contract gives the rest.

    Attributes:
        mlp_ratio: hidden units of the feed-forward over width.
        experts: experts in the place of every block's MLP, routed by the noise level alone; 0 for the MLP.
        experts_active: how many of them work on a token.
        expert_ratio: hidden units of one expert over width; 0 makes the experts that work on a token together as
            large as the MLP of ``mlp_ratio`` (a SwiGLU has three matrices, the MLP two).
        shared_expert: one more expert that works on every token.
        past_tokens: K action tokens that were commanded already and precede those that are denoised (past.py).
        fusion_token: one more context token, from all others together by an MLP, which modulates the blocks as well.
            What is to be done often depends on differences between tokens, such as those of hand and goal.
        goal_film: the goal also modulates what the cameras' trunks look for (FiLM), for tasks that share one picture.
    """

    width: int = 192
    depth: int = 4
    heads: int = 6
    mlp_ratio: int = 4
    actions_per_token: int = 4
    camera_points: int = 64
    camera_tokens: int = 4
    fusion_token: bool = False
    goal_film: bool = False
    experts: int = 0
    experts_active: int = 2
    expert_ratio: float = 0.0
    shared_expert: bool = False
    past_tokens: int = 0

    def __post_init__(self) -> None:
        if self.experts < 0 or self.expert_ratio < 0:
            raise ConfigError(f'network.experts and network.expert_ratio must not be negative, got {self}')
        if self.past_tokens < 0:
            raise ConfigError(f'network.past_tokens must not be negative, got {self.past_tokens}')
        if self.experts and not 1 <= self.experts_active <= self.experts:
            raise ConfigError(
                f'network.experts_active must lie between 1 and experts ({self.experts}), got {self.experts_active}'
            )

    @property
    def past_actions(self) -> int:
        """Actions of the past tokens."""
        return self.past_tokens * self.actions_per_token

    @property
    def expert_sizes(self) -> ExpertSizes | None:
        """What a block's experts are made of; None for the MLP."""
        if not self.experts:
            return None
        chosen = self.experts_active + self.shared_expert
        ratio = self.expert_ratio or 2 * self.mlp_ratio / (3 * chosen)
        hidden = max(1, round(ratio * self.width))
        return ExpertSizes(hidden, self.experts, self.experts_active, self.shared_expert)


@dataclass(frozen=True)
class Context:
    """One observation, encoded: what every denoising step reuses.

    Attributes:
        tokens_BND: context tokens.
        valid_BN: False where a token is padding; None if all are valid.
        summary_BD: masked mean of the tokens through an MLP.
        keys_values: per layer, the cross-attention's keys and values.
        past: what was commanded before; None for a network without past tokens.
    """

    tokens_BND: Tensor
    valid_BN: Tensor | None
    summary_BD: Tensor
    keys_values: tuple[KeyValue, ...]
    past: Past | None = None

    def repeat(self, times: int) -> 'Context':
        """Each row ``times`` times in a row, for several noise draws of one observation."""

        def many(x: Tensor) -> Tensor:
            return x.repeat_interleave(times, dim=0)

        return Context(
            many(self.tokens_BND),
            None if self.valid_BN is None else many(self.valid_BN),
            many(self.summary_BD),
            tuple((many(k), many(v)) for k, v in self.keys_values),
            None if self.past is None else self.past.repeat(times),
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
        goals: kinds of goals that it takes; the goal's token is the last one of the context.
        vectors: further measured vectors, name to length, in token order.
        past_sigma: noise level that past tokens carry.
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
        goals: tuple[str, ...] = (),
        vectors: Mapping[str, int] | None = None,
        past_sigma: float = 0.02,
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
        self.vector_encoders = nn.ModuleDict(
            {name: VectorEncoder(dim, width) for name, dim in (vectors or {}).items()}
        )
        tokens_per_step = len(cameras) * config.camera_tokens + 1 + len(self.vector_encoders)
        self.num_context = obs_horizon * tokens_per_step + (1 if goals else 0)
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
            [Block(width, config.heads, config.mlp_ratio, config.expert_sizes) for _ in range(config.depth)]
        )
        self.head = OutputHead(width, self.token_dim)
        # After everything else: a fresh network with modulation equals the one without.
        self.goals = GoalEncoder(width, config.camera_points, goals) if goals else None
        self.goal_summary = nn.Linear(width, width) if goals else None
        if config.goal_film and not goals:
            raise ValueError('goal_film needs a contract with goals')
        self.goal_films = nn.ModuleDict(
            {name: CameraEncoder.film(width) for name in cameras} if config.goal_film else {}
        )
        self.past = None
        if config.past_tokens:
            self.past = PastTokens(config.past_tokens, self.token_dim, width, past_sigma)
        self.fusion = self.fusion_summary = None
        if config.fusion_token:
            self.fusion = nn.Sequential(
                VectorEncoder(self.num_context * width, width), nn.LayerNorm(width, eps=1e-6)
            )
            self.fusion_summary = nn.Linear(width, width)

    def encode(
        self,
        proprio_BOS: Tensor,
        images: Mapping[str, Tensor],
        goal_BD: Tensor | None = None,
        valid_BN: Tensor | None = None,
        vectors: Mapping[str, Tensor] | None = None,
        past: Past | None = None,
    ) -> Context:
        """Encode one observation per row.

        Args:
            proprio_BOS: normalised joint positions.
            images: camera name to (B, O, H, W, 3) uint8.
            goal_BD: tokens of :class:`GoalEncoder`; required if and only if the network was built with goals. Where
                it has k times as many rows as there are observations, so has the context: the observations once with
                each B goals. They are encoded once, unless the goal modulates the cameras.
            valid_BN: False hides a context token. Order: for each observation step the cameras' tokens, then
                proprioception and the vectors; the goal last.
            vectors: name to (B, O, dim), normalised.
            past: what was commanded before, of each observation; None where nothing was yet.
        """
        if past is not None and self.past is None:
            raise ValueError('this network was built without past tokens and got some')
        if self.past is not None and past is None:
            past = self.past.none(proprio_BOS)
        if past is not None and goal_BD is not None:
            past = past.tile(len(goal_BD) // len(proprio_BOS))
        if (goal_BD is None) != (self.goals is None):
            raise ValueError(
                'this network was built with a goal and got none' if self.goals else 'no goals here'
            )
        if goal_BD is not None and self.goal_films:
            times = len(goal_BD) // len(proprio_BOS)
            proprio_BOS = proprio_BOS.repeat(times, 1, 1)
            images = {name: image.repeat(times, 1, 1, 1, 1) for name, image in images.items()}
            vectors = {name: values.repeat(times, 1, 1) for name, values in (vectors or {}).items()}
        batch, steps = proprio_BOS.shape[:2]
        groups = []  # per observation step: (B, O, tokens, D)
        for name in self.cameras:
            film = None
            if goal_BD is not None and name in self.goal_films:
                film = self.goal_films[name](goal_BD).repeat_interleave(steps, dim=0)
            tokens = self.camera_encoders[name](images[name].flatten(0, 1), film)
            groups.append(tokens.unflatten(0, (batch, steps)))
        groups.append(self.proprio_encoder(proprio_BOS)[:, :, None])
        for name, encoder in self.vector_encoders.items():
            groups.append(encoder((vectors or {})[name])[:, :, None])
        tokens_BND = torch.cat(groups, dim=2).flatten(1, 2)
        if goal_BD is not None:
            tokens_BND = tokens_BND.repeat(len(goal_BD) // batch, 1, 1)
            tokens_BND = torch.cat([tokens_BND, goal_BD[:, None].to(tokens_BND.dtype)], dim=1)
        tokens_BND = self.context_norm(tokens_BND + self.context_position)  # (B, N, D)
        if valid_BN is None:
            mean_BD = tokens_BND.mean(dim=1)
        else:
            weight_BN1 = valid_BN[..., None].to(tokens_BND.dtype)
            mean_BD = (tokens_BND * weight_BN1).sum(dim=1) / weight_BN1.sum(dim=1).clamp(min=1)
        summary_BD = self.summary(mean_BD)
        if self.goal_summary is not None:
            # The goal is one token of many, and what is to be done depends on it most: it has a way of its own.
            summary_BD = summary_BD + self.goal_summary(goal_BD)
        tokens_BND, valid_BN, summary_BD = self.fused(tokens_BND, valid_BN, summary_BD)
        keys_values = tuple(block.context_keys_values(tokens_BND) for block in self._blocks())
        return Context(tokens_BND, valid_BN, summary_BD, keys_values, past)

    def fused(
        self, tokens_BND: Tensor, valid_BN: Tensor | None, summary_BD: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Tokens, which of them count, and summary, with what the fusion token adds; the same without one."""
        if self.fusion is None or self.fusion_summary is None:
            return tokens_BND, valid_BN, summary_BD
        seen_BND = tokens_BND if valid_BN is None else tokens_BND * valid_BN[..., None].to(tokens_BND.dtype)
        fused_BD = self.fusion(seen_BND.flatten(1))
        if valid_BN is not None:
            valid_BN = nn.functional.pad(valid_BN, (0, 1), value=True)
        return (
            torch.cat([tokens_BND, fused_BD[:, None]], dim=1),
            valid_BN,
            summary_BD + self.fusion_summary(fused_BD),
        )

    def sequence_noise(self, sigma_BT: Tensor) -> Tensor:
        """Noise levels of all tokens that the blocks see, past ones first, (B, K + T)."""
        return sigma_BT if self.past is None else self.past.noise(sigma_BT)

    def experts(self) -> list[Experts]:
        """Every layer's experts; empty where the layers have an MLP."""
        return [block.mlp for block in self._blocks() if isinstance(block.mlp, Experts)]

    def routes(self, sigma_BT: Tensor) -> list[Route]:
        """Every layer's routes at any noise levels; empty where the layers have an MLP.

        In full precision even under autocast: at a router's borders bfloat16 would choose other experts.
        """
        layers = self.experts()
        if not layers:
            return []
        with torch.autocast(sigma_BT.device.type, enabled=False):
            embedding_BTD = self.sigma_embedding(sigma_BT)
            return [layer.route(embedding_BTD) for layer in layers]

    def feed_forwards(self, routes: Sequence[Route]) -> tuple[FeedForward, ...]:
        """What each layer does with its tokens on these routes, which are those of :meth:`sequence_noise`."""
        if not routes:
            return tuple(block.mlp for block in self._blocks())
        return tuple(partial(layer, route=route) for layer, route in zip(self.experts(), routes, strict=True))

    def forward(
        self,
        x_BTP: Tensor,
        sigma_BT: Tensor,
        context: Context,
        action_valid_BTP: Tensor | None = None,
        feed_forwards: Sequence[FeedForward] | None = None,
    ) -> Tensor:
        """Raw prediction F.

        Args:
            x_BTP: scaled noised action tokens c_in * x.
            sigma_BT: noise level of every token.
            context: from :meth:`encode`.
            action_valid_BTP: False marks padded action dimensions; a token without a valid one is hidden.
            feed_forwards: one per layer where they are known already (:meth:`feed_forwards`, route_plan.py); else they
                follow from sigma.
        """
        sigma_BT = self.sequence_noise(sigma_BT)
        if feed_forwards is None:
            feed_forwards = self.feed_forwards(self.routes(sigma_BT))
        token_valid_BT = None
        if action_valid_BTP is not None:
            x_BTP = x_BTP.masked_fill(~action_valid_BTP, 0.0)
            token_valid_BT = action_valid_BTP.any(dim=-1)
        x_BTD = self.embed(x_BTP) + self.action_position[: x_BTP.shape[1]]
        if self.past is not None:
            assert context.past is not None
            x_BTD = self.past.join(self.embed(context.past.x_BKP), x_BTD)
            token_valid_BT = self.past.valid(context.past, token_valid_BT, x_BTP.shape[1])
        condition_BTD = self.sigma_embedding(sigma_BT) + context.summary_BD[:, None]
        condition_BTD = nn.functional.silu(condition_BTD)
        modulation_BTM = self.modulation(condition_BTD)
        for block, keys_values, feed_forward in zip(
            self._blocks(), context.keys_values, feed_forwards, strict=True
        ):
            x_BTD = block(x_BTD, modulation_BTM, keys_values, token_valid_BT, context.valid_BN, feed_forward)
        past = self.config.past_tokens
        out_BTP = self.head(x_BTD[:, past:], condition_BTD[:, past:])
        return out_BTP if action_valid_BTP is None else out_BTP.masked_fill(~action_valid_BTP, 0.0)

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]
