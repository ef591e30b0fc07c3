# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Standardisation of joint positions and vectors, with a floor so that what hardly moves is not blown up."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dp_ros.contract import Contract

# Below this spread a joint is noise: amplifying it would make the network chase encoder jitter.
STD_FLOOR = {'rad': 0.03, 'm': 0.003, '1': 0.03}
# The numbers of a vector carry no unit; constant ones, as benchmarks have them, must stay near zero.
VECTOR_STD_FLOOR = 0.01


@dataclass(frozen=True)
class Normalizer:
    """Affine map per joint (or number of a vector), an inverse pair: encode(x) = (x - mean) / std.

    Attributes:
        mean: (A,) float64, SI units.
        std: (A,) float64, SI units, positive.
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def fit(cls, contract: Contract, values: Tensor) -> 'Normalizer':
        """From samples (N, A) in SI units."""
        floor = torch.tensor([STD_FLOOR[j.unit] for j in contract.embodiment.joints], dtype=torch.float64)
        return cls._above(floor, values.double())

    @classmethod
    def fit_vector(cls, values: Tensor) -> 'Normalizer':
        """From samples (N, dim) of a vector."""
        return cls._above(torch.tensor(VECTOR_STD_FLOOR, dtype=torch.float64), values.double())

    @classmethod
    def _above(cls, floor: Tensor, values: Tensor) -> 'Normalizer':
        return cls(values.mean(dim=0), torch.maximum(values.std(dim=0), floor))

    def encode(self, x: Tensor) -> Tensor:
        """SI units (..., A) to standardised float32."""
        return ((x.double() - self.mean) / self.std).float()

    def decode(self, z: Tensor) -> Tensor:
        """Standardised (..., A) to SI units, float64."""
        return z.double() * self.std + self.mean
