# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The state of a training run on disk: safetensors, written beside and renamed, so a kill at any moment is harmless."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dp_ros.errors import CheckpointError, ConfigError
from dp_ros.whole_file import whole_file


def save_snapshot(
    path: Path,
    step: int,
    network: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    identity: str,
    heads: nn.Module,
) -> None:
    """Store weights, their average, and the optimiser's moments after ``step`` steps.

    Args:
        identity: the resolved experiment as text; :func:`load_snapshot` refuses another one.
        heads: training-only heads; their weights and moments are stored as well.

    Raises:
        CheckpointError: the file cannot be written; an older snapshot is left as it was.
    """
    tensors = {f'network.{k}': v for k, v in network.state_dict().items()}
    tensors |= {f'average.{k}': v for k, v in average.items()}
    tensors |= {f'heads.{k}': v for k, v in heads.state_dict().items()}
    for name, parameter in _parameters(network, heads):
        for key, value in optimiser.state[parameter].items():
            tensors[f'optimiser.{name}.{key}'] = torch.as_tensor(value)
    blob = save(
        {k: v.detach().cpu().contiguous() for k, v in tensors.items()},
        {'step': str(step), 'experiment': identity},
    )
    with whole_file(path, 'the snapshot', CheckpointError) as beside:
        beside.write_bytes(blob)


def load_snapshot(
    path: Path,
    network: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    identity: str,
    heads: nn.Module,
) -> int:
    """Restore what :func:`save_snapshot` stored; returns the number of steps done."""
    try:
        with safe_open(path, framework='pt') as file:
            metadata = file.metadata()
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f'{path}: cannot read the snapshot: {error}') from error
    if metadata['experiment'] != identity:
        old, new = json.loads(metadata['experiment']), json.loads(identity)
        changed = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
        raise ConfigError(
            f'{path}: was written by another experiment (differs in {changed}); choose another --out, or delete it'
        )
    network.load_state_dict({k[8:]: v for k, v in tensors.items() if k.startswith('network.')}, strict=True)
    heads.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith('heads.')}, strict=True)
    for name, value in average.items():
        value.copy_(tensors[f'average.{name}'])
    for name, parameter in _parameters(network, heads):
        prefix = f'optimiser.{name}.'
        optimiser.state[parameter] = {
            k[len(prefix) :]: v.to(parameter.device) if v.ndim else v
            for k, v in tensors.items()
            if k.startswith(prefix)
        }
    return int(metadata['step'])


def _parameters(network: nn.Module, heads: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [
        *network.named_parameters(),
        *((f'heads.{name}', parameter) for name, parameter in heads.named_parameters()),
    ]
