# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""`pip install .` and `colcon build` really install the package: code, executables, and every file in share."""

import filecmp
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ('launch', 'config', 'checkpoints')
NODES = ('policy_node', 'action_node', 'sim_node')


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of the package, so that building it leaves nothing behind in the work tree."""
    copy = tmp_path_factory.mktemp('source') / 'dp_ros'
    copy.mkdir()
    skip = shutil.ignore_patterns('__pycache__', '*.pyc')
    for name in ('dp_ros', 'resource', *SHARED):
        shutil.copytree(ROOT / name, copy / name, ignore=skip)
    for name in ('setup.py', 'setup.cfg', 'pyproject.toml', 'package.xml', 'README.md'):
        shutil.copy(ROOT / name, copy / name)
    return copy


def run(*command, **options):
    """Run a command; its output is the failure's message."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def check_share(source, prefix):
    """Every file of the shared folders, the manifest and the marker of the ament index lie under the prefix."""
    share = prefix / 'share' / 'dp_ros'
    files = [f.relative_to(source) for name in SHARED for f in (source / name).rglob('*') if f.is_file()]
    assert {f.parts[0] for f in files} == set(SHARED)
    missing = [
        str(f)
        for f in [*files, Path('package.xml')]
        if not (share / f).is_file() or not filecmp.cmp(source / f, share / f, shallow=False)
    ]
    assert missing == []
    assert (prefix / 'share/ament_index/resource_index/packages/dp_ros').is_file()


def check_found_from_the_installation(source, prefix, cwd):
    """The installed code is complete, its templates included, and finds the installed share, not the work tree's."""
    (library,) = prefix.glob('l*/python3*/*-packages')
    package = [f.relative_to(source) for f in (source / 'dp_ros').rglob('*') if f.is_file()]
    assert [str(f) for f in package if not (library / f).is_file()] == []
    code = (
        'from dp_ros.share import share_directory; import dp_ros; print(dp_ros.__file__, share_directory())'
    )
    environment = {**os.environ, 'PYTHONPATH': str(library)}
    out = run(sys.executable, '-c', code, env=environment, cwd=cwd)
    assert out.split() == [str(library / 'dp_ros/__init__.py'), str(prefix / 'share/dp_ros')]


def test_pip_install(source, tmp_path):
    prefix = tmp_path / 'prefix'
    environment = {**os.environ, 'PIP_DISABLE_PIP_VERSION_CHECK': '1'}
    command = (sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-build-isolation')
    run(*command, '--ignore-installed', '--prefix', str(prefix), str(source), env=environment)
    check_share(source, prefix)
    for executable in ('dp_ros', *NODES):
        assert os.access(prefix / 'bin' / executable, os.X_OK), executable
    check_found_from_the_installation(source, prefix, tmp_path)


@pytest.mark.skipif(importlib.util.find_spec('colcon_core') is None, reason='colcon is not installed')
def test_colcon_build(source, tmp_path):
    install = tmp_path / 'install'
    colcon = Path(sysconfig.get_path('scripts')) / 'colcon'
    run(
        str(colcon) if colcon.exists() else 'colcon',
        *('--log-base', str(tmp_path / 'log'), 'build', '--base-paths', str(source)),
        *('--build-base', str(tmp_path / 'build'), '--install-base', str(install)),
        cwd=tmp_path,
    )
    prefix = install / 'dp_ros'
    check_share(source, prefix)
    for executable in NODES:
        assert os.access(prefix / 'lib/dp_ros' / executable, os.X_OK), (
            f'`ros2 run` will not find {executable}'
        )
    check_found_from_the_installation(source, prefix, tmp_path)
