# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The import table of doc/explanation/architecture.md: which room may know which."""

import subprocess
import sys

import pytest
from source_tree import PACKAGE, ROOT, imports, is_ros, python_files, room, third_party

_CORE = {'errors', 'share', 'whole_file', 'contract'}
_NUMPY = {'messages', 'observation', 'action'}
_TORCH = {'model', 'diffusion'}

# Room to the rooms that it may import, itself aside. Everything not listed is forbidden.
TABLE = {
    '__init__': set(),
    'errors': set(),
    'share': {'errors'},
    'whole_file': {'errors'},
    'contract': {'errors'},
    **{name: {'errors', 'contract'} | _NUMPY for name in _NUMPY},
    'bags': _CORE | _NUMPY,
    **{name: {'errors', 'contract'} | _TORCH for name in _TORCH},
    'data': _CORE | _NUMPY | {'bags'},
    'policy': _CORE | _NUMPY | _TORCH,
    'simulation': _CORE | _NUMPY | {'data'},
    'training': _CORE | _NUMPY | _TORCH | {'data', 'policy'},
    'evaluation': _CORE | _NUMPY | _TORCH | {'bags', 'data', 'policy', 'simulation'},
    'cli': _CORE | _NUMPY | _TORCH | {'bags', 'data', 'policy', 'simulation', 'training', 'evaluation'},
    'nodes': _CORE | _NUMPY | _TORCH | {'bags', 'data', 'policy', 'simulation', 'evaluation'},
}

# Third-party modules that only some rooms may import.
ONLY_IN = {
    'torch': _TORCH | {'data', 'policy', 'training', 'evaluation', 'cli', 'nodes'},
    'mujoco': {'simulation'},
    'dm_control': {'simulation'},
    'gymnasium': {'simulation'},
    'gym_aloha': {'simulation'},
    'metaworld': {'simulation'},
    'gym_pusht': {'simulation'},
    'pymunk': {'simulation'},
    'shapely': {'simulation'},
}

FILES = [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in python_files('dp_ros')]


def test_the_table_names_every_room_and_nothing_else():
    assert set(TABLE) == {room(path) for path in python_files('dp_ros')}


@pytest.mark.parametrize('path', FILES)
def test_imports_run_downward(path):
    here = room(path)
    known = {name.split('.')[1] for name in imports(path) if name.startswith('dp_ros.')} - {'__version__'}
    assert known <= TABLE[here] | {here}, f'{here} must not import {sorted(known - TABLE[here] - {here})}'


@pytest.mark.parametrize('path', FILES)
def test_only_the_nodes_import_ros(path):
    if room(path) != 'nodes':
        assert not {name for name in third_party(path) if is_ros(name)}


@pytest.mark.parametrize('path', FILES)
def test_third_party_modules_stay_in_their_rooms(path):
    for name in third_party(path) & set(ONLY_IN):
        assert room(path) in ONLY_IN[name], f'{name} belongs to {sorted(ONLY_IN[name])}'


def import_all(rooms: set[str], blocked: str) -> None:
    """Import every module of the rooms in a fresh interpreter in which the blocked modules do not exist."""
    paths = [path for path in python_files('dp_ros') if room(path) in rooms]
    names = [
        '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__') for path in paths
    ]
    code = f"""
import importlib, importlib.abc, re, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if re.fullmatch({blocked!r}, name.split('.')[0]):
            raise ModuleNotFoundError(f'{{name}} is blocked', name=name)

sys.meta_path.insert(0, Blocker())
for name in {names!r}:
    importlib.import_module(name)
print('imported', len({names!r}))
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ['imported', str(len(names))]


def test_everything_but_the_nodes_imports_without_ros():
    import_all(
        set(TABLE) - {'nodes'}, r'rclpy|launch|launch_ros|.*_msgs|.*_srvs|.*_interfaces|ament_index_python'
    )


def test_the_numpy_island_imports_without_torch():
    import_all(_CORE | _NUMPY, r'torch|rclpy|.*_msgs|mujoco|gymnasium|dm_control')
