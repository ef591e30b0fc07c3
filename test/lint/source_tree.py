# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What the lint tests read: the source files, and who imports whom, by syntax tree and not by running anything."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / 'dp_ros'
FOLDERS = ('dp_ros', 'test', 'launch', 'scripts', 'bench', 'examples')


def python_files(*folders: str) -> list[Path]:
    """Every Python file below the folders (default: all that hold any), and setup.py."""
    found = [path for name in folders or FOLDERS for path in sorted((ROOT / name).rglob('*.py'))]
    return found if folders else [ROOT / 'setup.py', *found]


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(), str(path))


def room(path: Path) -> str:
    """The room of a file of the package: its first folder, or the module's name where it lies at the top."""
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imports(path: Path) -> set[str]:
    """Dotted names of everything that a file imports, anywhere in it; `from a import b` gives a.b."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}:{node.lineno}: relative import'
            names |= {f'{node.module}.{alias.name}' for alias in node.names}
    return names


def third_party(path: Path) -> set[str]:
    """Top-level names of what a file imports from outside the package."""
    return {name.split('.')[0] for name in imports(path)} - {'dp_ros'}


def is_ros(name: str) -> bool:
    """Whether a top-level module name is rclpy or a package of messages."""
    return name in ROS_MODULES or name.endswith(('_msgs', '_interfaces', '_srvs'))


ROS_MODULES = {
    'rclpy',
    'launch',
    'launch_ros',
    'launch_testing',
    'ament_index_python',
    'tf2_ros',
    'cv_bridge',
    'rosbag2_py',
}
