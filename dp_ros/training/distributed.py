# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One process or many: the world that ``torchrun`` describes, or a world of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from dp_ros.errors import ConfigError


@dataclass(frozen=True)
class World:
    """This process's place among all, and its device."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def slice(self, count: int) -> slice:
        """This process's share of ``count`` rows; all shares are equal, so that means of means are means."""
        if count % self.size:
            raise ConfigError(
                f'training.batch_size ({count}) must be a multiple of the {self.size} processes'
            )
        share = count // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Mean over processes."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
            value /= self.size
        return value


@contextmanager
def world(device: str) -> Iterator[World]:
    """Join the process group if started by ``torchrun``, and leave it at the end."""
    size, rank = int(os.environ.get('WORLD_SIZE', 1)), int(os.environ.get('RANK', 0))
    chosen = torch.device(device)
    if chosen.type == 'cuda':
        chosen = torch.device('cuda', int(os.environ.get('LOCAL_RANK', 0)))
        torch.cuda.set_device(chosen)
    if size > 1:
        dist.init_process_group('nccl' if chosen.type == 'cuda' else 'gloo')
    try:
        yield World(rank, size, chosen)
    finally:
        if size > 1:
            dist.destroy_process_group()
