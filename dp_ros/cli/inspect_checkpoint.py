# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros inspect CHECKPOINT``: what it needs, how it runs, and does it fit this robot?"""

import argparse
from pathlib import Path

from dp_ros.cli.inspect_contract import print_contract, print_robot
from dp_ros.cli.tables import print_row
from dp_ros.contract import Contract
from dp_ros.errors import ConfigError
from dp_ros.evaluation.choice import KEY
from dp_ros.evaluation.expert_report import expert_plot, expert_report
from dp_ros.model.accounting import active_parameters, total_parameters
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.whole_file import whole_file


def run(args: argparse.Namespace) -> int:
    """Print tables; exit code 1 if, with a binding, the robot does not fit."""
    contract = _print_checkpoint(args.path, args.plot)
    return int(not print_robot(contract, args.binding))


def _print_checkpoint(path: Path, plot: Path | None) -> Contract:
    policy = load_checkpoint(path)
    control, network = policy.config.control, policy.network
    print(f'checkpoint {path}: complete, hashes right, golden sample reproduced')
    print_contract(policy.contract)
    total, active = total_parameters(network), active_parameters(network)
    print_row('parameters', f'{total:,}' + (f', of which a token meets {active:,}' if active < total else ''))
    per_action = control.evaluations_per_action(policy.contract.timing.action_horizon)
    print_row(
        'control',
        f'{control.text}; {per_action:.2f} for each executed action',
    )
    if choice := policy.config.provenance.get(KEY):
        first, end = choice['seeds']
        print_row('', f'chosen among {len(choice["candidates"])} on validation seeds {first} to {end - 1}')
    if network.past is not None:
        print_row('past', f'{policy.config.network.past_actions} actions that it commanded itself')
    if 'instruction' in policy.contract.goals:
        print_row('instructions', '; '.join(policy.instructions.texts))
    if policy.contract.goals:
        print_row(
            'without a goal', 'can run (goal_free), be guided' if policy.config.null_goal else 'cannot run'
        )
    levels = policy.levels
    print_row('noise', f'{levels.count} levels, sigma {levels.sigma_min} to {levels.sigma_max}')
    size = sum(f.stat().st_size for f in path.iterdir())
    print_row('size on disk', f'{size / 2**20:.1f} MiB')
    if network.experts():
        print(expert_report(policy))
    elif plot is not None:
        raise ConfigError(f'{path}: --plot shows experts, and this network has none')
    if plot is not None:
        with whole_file(plot, 'the plot') as beside:
            beside.write_text(expert_plot(policy))
    return policy.contract
