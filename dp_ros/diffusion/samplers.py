# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Samplers: free functions of a denoiser, a noisy start and descending sigmas that may end in 0.

Each solves dx/dsigma = (x - D(x; sigma)) / sigma. ``sigmas`` is (S + 1,), the same for all tokens, or (S + 1, T).
Inputs are never changed in place.
"""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dp_ros.diffusion.denoiser import Denoise, per_token

Sigmas = Tensor | Sequence[float]
"""A table; as numbers where a graph is recorded, in which no tensor can be asked whether it is 0."""


def ddim_step(x_BTP: Tensor, denoised_BTP: Tensor, sigma_BT: Tensor, next_BT: Tensor) -> Tensor:
    """One deterministic DDIM step between any two levels, per token; to 0 it returns the denoised estimate."""
    return denoised_BTP + (next_BT / sigma_BT)[..., None] * (x_BTP - denoised_BTP)


def sample_ddim(
    denoise: Denoise,
    x_BTP: Tensor,
    sigmas: Sigmas,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """DDIM (Song et al., arXiv 2010.02502, eq. 12 and 16, in EDM's variables).

    ``eta`` scales the fresh noise of every step; at 0 the sampler is deterministic and equals Euler's.
    """
    for sigma, following in itertools.pairwise(sigmas):
        sigma_BT, next_BT = per_token(sigma, x_BTP), per_token(following, x_BTP)
        denoised_BTP = denoise(x_BTP, sigma_BT)
        if eta == 0.0:
            x_BTP = ddim_step(x_BTP, denoised_BTP, sigma_BT, next_BT)
            continue
        fresh_BT = eta * next_BT * (1 - (next_BT / sigma_BT) ** 2).sqrt()
        kept_BT = (next_BT**2 - fresh_BT**2).clamp(min=0).sqrt()
        noise_BTP = torch.randn(x_BTP.shape, generator=generator, dtype=x_BTP.dtype, device=x_BTP.device)
        x_BTP = ddim_step(x_BTP, denoised_BTP, sigma_BT, kept_BT) + fresh_BT[..., None] * noise_BTP
    return x_BTP


def sample_euler(denoise: Denoise, x_BTP: Tensor, sigmas: Sigmas) -> Tensor:
    """Euler's method in sigma (Karras et al., arXiv 2206.00364, algorithm 1 without the correction). Order 1."""
    for sigma, following in itertools.pairwise(sigmas):
        sigma_BT1, next_BT1 = per_token(sigma, x_BTP)[..., None], per_token(following, x_BTP)[..., None]
        slope_BTP = (x_BTP - denoise(x_BTP, sigma_BT1[..., 0])) / sigma_BT1
        x_BTP = x_BTP + (next_BT1 - sigma_BT1) * slope_BTP
    return x_BTP


def sample_heun(denoise: Denoise, x_BTP: Tensor, sigmas: Sigmas) -> Tensor:
    """Heun's method (Karras et al., arXiv 2206.00364, algorithm 1). Order 2, two evaluations a step."""
    for sigma, following in itertools.pairwise(sigmas):
        sigma_BT1, next_BT1 = per_token(sigma, x_BTP)[..., None], per_token(following, x_BTP)[..., None]
        slope_BTP = (x_BTP - denoise(x_BTP, sigma_BT1[..., 0])) / sigma_BT1
        euler_BTP = x_BTP + (next_BT1 - sigma_BT1) * slope_BTP
        if _all(following > 0):
            second_BTP = (euler_BTP - denoise(euler_BTP, next_BT1[..., 0])) / next_BT1
            slope_BTP = 0.5 * (slope_BTP + second_BTP)
        x_BTP = x_BTP + (next_BT1 - sigma_BT1) * slope_BTP
    return x_BTP


def sample_dpmpp_2m(denoise: Denoise, x_BTP: Tensor, sigmas: Sigmas) -> Tensor:
    """DPM-Solver++(2M) (Lu et al., arXiv 2211.01095, algorithm 2). Order 2, one evaluation a step.

    It remembers the previous estimate, so it must not be used on a rolling buffer, whose tokens move.
    """
    previous: tuple[Tensor, Tensor] | None = None
    for sigma, following in itertools.pairwise(sigmas):
        sigma_BT1, next_BT1 = per_token(sigma, x_BTP)[..., None], per_token(following, x_BTP)[..., None]
        denoised_BTP = denoise(x_BTP, sigma_BT1[..., 0])
        if _all(following == 0):
            return denoised_BTP
        h_BT1 = sigma_BT1.log() - next_BT1.log()
        estimate_BTP = denoised_BTP
        if previous is not None:
            previous_BTP, previous_h_BT1 = previous
            ratio = h_BT1 / (2 * previous_h_BT1)
            estimate_BTP = (1 + ratio) * denoised_BTP - ratio * previous_BTP
        x_BTP = (next_BT1 / sigma_BT1) * x_BTP - torch.expm1(-h_BT1) * estimate_BTP
        previous = denoised_BTP, h_BT1
    return x_BTP


def _all(flag: Tensor | bool) -> bool:
    return flag if isinstance(flag, bool) else bool(flag.all())


SAMPLERS: dict[str, Callable[[Denoise, Tensor, Sigmas], Tensor]] = {
    'ddim': sample_ddim,
    'euler': sample_euler,
    'heun': sample_heun,
    'dpmpp_2m': sample_dpmpp_2m,
}
