# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A checkpoint for faults of a real policy: untrained, and calm enough for every gate of action_node."""

from dataclasses import replace
from pathlib import Path

import torch

from dp_ros.contract import Contract
from dp_ros.policy.checkpoint import observation_tensors, save_checkpoint
from dp_ros.policy.normalizer import Normalizer
from dp_ros.policy.testing import tiny_policy

# Spread of the actions around zero, rad or m: an untrained policy says something else at every tick.
_SPREAD = 0.001


def calm_checkpoint(directory: Path, contract: Contract) -> Path:
    """Write it and return its directory."""
    joints = len(contract.joint_names)
    spread = torch.full((joints,), _SPREAD, dtype=torch.float64)
    policy = replace(
        tiny_policy(contract), action=Normalizer(torch.zeros(joints, dtype=torch.float64), spread)
    )
    golden = observation_tensors(**contract.example())
    save_checkpoint(Path(directory), policy, golden, '# A small untrained policy for tests of faults\n')
    return Path(directory)
