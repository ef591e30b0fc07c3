# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One training step's loss: observe, noise, denoise, compare; and what else a network is trained for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dp_ros.diffusion.denoiser import Denoiser
from dp_ros.model.experts import Route, load, load_balance
from dp_ros.model.goals import IMAGE, INSTRUCTION
from dp_ros.model.network import Network
from dp_ros.model.past import Past
from dp_ros.training.experiment import TrainingConfig
from dp_ros.training.goals import Aims
from dp_ros.training.heads import AlignmentHead, ForesightHead, PrivilegedHead

Terms = dict[str, tuple[float, Tensor]]
"""Named terms of a loss: weight and value. The loop minimises the weighted sum and logs each value."""


class TrainingLoss(nn.Module):
    """The network with its loss as one module, so that distributed data parallel can wrap it whole.

    The terms: 'denoising'; with experts 'load_balance' (the mean over layers); 'alignment', 'foresight' and
    'privileged' where they have a weight, else their heads are not built.

    Args:
        network: to train.
        config: weights of the terms.
        privileged_NP: samples of what no sensor tells, where its head has a weight.
    """

    def __init__(self, network: Network, config: TrainingConfig, privileged_NP: Tensor | None = None):
        super().__init__()
        self.network = network
        self.config = config
        self.denoiser = Denoiser(1.0)
        # Made after the network: its own initial weights do not depend on them.
        self.heads = nn.ModuleDict()
        if config.alignment:
            self.heads['alignment'] = AlignmentHead(network.config.width)
        if config.foresight:
            self.heads['foresight'] = ForesightHead(network.config.width, network.cameras)
        if config.privileged:
            assert privileged_NP is not None
            self.heads['privileged'] = PrivilegedHead(network.config.width, privileged_NP)

    def forward(
        self,
        proprio_BOS: Tensor,
        images: Mapping[str, Tensor],
        vectors: Mapping[str, Tensor],
        clean_BTP: Tensor,
        valid_BTP: Tensor,
        sigma_RT: Tensor,
        noise_RTP: Tensor,
        aims: Aims,
        past: Past | None = None,
    ) -> Terms:
        """Terms of R noised chunks: R = B times the noise draws, row r belongs to observation r // draws."""
        draws = len(sigma_RT) // len(proprio_BOS)
        goal_BD = None
        if self.network.goals is not None and aims.goals is not None:
            goal_BD = self.network.goals(aims.goals)
        observed = self.network.encode(proprio_BOS, images, goal_BD, vectors=vectors, past=past)
        context = observed.repeat(draws)
        routes = self.network.routes(self.network.sequence_noise(sigma_RT))
        loss_R = self.denoiser.loss(
            partial(self.network, feed_forwards=self.network.feed_forwards(routes)),
            clean_BTP.repeat_interleave(draws, dim=0),
            sigma_RT,
            noise_RTP,
            valid_BTP.repeat_interleave(draws, dim=0),
            context,
        )
        terms: Terms = {'denoising': (1.0, loss_R.mean())}
        if routes:
            # The level of past tokens is always the same: it is no load to spread.
            denoised = [route.last(sigma_RT.shape[1]) for route in routes]
            terms['load_balance'] = (self.config.load_balance, balance(denoised))
        if 'alignment' in self.heads:
            terms['alignment'] = (self.config.alignment, self._alignment(aims))
        if 'foresight' in self.heads:
            foresight = self.heads['foresight'](observed.tokens_BND, aims.later, aims.order_BM)
            terms['foresight'] = (self.config.foresight, foresight)
        if 'privileged' in self.heads:
            privileged = self.heads['privileged'](observed.tokens_BND[:, -1], aims.privileged_BP)
            terms['privileged'] = (self.config.privileged, privileged)
        return terms

    def _alignment(self, aims: Aims) -> Tensor:
        """Of the samples that have both; the negatives are those of this process."""
        assert self.network.goals is not None
        assert aims.goals is not None
        assert aims.task_B is not None
        row_K = (aims.task_B >= 0).nonzero()[:, 0]
        text_KD, image_KD = (
            self.network.goals(
                replace(aims.goals, kind_B=torch.full_like(aims.goals.kind_B, kind)).rows(row_K)
            )
            for kind in (INSTRUCTION, IMAGE)
        )
        value: Tensor = self.heads['alignment'](text_KD, image_KD, aims.task_B[row_K])
        return value


def balance(routes: Sequence[Route]) -> Tensor:
    """The load-balancing loss, averaged over layers, with the loads of all processes' tokens."""
    load_LE = torch.stack([load(route) for route in routes])
    if dist.is_initialized():
        # With the loads of all processes, the mean of their losses is the loss of all their tokens.
        dist.all_reduce(load_LE)
        load_LE = load_LE / dist.get_world_size()
    return torch.stack(
        [load_balance(route, load_E) for route, load_E in zip(routes, load_LE, strict=True)]
    ).mean()


def draw_batch(
    seed: int,
    step: int,
    population: int,
    batch_size: int,
    labelled_M: Tensor | None = None,
    labelled_share: float = 0.0,
) -> tuple[Tensor, torch.Generator]:
    """Frames of one global batch, and the generator that goes on to draw its noise.

    Both depend on the arguments alone: a run that is killed and resumed, or spread over several processes, sees the
    same batches and the same noise.

    Args:
        seed: of the run.
        step: number of the batch.
        population: frames that there are.
        batch_size: B.
        labelled_M: frames of the episodes that have an instruction.
        labelled_share: probability of each row to be one of them; the others are any.
    """
    generator = torch.Generator().manual_seed((seed + 1) * 1_000_000_007 + step)
    index_B = torch.randint(population, (batch_size,), generator=generator)
    if labelled_M is not None and labelled_share > 0:
        told_B = labelled_M[torch.randint(len(labelled_M), (batch_size,), generator=generator)]
        index_B = torch.where(torch.rand(batch_size, generator=generator) < labelled_share, told_B, index_B)
    return index_B, generator
