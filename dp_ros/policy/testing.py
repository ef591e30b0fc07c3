# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A tiny untrained checkpoint, for tests of everything around the network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dp_ros.contract import Contract
from dp_ros.model.goals import TEXT_DIM
from dp_ros.model.network import NetworkConfig
from dp_ros.policy.checkpoint import observation_tensors, save_checkpoint
from dp_ros.policy.config import PolicyConfig
from dp_ros.policy.goal import Instructions
from dp_ros.policy.normalizer import Normalizer
from dp_ros.policy.policy import Policy, build_network

# Standard deviation of calm actions, rad or m.
_CALM = 0.001


def tiny_policy(contract: Contract, seed: int = 0, **sizes: Any) -> Policy:
    """A small policy with random weights whose actions stay within a few hundredths of its mean pose.

    ``sizes`` go to the NetworkConfig.
    """
    tiny = {'width': 16, 'depth': 1, 'heads': 2, 'camera_points': 8, 'camera_tokens': 2}
    config = PolicyConfig(
        network=NetworkConfig(actions_per_token=contract.timing.action_horizon, **(tiny | sizes)),
        null_goal=bool(contract.goals),
        provenance={'note': 'untrained, for tests'},
    )
    joints = len(contract.joint_names)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(contract, config).eval()
        for parameter in network.parameters():  # the zero-initialised parts too, so that every input matters
            parameter.data.add_(0.05 * torch.randn_like(parameter))
    normalizer = Normalizer(torch.zeros(joints, dtype=torch.float64), torch.full((joints,), 0.02).double())
    vectors = {
        v.name: Normalizer(torch.zeros(v.dim).double(), torch.ones(v.dim).double()) for v in contract.vectors
    }
    return Policy(
        contract,
        config,
        network,
        normalizer,
        normalizer,
        torch.device('cpu'),
        vectors,
        tiny_instructions(contract),
    )


def calm_policy(policy: Policy, pose_A: torch.Tensor) -> Policy:
    """The same network, its actions within a few millimetres and milliradians of a pose (A,), rad or m.

    What an untrained network says moves no arm then, and meets every gate of action_node.
    """
    spread_A = torch.full_like(pose_A, _CALM, dtype=torch.float64)
    return replace(policy, action=Normalizer(pose_A.double(), spread_A))


def tiny_instructions(contract: Contract) -> Instructions:
    """Two instructions with made-up embeddings, for a contract that has instructions."""
    if 'instruction' not in contract.goals:
        return Instructions()
    vectors_MG = torch.randn(2, TEXT_DIM, generator=torch.Generator().manual_seed(0))
    return Instructions(('push the button', 'open the drawer'), torch.nn.functional.normalize(vectors_MG))


def tiny_checkpoint(directory: Path, contract: Contract, seed: int = 0, **sizes: Any) -> Path:
    """Write the tiny policy as a checkpoint and return its directory."""
    golden = observation_tensors(**contract.example())
    policy = tiny_policy(contract, seed, **sizes)
    if 'instruction' in contract.goals:
        golden['goal.instruction'] = policy.instructions.vectors_MG[0]
    if 'image' in contract.goals:
        golden['goal.image'] = golden[f'images.{contract.cameras[0].name}'][-1]
    save_checkpoint(Path(directory), policy, golden, '# A tiny untrained policy for tests\n')
    return Path(directory)
