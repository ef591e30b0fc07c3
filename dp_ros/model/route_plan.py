# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Routes that are known before run time, and the experts fused for them."""

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dp_ros.model.experts import Experts, FeedForward, swiglu
from dp_ros.model.network import Network

Chosen = tuple[int, ...]


class FusedExperts(nn.Module):
    """One layer's experts of one set, side by side as a single SwiGLU; buffers, counted and not saved."""

    up_HD: Tensor
    up_bias_H: Tensor
    down_DG: Tensor

    def __init__(self, experts: Experts, chosen: Chosen):
        super().__init__()
        for name, tensor in zip(('up_HD', 'up_bias_H', 'down_DG'), experts.fused(chosen), strict=True):
            self.register_buffer(name, tensor.detach().clone(), persistent=False)

    def forward(self, x_BTD: Tensor, weight_TG: Tensor) -> Tensor:
        """Two products, whatever the routes: ``weight_TG`` says how much of each hidden unit a token takes."""
        h_BTG = swiglu(F.linear(x_BTD, self.up_HD, self.up_bias_H)) * weight_TG
        return F.linear(h_BTG, self.down_DG)


class RoutePlan(nn.Module):
    """The feed-forward of every layer at every network evaluation that is to come.

    A schedule is a list of evaluations, and each evaluation a sigma per token: the resting levels of a streaming
    buffer, the steps of a sampler. Evaluations go by their number, never by the value of a sigma. In each layer the
    experts that an evaluation's tokens need are fused once per set, so that every weight is read once: a token's routes
    are its weights on the hidden units, zero for experts that only other tokens chose. The arithmetic for those zeros
    is the price, and is counted; where all tokens have one noise level there is none.

    Args:
        network: with experts, in its final state; the plan holds copies of the weights.
        schedules: name to (S, T) sigmas.
    """

    def __init__(self, network: Network, schedules: Mapping[str, Tensor]):
        super().__init__()
        self.schedules = {name: len(sigma_ST) for name, sigma_ST in schedules.items()}
        # Per schedule and evaluation: each layer's set.
        self.chosen: dict[str, list[list[Chosen]]] = {name: [] for name in schedules}
        self.fused = nn.ModuleList(nn.ModuleDict() for _ in network.blocks)
        for name, sigma_ST in schedules.items():
            for number, sigma_T in enumerate(sigma_ST):
                self._add(network, name, number, sigma_T)

    @torch.no_grad()
    def _add(self, network: Network, name: str, number: int, sigma_T: Tensor) -> None:
        sigma_1T = network.sequence_noise(sigma_T[None].to(next(network.parameters()).device))
        sets = []
        for layer, (experts, route) in enumerate(
            zip(network.experts(), network.routes(sigma_1T), strict=True)
        ):
            chosen = tuple(sorted(set(route.index_BTK.flatten().tolist())))
            fused = self.fused[layer]
            assert isinstance(fused, nn.ModuleDict)
            if _key(chosen) not in fused:
                fused[_key(chosen)] = FusedExperts(experts, chosen)
            shape = (sigma_1T.shape[1], experts.sizes.count)
            weight_TE = route.weight_BTK.new_zeros(shape).scatter(1, route.index_BTK[0], route.weight_BTK[0])
            weight_TG = weight_TE[:, list(chosen)].repeat_interleave(experts.sizes.hidden, dim=1)
            self.register_buffer(_row(name, number, layer), weight_TG.clone(), persistent=False)
            sets.append(chosen)
        self.chosen[name].append(sets)

    def evaluations(self, name: str) -> Iterator[tuple[FeedForward, ...]]:
        """What each layer does, one evaluation of the schedule ``name`` after the other."""
        return (self.feed_forwards(name, number) for number in range(self.schedules[name]))

    def feed_forwards(self, name: str, number: int) -> tuple[FeedForward, ...]:
        """What each layer does at evaluation ``number`` of the schedule ``name``."""
        return tuple(
            self._feed_forward(layer, chosen, self.get_buffer(_row(name, number, layer)))
            for layer, chosen in enumerate(self.chosen[name][number])
        )

    def _feed_forward(self, layer: int, chosen: Chosen, weight_TG: Tensor) -> FeedForward:
        fused = self.fused[layer]
        assert isinstance(fused, nn.ModuleDict)
        module = fused[_key(chosen)]
        return lambda x_BTD: module(x_BTD, weight_TG)

    @property
    def size(self) -> int:
        """Numbers that the plan holds: fused weights and routes."""
        return sum(buffer.numel() for buffer in self.buffers())


def _key(chosen: Chosen) -> str:
    return '_'.join(map(str, chosen))


def _row(name: str, number: int, layer: int) -> str:
    return f'weight_{name}_{number}_{layer}'
