# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What the nodes' parameters point at: checkpoint directories and bindings, by path or by shipped name."""

from pathlib import Path

from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.errors import CheckpointError, ConfigError
from dp_ros.share import share_path


def checkpoint_path(value: str) -> Path:
    """The directory of a checkpoint; a bare name that is no directory here means one that the package ships."""
    if not value:
        raise ConfigError(
            f'parameter checkpoint is not set: give a directory, or one of {_shipped("checkpoints", "*/")}'
        )
    return _located(value, Path('checkpoints') / value)


def checkpoint_contract(value: str) -> Contract:
    """The contract of a checkpoint, without its weights.

    Raises:
        CheckpointError: there is no such checkpoint.
        ContractError: its contract.json holds something illegal.
    """
    directory = checkpoint_path(value)
    if not (directory / 'contract.json').is_file():
        raise CheckpointError(f'{directory}: no checkpoint here (contract.json is missing)')
    return Contract.from_json(directory / 'contract.json')


def load_binding(value: str) -> Binding:
    """The binding in a YAML file; a bare name means one in config/bindings."""
    return Binding.from_yaml(binding_path(value))


def binding_path(value: str) -> Path:
    """The YAML file of a binding; a bare name means one in config/bindings."""
    if not value:
        raise ConfigError(
            f'parameter binding is not set: give a YAML file, or one of {_shipped("config/bindings", "*.yaml")}'
        )
    return _located(value, Path('config') / 'bindings' / f'{value}.yaml')


def _located(value: str, shipped: Path) -> Path:
    here = Path(value).expanduser()
    return here if here.exists() or len(here.parts) > 1 else share_path(str(shipped))


def _shipped(folder: str, pattern: str) -> list[str]:
    return sorted(path.stem for path in share_path(folder).glob(pattern))
