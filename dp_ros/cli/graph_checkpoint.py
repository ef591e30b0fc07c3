# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Policies for ``dp_ros bench graph``: any network at any rate, with actions that hold the arms where they are."""

from dataclasses import replace
from pathlib import Path

import torch
import yaml

from dp_ros.contract import Contract
from dp_ros.errors import ConfigError
from dp_ros.policy.backends import EXPORTED
from dp_ros.policy.checkpoint import load_checkpoint, observation_tensors, save_checkpoint
from dp_ros.policy.modes import make_controller
from dp_ros.policy.policy import Policy
from dp_ros.policy.runtime import export
from dp_ros.policy.testing import calm_policy, tiny_policy
from dp_ros.simulation.fault_site import write_site

# As the shipped checkpoint.
_SIZES = {'width': 192, 'depth': 4, 'heads': 6, 'camera_points': 64, 'camera_tokens': 4}


def two_cameras(contract: Contract) -> Contract:
    """The contract with a second camera like its first."""
    data = contract.to_dict()
    data['name'] = f'{contract.name}_two_cameras'
    data['cameras'] = [*data['cameras'][:1], {**data['cameras'][0], 'name': 'wrist'}]
    return Contract.from_dict(data)


def random_policy(contract: Contract) -> Policy:
    """Random weights in the sizes of the shipped network."""
    return tiny_policy(contract, **_SIZES)


def still_checkpoint(directory: Path, policy: Policy, pose: torch.Tensor, tick_hz: float) -> Path:
    """Write the policy's network at another rate, its actions within a few millimetres and milliradians of ``pose``.

    A tick costs what it costs: sizes, weights and noise levels stay. Returns the directory.

    Args:
        directory: of the checkpoint.
        policy: whose network it is.
        pose: (A,) rad or m.
        tick_hz: ticks a second.

    Raises:
        ConfigError: a rate that is not positive.
    """
    if not tick_hz > 0.0:
        raise ConfigError(f'--tick-hz must be positive, got {tick_hz:g}')
    data = policy.contract.to_dict()
    data['timing']['period_ns'] = round(1e9 / tick_hz / policy.contract.timing.action_horizon)
    contract = Contract.from_dict(data)
    diffusion = replace(policy.config.diffusion, relative_actions=False)
    still = replace(
        calm_policy(policy, pose),
        contract=contract,
        config=replace(policy.config, diffusion=diffusion, provenance={'note': 'for dp_ros bench graph'}),
    )
    golden = observation_tensors(**contract.example())
    save_checkpoint(directory, still, golden, '# A policy that stands still, for dp_ros bench graph\n')
    return directory


def export_tick(checkpoint: Path, backend: str) -> None:
    """Write the backend's artefact beside the checkpoint, where it needs one.

    Raises:
        BackendError: a library is missing, or the result is not the eager tick.
    """
    if backend in EXPORTED:
        export(make_controller(load_checkpoint(checkpoint)), backend, checkpoint)


def write_graph_site(folder: Path, contract: Contract) -> Path:
    """The binding of the benchmark's robot: the shipped arms around zero, and the cameras of the contract."""
    _, path = write_site(folder, 'two')
    data = yaml.safe_load(path.read_text())
    data['cameras'] = {
        camera.name: {
            'topic': f'cameras/{camera.name}/image_raw', 'type': 'sensor_msgs/msg/Image', 'qos': 'sensor_data',
            'size': list(camera.source_size),
        }
        for camera in contract.cameras
    }  # fmt: skip
    for source in data['joint_states']:
        source['qos'] = 'sensor_data'
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path
