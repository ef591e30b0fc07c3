# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A checkpoint for faults of a real policy: untrained, and calm enough for every gate of action_node."""

from pathlib import Path

import torch

from dp_ros.contract import Contract
from dp_ros.policy.checkpoint import observation_tensors, save_checkpoint
from dp_ros.policy.testing import calm_policy, tiny_policy


def calm_checkpoint(directory: Path, contract: Contract) -> Path:
    """Write it and return its directory."""
    policy = calm_policy(tiny_policy(contract), torch.zeros(len(contract.joint_names)))
    golden = observation_tensors(**contract.example())
    save_checkpoint(Path(directory), policy, golden, '# A small untrained policy for tests of faults\n')
    return Path(directory)
