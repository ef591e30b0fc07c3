# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Streaming: a buffer of action tokens whose noise rises from front to back.

Each tick lowers every token by one level with the newest observation, pops the clean front and appends noise at the
back (Streaming Diffusion Policy, arXiv 2406.04806; TEDi, arXiv 2307.15042). The buffer is a frozen value and
:func:`advance` is pure, so a stale tick can be dropped and a reset cannot be forgotten.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dp_ros.diffusion.denoiser import Denoise
from dp_ros.diffusion.levels import NoiseLevels
from dp_ros.diffusion.samplers import ddim_step


@dataclass(frozen=True)
class RollingBuffer:
    """Noisy action tokens at rest: group g of T / L tokens sits at level g + 1.

    Attributes:
        x_BTP: the noisy tokens.
        levels: the noise levels; L groups.
    """

    x_BTP: Tensor
    levels: NoiseLevels

    def __post_init__(self) -> None:
        if self.x_BTP.ndim != 3 or self.x_BTP.shape[1] % self.levels.count:
            raise ValueError(
                f'need (B, T, P) with T a multiple of {self.levels.count} levels, got {tuple(self.x_BTP.shape)}'
            )

    @property
    def pop(self) -> int:
        """Tokens that leave each tick."""
        return self.x_BTP.shape[1] // self.levels.count

    @property
    def level_BT(self) -> Tensor:
        """Resting level of every token."""
        batch, tokens, _ = self.x_BTP.shape
        group_T = torch.arange(tokens, device=self.x_BTP.device) // self.pop
        return (group_T + 1).to(self.x_BTP.dtype).expand(batch, tokens)

    @classmethod
    def from_clean(
        cls, clean_BTP: Tensor, levels: NoiseLevels, generator: torch.Generator
    ) -> 'RollingBuffer':
        """Start from a guess of the clean future (a held pose, a full denoise) by noising it to the resting levels."""
        blank = cls(clean_BTP, levels)
        sigma_BT = levels.sigma(blank.level_BT)
        return cls(clean_BTP + sigma_BT[..., None] * _noise_like(clean_BTP, generator), levels)

    def plus(self, shift_P: Tensor) -> 'RollingBuffer':
        """The same buffer after a change of what tokens count from: the noise in them stays what it is."""
        return RollingBuffer(self.x_BTP + shift_P, self.levels)


def advance(
    buffer: RollingBuffer, denoise: Denoise, generator: torch.Generator, evaluations: int = 1
) -> tuple[Tensor, RollingBuffer]:
    """One tick.

    Args:
        buffer: the resting buffer; not changed.
        denoise: D(x; sigma) of the newest observation.
        generator: source of the noise that is appended.
        evaluations: network evaluations in which to drop one level.

    Returns:
        The denoised estimate of all T tokens, whose first T / L tokens are final, and the buffer of the next tick.
    """
    clean_BTP, lowered_BTP = lower(buffer, denoise, evaluations)
    rolled_BTP = torch.cat([lowered_BTP[:, buffer.pop :], fresh_tokens(buffer, generator)], dim=1)
    return clean_BTP, RollingBuffer(rolled_BTP, buffer.levels)


def fresh_tokens(buffer: RollingBuffer, generator: torch.Generator) -> Tensor:
    """The noise that a tick appends: (B, T / L, P)."""
    return buffer.levels.sigma_max * _noise_like(buffer.x_BTP[:, : buffer.pop], generator)


def level_steps(buffer: RollingBuffer, evaluations: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Sigma of every token before and after each of the evaluations in which a tick drops one level, each (B, T)."""
    if evaluations < 1:
        raise ValueError(f'evaluations must be at least 1, got {evaluations}')
    levels, level_BT = buffer.levels, buffer.level_BT
    for k in range(evaluations):
        next_BT = level_BT - (k + 1) / evaluations
        next_BT = torch.where(next_BT < 1e-6, torch.zeros_like(next_BT), next_BT)
        yield levels.sigma(level_BT - k / evaluations), levels.sigma_or_zero(next_BT)


def lower(buffer: RollingBuffer, denoise: Denoise, evaluations: int = 1) -> tuple[Tensor, Tensor]:
    """The denoised estimate of all tokens, and the tokens one level lower, the first T / L of them clean."""
    x_BTP = clean_BTP = buffer.x_BTP
    for sigma_BT, next_BT in level_steps(buffer, evaluations):
        clean_BTP = denoise(x_BTP, sigma_BT)
        x_BTP = ddim_step(x_BTP, clean_BTP, sigma_BT, next_BT)
    return clean_BTP, x_BTP


def _noise_like(x: Tensor, generator: torch.Generator) -> Tensor:
    # Noise is always drawn in float32 on the CPU: one seed gives one chunk on every device.
    return torch.randn(x.shape, generator=generator).to(device=x.device, dtype=x.dtype)
