# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a network holds, computes and uses: parameters, operations of an evaluation, loads of experts.

Operations are floating-point operations of matrix products (a multiplication and an addition are two), one row, one
network evaluation with the context given. Fused experts count as what they are: products with all their rows.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from dp_ros.model.network import Network, NetworkConfig


def total_parameters(network: Network) -> int:
    """All weights."""
    return sum(p.numel() for p in network.parameters())


def active_parameters(network: Network) -> int:
    """Weights that one action token at one noise level meets: the experts that it does not go to are left out."""
    idle = 0
    for experts in network.experts():
        sizes = experts.sizes
        one = sum(p[0].numel() for p in (experts.up_EHD, experts.up_bias_EH, experts.down_EDG))
        idle += (sizes.count - sizes.chosen) * one
    return total_parameters(network) - idle


def dense_like(config: NetworkConfig, *, total: bool) -> NetworkConfig:
    """The network with an MLP whose weights are as many as those of the active experts, or of all of them.

    ``mlp_ratio`` is a whole number, so this is the nearest one.
    """
    sizes = config.expert_sizes
    if sizes is None:
        return config
    hidden = (sizes.count if total else sizes.chosen) * sizes.hidden
    return replace(
        config, experts=0, shared_expert=False, mlp_ratio=max(1, round(1.5 * hidden / config.width))
    )


def evaluation_operations(network: Network, fused: Sequence[int] | None = None) -> int:
    """Operations of one evaluation, all action tokens of one row.

    Args:
        network: any.
        fused: per layer the number of experts that are fused for this evaluation (a plan's sets); None for live
            routing, which computes each token's own experts, and the routes.
    """
    config = network.config
    width, context = config.width, network.num_context + config.fusion_token
    tokens = config.past_tokens + network.num_tokens
    embed_sigma = 2 * network.sigma_embedding.frequencies.numel() * width + width**2
    per_token = network.token_dim * width + embed_sigma + 7 * width**2  # tokens in, noise in, modulation
    attention = 6 * width**2 + 2 * (tokens + context) * width  # own keys and values; the context's are given
    per_token += config.depth * attention
    layers = network.experts()
    if not layers:
        per_token += config.depth * 2 * config.mlp_ratio * width**2
    for number, experts in enumerate(layers):
        sizes = experts.sizes
        per_token += (sizes.chosen if fused is None else fused[number]) * 3 * sizes.hidden * width
        if fused is None:
            per_token += sum(layer.weight.numel() for layer in experts.router if isinstance(layer, nn.Linear))
    if layers and fused is None:
        per_token += embed_sigma  # once more, in full precision
    head = 2 * width**2 + width * network.token_dim
    return 2 * (tokens * per_token + network.num_tokens * head)


@torch.no_grad()
def mixture_weights(network: Network, sigma_S: Tensor) -> Tensor:
    """Weights of all routed experts over noise levels, (layers, S, E); 0 where an expert is not chosen."""
    weights = []
    for route in network.routes(sigma_S[:, None]):
        experts = route.probability_BTE.shape[-1]
        weight_SK, index_SK = route.weight_BTK[:, 0], route.index_BTK[:, 0]
        all_SE = weight_SK.new_zeros(len(sigma_S), experts + 1).scatter(1, index_SK, weight_SK)
        weights.append(all_SE[:, :experts])
    return torch.stack(weights)


def loads(weights_LSE: Tensor) -> Tensor:
    """Share of all choices that each expert gets, (layers, E), 1 in sum in each layer; noise levels weigh the same."""
    chosen_LSE = (weights_LSE > 0).float()
    return chosen_LSE.sum(dim=1) / chosen_LSE.sum(dim=(1, 2))[:, None]
