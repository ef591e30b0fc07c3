# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Where the package's launch/, config/ and checkpoints/ lie, in a source tree and after an installation."""

from pathlib import Path

from dp_ros.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent


def share_directory() -> Path:
    """The directory that holds config/, launch/ and checkpoints/.

    A source tree holds them beside the package; pip and colcon install them to PREFIX/share/dp_ros while the
    package lies somewhere below PREFIX, so the answer needs no ament index and no ROS.

    Raises:
        ConfigError: neither is there.
    """
    for parent in _PACKAGE.parents:
        for candidate in (parent, parent / 'share' / 'dp_ros'):
            if (candidate / 'config' / 'contracts').is_dir():
                return candidate
    raise ConfigError(
        f'the data files of dp_ros (config, launch, checkpoints) lie neither beside {_PACKAGE} nor in a '
        'share/dp_ros above it: install the package again'
    )


def share_path(*parts: str) -> Path:
    """A file or directory below :func:`share_directory`."""
    return share_directory().joinpath(*parts)
