# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The robots of the fault tests: the two arms that ship, and the left one of them alone."""

from pathlib import Path

import yaml

from dp_ros.contract import Contract
from dp_ros.errors import ConfigError
from dp_ros.share import share_path

ARMS = {'one': ('left',), 'two': ('left', 'right')}
SHIPPED = 'aloha_transfer_cube'


def site_contract(arms: str) -> Contract:
    """The shipped contract, reduced to the arms.

    Args:
        arms: 'one' or 'two'.

    Raises:
        ConfigError: for anything else.
    """
    data = Contract.from_json(share_path('config', 'contracts', f'{SHIPPED}.json')).to_dict()
    wanted = _arms(arms)
    data['embodiment']['arms'] = [arm for arm in data['embodiment']['arms'] if arm['name'] in wanted]
    data['name'] = f'faults_{arms}'
    return Contract.from_dict(data)


def write_site(folder: Path, arms: str) -> tuple[Contract, Path]:
    """Write contract.json and binding.yaml for these arms; returns the contract and the binding's path.

    A folder with a contract.json alone is a checkpoint as far as action_node reads one.
    """
    contract = site_contract(arms)
    text = share_path('config', 'bindings', 'aloha_sim.yaml').read_text()
    binding = yaml.safe_load(text)
    binding['name'] = contract.name
    binding['arms'] = {name: arm for name, arm in binding['arms'].items() if name in _arms(arms)}
    for arm in binding['arms'].values():
        for name, joint in arm['joints'].items():
            # Home is zero for every joint here, for an untrained policy's chunks lie around it.
            if name.endswith('gripper') and 'position' in joint:
                joint['position'] = [-0.06, 0.06]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'contract.json').write_text(contract.to_json())
    path = folder / 'binding.yaml'
    path.write_text(yaml.safe_dump(binding, sort_keys=False))
    return contract, path


def _arms(arms: str) -> tuple[str, ...]:
    if arms not in ARMS:
        raise ConfigError(f'arms must be one of {sorted(ARMS)}, got {arms!r}')
    return ARMS[arms]
