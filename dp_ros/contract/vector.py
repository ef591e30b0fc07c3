# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A measured vector that is not commanded: an object's pose from a tracker, the state of a benchmark."""

import re
from dataclasses import dataclass

from dp_ros.errors import ContractError

_NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]*')


@dataclass(frozen=True, kw_only=True)
class Vector:
    """One field of ``dim`` numbers, in SI units; between two samples the older one holds.

    Attributes:
        name: name of the field; the binding says which topic carries it.
        dim: how many numbers it has.
    """

    name: str
    dim: int

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ContractError(f'vector: name must match {_NAME.pattern}, got {self.name!r}')
        if not isinstance(self.dim, int) or isinstance(self.dim, bool) or self.dim < 1:
            raise ContractError(f'vector {self.name!r}: dim must be a positive integer, got {self.dim!r}')
