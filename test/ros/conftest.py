# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Real nodes as real processes over DDS, each test module on a ROS domain of its own."""

import os

import pytest

pytest.importorskip('rclpy', reason='needs rclpy: a sourced ROS distribution, or the extra ros-jazzy')

from graph_under_test import Graph

from dp_ros.cli.ros_processes import free_domain, image_environment, local_environment
from dp_ros.contract import Contract
from dp_ros.policy.testing import tiny_checkpoint
from dp_ros.share import share_path


def pytest_collection_modifyitems(items):
    """Everything here is marked ros."""
    for item in items:
        if 'test/ros' in str(item.path):
            item.add_marker(pytest.mark.ros)


@pytest.fixture(scope='session')
def contract():
    return Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))


@pytest.fixture(scope='session')
def checkpoint(contract, tmp_path_factory):
    """A small real policy, untrained."""
    return tiny_checkpoint(tmp_path_factory.mktemp('checkpoints') / 'tiny', contract)


@pytest.fixture(scope='session', autouse=True)
def local_graph():
    """This process too keeps its ROS graph on the machine and takes large images."""
    wanted = local_environment(0) | image_environment()
    changed = {k: v for k, v in wanted.items() if os.environ.get(k) != v and k.startswith(('ROS_', 'FAST'))}
    with pytest.MonkeyPatch.context() as patch:
        for key, value in changed.items():
            patch.setenv(key, value)
        yield


@pytest.fixture(scope='module')
def graph(tmp_path_factory):
    """A domain with a node of the test in it; whatever it started is ended with the module."""
    with Graph(free_domain(), tmp_path_factory.mktemp('logs')) as running:
        yield running


@pytest.fixture
def own_graph(tmp_path_factory):
    """The same for one test alone, for tests that end nodes."""
    with Graph(free_domain(), tmp_path_factory.mktemp('logs')) as running:
        yield running
