# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Times one policy of LeRobot for `dp_ros bench peers`; runs in the environment that setup.sh makes, without dp_ros.

Its argument is JSON: kind ('diffusion' or 'act'), cameras, size (height and width), joints, threads, and for diffusion
down_dims, scheduler and steps. It prints a line of JSON about the policy; then, for each line with a number that it
reads, a line with the milliseconds of so many replans. Weights are random: they cost the same time as trained ones.
"""

import json
import os
import sys
import time

# What libraries print must not come between the answers.
answers = os.fdopen(os.dup(1), 'w', buffering=1)
os.dup2(2, 1)
task = json.loads(sys.argv[1])

import torch  # noqa: E402

# The compiled part of torchvision from the package index does not load beside a torch for CPUs only. None of its
# operators is used here, but its Python part wants them to exist.
_OPERATORS = (
    'nms', 'qnms', 'roi_align', 'qroi_align', '_roi_align_backward', 'ps_roi_align', '_ps_roi_align_backward',
    'roi_pool', '_roi_pool_backward', 'ps_roi_pool', '_ps_roi_pool_backward', 'deform_conv2d',
    '_deform_conv2d_backward',
)  # fmt: skip
library = torch.library.Library('torchvision', 'FRAGMENT')
if not hasattr(torch.version, 'cuda') or torch.version.cuda is None:
    for operator in _OPERATORS:
        library.define(f'{operator}() -> ()')

from importlib.metadata import version  # noqa: E402

from lerobot.configs.types import FeatureType, PolicyFeature  # noqa: E402


def policy():
    """The policy of the task, untrained, with LeRobot's own settings but for those that the task names."""
    joints, size = task['joints'], task['size']
    inputs = {'observation.state': PolicyFeature(FeatureType.STATE, (joints,))}
    for k in range(task['cameras']):
        inputs[f'observation.images.camera{k}'] = PolicyFeature(FeatureType.VISUAL, (3, *size))
    features = {
        'input_features': inputs,
        'output_features': {'action': PolicyFeature(FeatureType.ACTION, (joints,))},
        'device': 'cpu',
    }
    if task['kind'] == 'act':
        from lerobot.policies.act.configuration_act import ACTConfig
        from lerobot.policies.act.modeling_act import ACTPolicy

        return ACTPolicy(ACTConfig(**features, pretrained_backbone_weights=None))
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

    config = DiffusionConfig(
        **features,
        crop_shape=None,
        down_dims=tuple(task['down_dims']),
        noise_scheduler_type=task['scheduler'],
        num_inference_steps=task['steps'],
    )
    return DiffusionPolicy(config)


def main():
    """Serve."""
    torch.set_num_threads(task['threads'])
    torch.manual_seed(0)
    model = policy().eval()
    observation = {'observation.state': torch.randn(1, task['joints'])}
    for k in range(task['cameras']):
        observation[f'observation.images.camera{k}'] = torch.rand(1, 3, *task['size'])

    def replan():
        # Without actions left over, select_action asks the network for the next ones.
        model.reset()
        start = time.perf_counter()
        model.select_action(dict(observation))
        return 1e3 * (time.perf_counter() - start)

    facts = {
        'parameters': sum(p.numel() for p in model.parameters()),
        'versions': {name: version(name) for name in ('lerobot', 'diffusers', 'torch')},
    }
    print(json.dumps(facts), file=answers)
    with torch.inference_mode():
        for line in sys.stdin:
            print(json.dumps([replan() for _ in range(int(line))]), file=answers)


main()
