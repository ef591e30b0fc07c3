# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The model card: what a checkpoint is, and how it was made. Rollouts add what they measure (policy/card.py)."""

from dp_ros.policy.policy import Policy
from dp_ros.training.experiment import Experiment


def model_card(experiment: Experiment, policy: Policy, facts: dict[str, str]) -> str:
    """Markdown with contract, sizes, recipe and the training run's own measurements."""
    contract, timing, control = policy.contract, policy.contract.timing, experiment.control
    horizons = f'{timing.obs_horizon} / {timing.pred_horizon} / {timing.action_horizon}'
    parameters = sum(p.numel() for p in policy.network.parameters())
    arms = ', '.join(f'{a.name} ({len(a.joint_names)} joints)' for a in contract.embodiment.arms)
    cameras = ', '.join(f'{c.name} {c.size[0]}x{c.size[1]} px' for c in contract.cameras) or 'none'
    vectors = ', '.join(f'{v.name} ({v.dim})' for v in contract.vectors)
    seen = f'| vectors | {vectors} |\n' if vectors else ''
    per_action = control.evaluations_per_action(timing.action_horizon)
    recipe = '\n'.join(f'| {key} | {value} |' for key, value in vars(experiment.training).items())
    privileged = 'No privileged state is used, in training or at run time.'
    if experiment.training.privileged:
        privileged = (
            'In training a head tells the privileged state of the simulator from what the policy sees; at run time '
            'no privileged state is used.'
        )
    measured = '\n'.join(f'| {key} | {value} |' for key, value in facts.items())
    return f"""# {experiment.name}

{experiment.description}

| | |
|---|---|
| contract | {contract.name}, hash {contract.hash[:8]} |
| arms | {arms} |
| cameras | {cameras} |
{seen}| To / Tp / Ta / period | {horizons} / {timing.period_ns / 1e6:g} ms |
| parameters | {parameters:,} |
| control | {control.text} |
| network evaluations an executed action | {per_action:.2f} |

## Training

Data: `{experiment.store}`. {privileged}

| | |
|---|---|
{recipe}

| measured while training | |
|---|---|
{measured}
"""
