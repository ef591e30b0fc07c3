# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Times one policy of ours for ``dp_ros bench peers``, in a process of its own (peers.py has the protocol).

A replan is a tick: from an observation (uint8 pictures and joints in SI units, as they come) to the next actions.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dp_ros.contract import Camera, Contract
from dp_ros.model.network import NetworkConfig
from dp_ros.observation.observation import Observation
from dp_ros.policy.backends import EXPORTED
from dp_ros.policy.checkpoint import load_checkpoint, observation_tensors, save_checkpoint
from dp_ros.policy.config import PolicyConfig
from dp_ros.policy.controller import Controller
from dp_ros.policy.modes import make_controller
from dp_ros.policy.policy import Policy, build_network
from dp_ros.policy.runtime import EAGER, export, use_backend


def random_policy(like: Policy, cameras: int, size: tuple[int, int], **sizes: Any) -> Policy:
    """Random weights in the place of a trained policy's, with other cameras and sizes of the network.

    Args:
        like: gives embodiment, timing, control and what ``sizes`` does not name.
        cameras: how many.
        size: (height, width) of their pictures.
        sizes: of :class:`NetworkConfig`.
    """
    pictures = tuple(
        Camera(name=f'camera{k}', source_size=size, crop=(0, 0, *size), size=size) for k in range(cameras)
    )
    contract: Contract = replace(like.contract, cameras=pictures)
    network: NetworkConfig = replace(like.config.network, **sizes)
    config: PolicyConfig = replace(like.config, network=network, provenance={'note': 'random weights'})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = build_network(contract, config).eval()
        for parameter in built.parameters():  # those that begin at zero too: no product may become trivial
            parameter.data.add_(0.001 * torch.randn_like(parameter))
    return replace(like, contract=contract, config=config, network=built)


def controller_for(task: dict[str, Any], folder: Path) -> tuple[Controller, str]:
    """The policy in motion that a task describes, on its backend, and the backend's name.

    Args:
        task: 'checkpoint', 'backend', 'threads'; and 'cameras', 'size', 'sizes' where weights are random.
        folder: for the checkpoint and the artefact of random weights.
    """
    checkpoint = Path(task['checkpoint'])
    policy = load_checkpoint(checkpoint)
    if task.get('cameras'):
        policy = random_policy(policy, task['cameras'], tuple(task['size']), **task.get('sizes', {}))
        checkpoint = folder / 'checkpoint'
        save_checkpoint(
            checkpoint, policy, observation_tensors(**policy.contract.example()), '# Random weights\n'
        )
        policy = load_checkpoint(checkpoint)
    controller = make_controller(policy)
    name = task['backend']
    if name in EXPORTED:
        if not task.get('cameras'):
            # Beside a copy: a measurement leaves the checkpoint as it is.
            checkpoint = Path(shutil.copytree(checkpoint, folder / 'checkpoint'))
        export(controller, name, checkpoint)
    return controller, use_backend(controller, name, checkpoint, task['threads'])


def main() -> None:
    """Serve."""
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)
    task = json.loads(sys.argv[1])
    torch.set_num_threads(task['threads'])
    with tempfile.TemporaryDirectory() as folder:
        controller, backend = controller_for(task, Path(folder))
        policy = controller.policy
        observation = Observation(stamp_ns=10**9, ages_ns={}, **policy.contract.example())

        def replan() -> float:
            start = time.perf_counter()
            controller.tick(observation)
            return 1e3 * (time.perf_counter() - start)

        facts = {
            'parameters': sum(p.numel() for p in policy.network.parameters()),
            'backend': backend,
            'cameras': len(policy.contract.cameras),
            'size': list(policy.contract.cameras[0].size) if policy.contract.cameras else [],
            'versions': {'torch': torch.__version__} if backend == EAGER else {},
        }
        answers.write(json.dumps(facts) + '\n')
        for line in sys.stdin:
            answers.write(json.dumps([replan() for _ in range(int(line))]) + '\n')


if __name__ == '__main__':
    main()
