# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Noise levels: integers and fractions between 0 (clean) and L (pure noise), and the sigma of each.

The streaming buffer rests on whole levels, its training visits everything between them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class NoiseLevels:
    """sigma(l) = sigma_min * (sigma_max / sigma_min)^(l / L); the table ends in an exact 0.

    Attributes:
        count: L, the number of levels; a buffer token is cleaned by L ticks.
        sigma_min: noise at level 0 of training; below it a token counts as clean.
        sigma_max: noise at level L, in units of the standardised data.
    """

    count: int
    sigma_min: float = 0.02
    sigma_max: float = 5.0

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 < self.sigma_min < self.sigma_max:
            raise ValueError(f'need count >= 1 and 0 < sigma_min < sigma_max, got {self}')

    def sigma(self, level: Tensor) -> Tensor:
        """Sigma of any level in [0, L], elementwise; level 0 gives sigma_min."""
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** (level / self.count)

    def sigma_or_zero(self, level: Tensor) -> Tensor:
        """Like :meth:`sigma`, but exactly 0 at level 0: the end of sampling."""
        return torch.where(level <= 0, torch.zeros_like(level), self.sigma(level))

    def table(self, steps: int | None = None, schedule: str = 'exponential') -> Tensor:
        """Descending sigmas from sigma_max in ``steps`` (default L) steps, ending in 0: (steps + 1,).

        'exponential' takes equal steps of the level, the last of which ends in 0 in place of sigma_min; 'karras' comes
        down to sigma_min first (:func:`karras_sigmas`), so that its last step is a small one.
        """
        steps = self.count if steps is None else steps
        if steps < 1:
            raise ValueError(f'steps must be at least 1, got {steps}')
        if schedule == 'karras':
            return karras_sigmas(steps, self.sigma_min, self.sigma_max)
        return self.sigma_or_zero(torch.linspace(self.count, 0, steps + 1, dtype=torch.float64)).float()


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Karras et al. (arXiv 2206.00364), eq. 5: descending, ending in 0, shape (steps + 1,)."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return torch.cat([sigmas, sigmas.new_zeros(1)]).float()
