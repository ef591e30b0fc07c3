# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One training step's loss: observe, noise, denoise, compare."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dp_ros.diffusion.denoiser import Denoiser
from dp_ros.model.network import Network


class DenoisingLoss(nn.Module):
    """The network with its loss as one module, so that distributed data parallel can wrap it whole."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network
        self.denoiser = Denoiser(1.0)

    def forward(
        self,
        proprio_BOS: Tensor,
        images: Mapping[str, Tensor],
        clean_BTP: Tensor,
        valid_BTP: Tensor,
        sigma_RT: Tensor,
        noise_RTP: Tensor,
    ) -> Tensor:
        """Loss per noised chunk, (R,): R = B times the noise draws, row r belongs to observation r // draws."""
        draws = len(sigma_RT) // len(proprio_BOS)
        context = self.network.encode(proprio_BOS, images).repeat(draws)
        return self.denoiser.loss(
            self.network,
            clean_BTP.repeat_interleave(draws, dim=0),
            sigma_RT,
            noise_RTP,
            valid_BTP.repeat_interleave(draws, dim=0),
            context,
        )


def draw_batch(seed: int, step: int, population: int, batch_size: int) -> tuple[Tensor, torch.Generator]:
    """Frames of one global batch, and the generator that goes on to draw its noise.

    Both depend on the seed and the step alone: a run that is killed and resumed, or spread over several
    processes, sees the same batches and the same noise.
    """
    generator = torch.Generator().manual_seed((seed + 1) * 1_000_000_007 + step)
    return torch.randint(population, (batch_size,), generator=generator), generator
