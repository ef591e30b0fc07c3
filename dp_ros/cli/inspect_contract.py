# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What ``dp_ros inspect`` says of a contract, and whether it fits a robot."""

from pathlib import Path

from dp_ros.cli.tables import print_row
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.contract.compare import compare


def print_robot(contract: Contract, binding: Path | None) -> bool:
    """Compare with the robot of a binding, if there is one; whether it fits."""
    if binding is None:
        return True
    differences = compare(contract, Binding.from_yaml(binding).robot())
    print(f'\nrobot of {binding}: ' + ('fits' if not differences else f'{len(differences)} differences'))
    for difference in differences:
        print(f'  {difference}')
    return not differences


def print_contract(contract: Contract) -> None:
    """Fields, sizes and timing."""
    timing = contract.timing
    print_row('contract', f'{contract.name}, hash {contract.hash[:8]}')
    print_row(
        'timing',
        f'To {timing.obs_horizon}, Tp {timing.pred_horizon}, Ta {timing.action_horizon}, '
        f'period {timing.period_ns / 1e6:g} ms, tick {timing.tick_ns / 1e6:g} ms',
    )
    if contract.goals:
        print_row('goals', ' or '.join(contract.goals))
    for camera in contract.cameras:
        top, left, height, width = camera.crop
        print_row(
            f'camera {camera.name}',
            f'{camera.source_size[1]}x{camera.source_size[0]} px, crop {width}x{height} at ({left}, {top}), '
            f'network sees {camera.size[1]}x{camera.size[0]}',
        )
    for vector in contract.vectors:
        print_row(f'vector {vector.name}', f'{vector.dim} numbers')
    for arm in contract.embodiment.arms:
        print_row(f'arm {arm.name}', ', '.join(f'{j.name} [{j.unit}]' for j in arm.all_joints))
