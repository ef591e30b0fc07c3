# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The bag of one session: where it lies, who writes it, and what stands in its metadata."""

import importlib.util
import os
import platform
from datetime import datetime, timezone
from pathlib import Path

import rclpy
from rclpy.node import Node

from dp_ros import __version__
from dp_ros.bags.writer import BagWriter
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.contract.compare import require_match
from dp_ros.errors import ConfigError
from dp_ros.nodes.record_params import RecordParams
from dp_ros.nodes.record_queue import Sink
from dp_ros.nodes.site import binding_path, checkpoint_contract

WRITERS = ('auto', 'rosbag2_py', 'rosbags')


def open_bag_for(node: Node, params: RecordParams, mark_topic: str) -> Sink:
    """A new bag ``out/<name>_<UTC time>``.

    Raises:
        ConfigError: a parameter holds something illegal.
        MismatchError: contract and binding do not fit; lists every difference.
        BagError: the bag cannot be made, or one of that name is there.
    """
    if params.writer not in WRITERS:
        raise ConfigError(f'parameter writer: {params.writer!r}, expected one of {WRITERS}')
    created = datetime.now(timezone.utc)
    path = Path(params.out).expanduser() / f'{params.name}_{created:%Y%m%dT%H%M%SZ}'
    there = importlib.util.find_spec('rosbag2_py') is not None
    writer = ('rosbag2_py' if there else 'rosbags') if params.writer == 'auto' else params.writer
    custom = {
        **_site(params),
        'namespace': node.get_namespace(),
        'operator': params.operator,
        'instruction': params.instruction,
        'episode_topic': mark_topic,
        'images': f'jpeg, quality {params.jpeg_quality}' if params.images == 'jpeg' else params.images,
        'created': created.isoformat(timespec='seconds'),
        'writer': writer,
        'dp_ros': __version__,
        'python': platform.python_version(),
        'ros_distro': os.environ.get('ROS_DISTRO', ''),
        'middleware': rclpy.get_rmw_implementation_identifier(),
    }
    if writer == 'rosbags':
        return BagWriter(path, custom)
    if not there:
        raise ConfigError("parameter writer: 'rosbag2_py' is not installed; 'rosbags' is")
    from dp_ros.nodes.rosbag2_writer import Rosbag2Writer

    return Rosbag2Writer(path, custom)


def _site(params: RecordParams) -> dict[str, str]:
    path = binding_path(params.binding)
    binding = Binding.from_yaml(path)
    out = {'binding': path.read_text(), 'binding_name': binding.name}
    if params.contract:
        contract = _contract(params.contract)
        require_match(contract, binding.robot(), f'the robot of binding {binding.name!r}')
        out |= {'contract': contract.to_json(), 'contract_hash': contract.hash}
    return out


def _contract(value: str) -> Contract:
    path = Path(value).expanduser()
    return Contract.from_json(path) if path.is_file() else checkpoint_contract(value)
