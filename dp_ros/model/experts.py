# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Experts in the place of a block's MLP, chosen by the noise level alone (MoDE, arXiv 2412.12953, sec. 3).

A route is a function of a token's sigma and of nothing else, so it is known before run time (route_plan.py). Training
routes as run time does: the most probable experts, nothing drawn. Drawing them (as the published code does, token by
token) would train another function than the one that serves, and is not needed to find unused experts: the balance
loss sees the whole softmax, so its gradient lifts the experts that no token chose.

Further shape suffixes: E experts, K chosen ones (a shared expert included), G hidden units of one expert.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FeedForward = Callable[[Tensor], Tensor]
"""(B, T, D) to (B, T, D): what a block does with each token on its own."""


@dataclass(frozen=True)
class Route:
    """Where the tokens go in one layer.

    Attributes:
        probability_BTE: softmax over all routed experts.
        index_BTK: the chosen experts, most probable first; a shared expert comes last.
        weight_BTK: their shares of the output: the chosen probabilities, scaled to sum to 1; a shared expert has 1.
    """

    probability_BTE: Tensor
    index_BTK: Tensor
    weight_BTK: Tensor

    def last(self, tokens: int) -> 'Route':
        """Of the last tokens alone."""
        return Route(
            self.probability_BTE[:, -tokens:], self.index_BTK[:, -tokens:], self.weight_BTK[:, -tokens:]
        )


@dataclass(frozen=True)
class ExpertSizes:
    """Of one layer.

    Attributes:
        hidden: hidden units of one expert.
        routed: E, experts that the router chooses among.
        active: how many of them a token gets.
        shared: one more expert that every token gets with weight 1 (DiT-MoE, arXiv 2407.11633, sec. 3).
    """

    hidden: int
    routed: int
    active: int
    shared: bool

    @property
    def count(self) -> int:
        """All experts."""
        return self.routed + self.shared

    @property
    def chosen(self) -> int:
        """K, the experts that work on one token."""
        return self.active + self.shared


class Experts(nn.Module):
    """SwiGLU experts in three tensors, the shared one last, and the layer's router: a small MLP of the noise level.

    An expert maps x to ((x V + a) * SiLU(x U + b)) W: linear in the value branch, no bias at the end. So a weighted sum
    of experts is one wider SwiGLU with the weights on its value half, which is what :meth:`fused` makes.
    """

    def __init__(self, width: int, sizes: ExpertSizes):
        super().__init__()
        self.sizes = sizes
        hidden, count = sizes.hidden, sizes.count
        # Rows of an expert: its value half, then its gate half.
        self.up_EHD = nn.Parameter(_uniform(width, count, 2 * hidden, width))
        self.up_bias_EH = nn.Parameter(_uniform(width, count, 2 * hidden))
        self.down_EDG = nn.Parameter(_uniform(hidden, count, width, hidden))
        narrow = max(1, width // 4)
        self.router = nn.Sequential(nn.Linear(width, narrow), nn.SiLU(), nn.Linear(narrow, sizes.routed))

    def route(self, embedding_BTD: Tensor) -> Route:
        """Choose per token by its embedded noise level; of equal probabilities the lower index goes first."""
        probability_BTE = self.router(embedding_BTD).softmax(dim=-1)
        weight_BTK, index_BTK = probability_BTE.sort(dim=-1, descending=True, stable=True)
        weight_BTK, index_BTK = weight_BTK[..., : self.sizes.active], index_BTK[..., : self.sizes.active]
        weight_BTK = weight_BTK / weight_BTK.sum(dim=-1, keepdim=True)
        if self.sizes.shared:
            weight_BTK = F.pad(weight_BTK, (0, 1), value=1.0)
            index_BTK = F.pad(index_BTK, (0, 1), value=self.sizes.routed)
        return Route(probability_BTE, index_BTK, weight_BTK)

    def forward(self, x_BTD: Tensor, route: Route) -> Tensor:
        """The routed sum, (B, T, D)."""
        x_ND = x_BTD.flatten(0, 1)
        index_NK, weight_NK = route.index_BTK.flatten(0, 1), route.weight_BTK.flatten(0, 1).to(x_ND.dtype)
        sum_up = self._gathered if x_ND.is_cpu else self._everywhere
        y_ND = sum_up(x_ND, index_NK, weight_NK)
        return y_ND.unflatten(0, x_BTD.shape[:2])

    def _gathered(self, x_ND: Tensor, index_NK: Tensor, weight_NK: Tensor) -> Tensor:
        # Tokens sorted by expert: each expert works on its own ones. On an accelerator the counts would have to wait
        # for the device.
        chosen = index_NK.shape[1]
        order = index_NK.flatten().argsort(stable=True)
        counts = torch.bincount(index_NK.flatten(), minlength=self.sizes.count).tolist()
        pieces = x_ND[order // chosen].split(counts)
        y_MD = torch.cat([self._one(e, piece) for e, piece in enumerate(pieces)])
        y_NKD = y_MD[order.argsort()].unflatten(0, index_NK.shape)
        return (y_NKD * weight_NK[..., None]).sum(dim=1)

    def _everywhere(self, x_ND: Tensor, index_NK: Tensor, weight_NK: Tensor) -> Tensor:
        # All experts on all tokens in two batched products: E / K times the arithmetic, and nothing to wait for.
        weight_NE = weight_NK.new_zeros(len(x_ND), self.sizes.count).scatter(1, index_NK, weight_NK)
        h_ENH = x_ND @ self.up_EHD.transpose(1, 2) + self.up_bias_EH[:, None]
        h_ENG = swiglu(h_ENH) * weight_NE.t()[..., None]
        return (h_ENG @ self.down_EDG.transpose(1, 2)).sum(dim=0)

    def _one(self, expert: int, x_MD: Tensor) -> Tensor:
        h_MG = swiglu(F.linear(x_MD, self.up_EHD[expert], self.up_bias_EH[expert]))
        return F.linear(h_MG, self.down_EDG[expert])

    def fused(self, chosen: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """The chosen experts side by side as one SwiGLU: up (2 C G, D), its bias (2 C G), down (D, C G)."""
        halves = [slice(0, self.sizes.hidden), slice(self.sizes.hidden, None)]
        up = torch.cat([self.up_EHD[e, half] for half in halves for e in chosen])
        bias = torch.cat([self.up_bias_EH[e, half] for half in halves for e in chosen])
        return up, bias, torch.cat([self.down_EDG[e] for e in chosen], dim=1)


def swiglu(h: Tensor) -> Tensor:
    """Value half times SiLU of the gate half (Shazeer, arXiv 2002.05202)."""
    value, gate = h.chunk(2, dim=-1)
    return value * F.silu(gate)


def load(route: Route) -> Tensor:
    """Share of all choices that went to each routed expert: (E,), summing to 1."""
    experts = route.probability_BTE.shape[-1]
    # A shared expert has the index after the last routed one.
    chosen_BTE = F.one_hot(route.index_BTK, experts + 1).sum(dim=-2)[..., :experts]
    total_E = chosen_BTE.sum(dim=(0, 1)).to(route.probability_BTE.dtype)
    return total_E / total_E.sum()


def load_balance(route: Route, load_E: Tensor) -> Tensor:
    """E * sum_i f_i P_i: f the experts' shares of all choices, P their mean probabilities (arXiv 2101.03961, eq. 4).

    Both sum to 1. The value is exactly 1 wherever all experts carry the same load, and E / K where the same K of them
    take every token and all of the probability. Its gradient goes through P alone, the whole softmax: the probability
    of overloaded experts falls and that of all others rises, chosen or not.

    Args:
        route: of one layer.
        load_E: f, from :func:`load`, of this batch or of a larger one that this is a part of.
    """
    probability_BTE = route.probability_BTE
    return probability_BTE.shape[-1] * (load_E * probability_BTE.mean(dim=(0, 1))).sum()


def _uniform(fan_in: int, *shape: int) -> Tensor:
    # As nn.Linear begins.
    return torch.empty(shape).uniform_(-1, 1) / math.sqrt(fan_in)
