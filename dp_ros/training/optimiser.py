# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""AdamW with decay on matrices only, the learning rate's course, and the moving average of the weights."""

import math

import torch
from torch import Tensor, nn

from dp_ros.model.experts import Experts
from dp_ros.training.experiment import TrainingConfig


def make_optimiser(network: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """Weights of linear layers, convolutions and experts decay; gains, biases, positions and temperatures do not."""
    decayed = {id(module.weight) for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)}
    for module in network.modules():
        if isinstance(module, Experts):
            decayed |= {id(module.up_EHD), id(module.down_EDG)}
    groups = [
        {
            'params': [p for p in network.parameters() if id(p) in decayed],
            'weight_decay': config.weight_decay,
        },
        {'params': [p for p in network.parameters() if id(p) not in decayed], 'weight_decay': 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95))


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then half a cosine down to 2 % of the peak."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


@torch.no_grad()
def update_average(average: dict[str, Tensor], network: nn.Module, step: int, decay: float) -> None:
    """Exponential moving average by name; the decay warms up so that early weights are forgotten."""
    decay = min(decay, (1 + step) / (10 + step))
    for name, value in network.state_dict().items():
        average[name].lerp_(value.float(), 1 - decay)
