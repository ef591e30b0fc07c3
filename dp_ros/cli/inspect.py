# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros inspect``: what is in a checkpoint or an episode store, and does it fit this robot?"""

import argparse
from pathlib import Path

import numpy as np

from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.contract.compare import compare
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import ConfigError, DpRosError, StoreError
from dp_ros.evaluation.expert_report import expert_plot, expert_report
from dp_ros.model.accounting import active_parameters, total_parameters
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.whole_file import whole_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('path', type=Path, help='checkpoint directory or episode store')
    parser.add_argument(
        '--plot', type=Path, help='SVG of which experts a checkpoint uses at which noise level'
    )
    parser.add_argument(
        '--binding', type=Path, help='also compare with the robot that this binding describes'
    )


def run(args: argparse.Namespace) -> int:
    """Print tables; exit code 1 if an episode is damaged or, with a binding, if the robot does not fit."""
    whole = True
    if (args.path / 'store.json').is_file():
        contract, whole = _print_store(args.path)
    elif (args.path / 'manifest.json').is_file():
        contract = _print_checkpoint(args.path, args.plot)
    else:
        raise StoreError(
            f'{args.path}: neither a checkpoint (manifest.json) nor an episode store (store.json)'
        )
    if args.binding is None:
        return int(not whole)
    differences = compare(contract, Binding.from_yaml(args.binding).robot())
    print(f'\nrobot of {args.binding}: ' + ('fits' if not differences else f'{len(differences)} differences'))
    for difference in differences:
        print(f'  {difference}')
    return int(bool(differences) or not whole)


def _print_contract(contract: Contract) -> None:
    timing = contract.timing
    _row('contract', f'{contract.name}, hash {contract.hash[:8]}')
    _row(
        'timing',
        f'To {timing.obs_horizon}, Tp {timing.pred_horizon}, Ta {timing.action_horizon}, '
        f'period {timing.period_ns / 1e6:g} ms, tick {timing.tick_ns / 1e6:g} ms',
    )
    if contract.goals:
        _row('goals', ' or '.join(contract.goals))
    for camera in contract.cameras:
        top, left, height, width = camera.crop
        _row(
            f'camera {camera.name}',
            f'{camera.source_size[1]}x{camera.source_size[0]} px, crop {width}x{height} at ({left}, {top}), '
            f'network sees {camera.size[1]}x{camera.size[0]}',
        )
    for vector in contract.vectors:
        _row(f'vector {vector.name}', f'{vector.dim} numbers')
    for arm in contract.embodiment.arms:
        _row(f'arm {arm.name}', ', '.join(f'{j.name} [{j.unit}]' for j in arm.all_joints))


def _print_checkpoint(path: Path, plot: Path | None) -> Contract:
    policy = load_checkpoint(path)
    control, network = policy.config.control, policy.network
    print(f'checkpoint {path}: complete, hashes right, golden sample reproduced')
    _print_contract(policy.contract)
    total, active = total_parameters(network), active_parameters(network)
    _row('parameters', f'{total:,}' + (f', of which a token meets {active:,}' if active < total else ''))
    _row('control', f'{control.mode}, {control.evaluations} evaluation(s), start from {control.buffer_start}')
    if 'instruction' in policy.contract.goals:
        _row('instructions', '; '.join(policy.instructions.texts))
    if policy.contract.goals:
        _row('without a goal', 'can run (goal_free), be guided' if policy.config.null_goal else 'cannot run')
    levels = policy.levels
    _row('noise', f'{levels.count} levels, sigma {levels.sigma_min} to {levels.sigma_max}')
    size = sum(f.stat().st_size for f in path.iterdir())
    _row('size on disk', f'{size / 2**20:.1f} MiB')
    if network.experts():
        print(expert_report(policy))
    elif plot is not None:
        raise ConfigError(f'{path}: --plot shows experts, and this network has none')
    if plot is not None:
        with whole_file(plot, 'the plot') as beside:
            beside.write_text(expert_plot(policy))
    return policy.contract


def _print_store(path: Path) -> tuple[Contract, bool]:
    with EpisodeStore.open(path) as store:
        lengths: list[int] = []
        damaged: list[str] = []
        low = np.full(len(store.contract.joint_names), np.inf)
        high = -low
        for index in range(len(store)):
            try:
                episode = store.read(index)
            except DpRosError as error:
                damaged.append(str(error))
                continue
            lengths.append(len(episode))
            low = np.minimum(low, episode.commands.min(axis=0))
            high = np.maximum(high, episode.commands.max(axis=0))
        print(f'episode store {path}')
        _print_contract(store.contract)
        _row('source', ', '.join(f'{k} {v}' for k, v in store.info.items() if isinstance(v, str | int)))
        _row('episodes', f'{len(lengths)} readable, {len(damaged)} damaged')
        if lengths:
            _row('frames', f'{sum(lengths)}, {min(lengths)} to {max(lengths)} an episode')
            print('actions, smallest to largest:')
            for joint, a, b in zip(store.contract.embodiment.joints, low, high, strict=True):
                _row(f'  {joint.name}', f'{a:+.4f} to {b:+.4f} {joint.unit}')
        for text in damaged:
            print(f'damaged: {text}')
        return store.contract, not damaged


def _row(name: str, value: str) -> None:
    print(f'{name:26s} {value}')
