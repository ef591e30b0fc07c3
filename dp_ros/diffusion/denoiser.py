# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""D(x; sigma): the preconditioned denoiser around any raw network, and its training loss."""

from collections.abc import Callable

import torch
from torch import Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(x_BTP, sigma_BT) to the denoised estimate (B, T, P)."""


def per_token(sigma: Tensor | float, x_BTP: Tensor) -> Tensor:
    """Broadcast a scalar, (T,) or (B, T) sigma to (B, T): the one door at which scalars enter."""
    if isinstance(sigma, float):
        # Filled where it is needed: a copy from the host could not be captured in a CUDA graph.
        return x_BTP.new_full(x_BTP.shape[:2], sigma)
    sigma = torch.as_tensor(sigma, dtype=x_BTP.dtype, device=x_BTP.device)
    return sigma.expand(x_BTP.shape[:2])


class Denoiser:
    """EDM preconditioning per token (Karras et al., arXiv 2206.00364, table 1).

    D(x; sigma) = c_skip x + c_out F(c_in x; sigma).

    Args:
        sigma_data: standard deviation of the clean data; 1 for standardised actions.
    """

    def __init__(self, sigma_data: float = 1.0):
        self.sigma_data = sigma_data

    def scales(self, sigma_BT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """c_skip, c_out, c_in, each (B, T, 1)."""
        sigma_BT1 = sigma_BT[..., None]
        total = sigma_BT1**2 + self.sigma_data**2
        return (
            self.sigma_data**2 / total,
            sigma_BT1 * self.sigma_data * total.rsqrt(),
            total.rsqrt(),
        )

    def known(self, clean_BTP: Tensor, sigma: float) -> Tensor:
        """What F is given of tokens that are known: they count as tokens at ``sigma``, and are not noised."""
        return self.scales(torch.full((1, 1), sigma))[2].to(clean_BTP) * clean_BTP

    def bind(self, network: Callable[..., Tensor], *conditions: object) -> Denoise:
        """The denoiser of one observation: a function of x and sigma alone."""

        def denoise(x_BTP: Tensor, sigma_BT: Tensor) -> Tensor:
            c_skip, c_out, c_in = self.scales(sigma_BT)
            return c_skip * x_BTP + c_out * network(c_in * x_BTP, sigma_BT, *conditions).to(x_BTP.dtype)

        return denoise

    def loss(
        self,
        network: Callable[..., Tensor],
        clean_BTP: Tensor,
        sigma_BT: Tensor,
        noise_BTP: Tensor,
        valid_BTP: Tensor,
        *conditions: object,
    ) -> Tensor:
        """Mean squared error of F against its target (a - c_skip x) / c_out, over valid values: (B,).

        Unit weight on F is EDM's weight 1 / c_out^2 on D. Each row is averaged over its own valid values, so that
        rows weigh the same however they are dealt to processes.
        """
        c_skip, c_out, c_in = self.scales(sigma_BT)
        x_BTP = clean_BTP + sigma_BT[..., None] * noise_BTP
        target_BTP = (clean_BTP - c_skip * x_BTP) / c_out
        error_BTP = (network(c_in * x_BTP, sigma_BT, *conditions, valid_BTP).float() - target_BTP) ** 2
        weight_BTP = valid_BTP.to(error_BTP.dtype)
        return (error_BTP * weight_BTP).sum(dim=(1, 2)) / weight_BTP.sum(dim=(1, 2)).clamp(min=1.0)
