# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The RViz configuration and the Foxglove layout name only what the nodes and the shipped site have."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.share import share_path

NODES = Path(__file__).resolve().parents[3] / 'dp_ros' / 'nodes'
# Which node a file of dp_ros/nodes belongs to.
OWNERS = {
    'action_': '/action_node',
    'markers': '/action_node',
    'policy_node': '/policy_node',
    'sim_node': '/sim_node',
}
# From the rest of ROS: robot_state_publisher, tf2, and every node's /diagnostics.
OTHERS = {'/robot_description', '/diagnostics', '/tf', '/tf_static'}
# Two panels make one button a service each; a Trigger takes nothing.
REQUESTS = {'engage': {'data'}, 'hold': set(), 'clear_fault': set()}


@pytest.fixture(scope='module')
def binding():
    return Binding.from_yaml(share_path('config', 'bindings', 'aloha_sim.yaml'))


@pytest.fixture(scope='module')
def names(binding):
    """Every topic and service of the graph with the shipped site."""
    found = set(OTHERS)
    for path in NODES.glob('*.py'):
        owner = next((node for prefix, node in OWNERS.items() if path.name.startswith(prefix)), None)
        if owner:
            found |= {f'{owner}/{name}' for name in re.findall(r"'~/(\w+)'", path.read_text())}
    found |= {f'/{state.topic}' for state in binding.joint_states}
    found |= {f'/{camera.topic}' for camera in binding.cameras.values()}
    return found


@pytest.fixture(scope='module')
def rviz():
    return yaml.safe_load(share_path('config', 'rviz', 'dp_ros.rviz').read_text())


@pytest.fixture(scope='module')
def foxglove():
    return json.loads(share_path('config', 'foxglove', 'dp_ros.json').read_text())


def strings(data):
    """Every text in nested data, keys included."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from (key, *strings(value))
    elif isinstance(data, list):
        for value in data:
            yield from strings(value)
    elif isinstance(data, str):
        yield data


def topics(data):
    """Every text that is a topic or service, message paths cut off at the first field."""
    found = {re.split(r'[.\[{]', text)[0] for text in strings(data) if re.match(r'/[a-z]', text)}
    assert found
    return found


def test_rviz_shows_robot_cameras_frames_and_paths(rviz, names, binding):
    displays = {d['Class'].split('/')[1]: d for d in rviz['Visualization Manager']['Displays']}
    assert {'RobotModel', 'TF', 'Image', 'MarkerArray'} <= set(displays)
    assert topics(rviz) <= names
    assert displays['MarkerArray']['Topic']['Value'] == '/action_node/gripper_paths'
    # A reliable listener would not hear what is published with best effort.
    assert displays['MarkerArray']['Topic']['Reliability Policy'] == 'Best Effort'
    assert displays['RobotModel']['Description Topic']['Durability Policy'] == 'Transient Local'
    assert displays['Image']['Topic']['Value'] == '/' + binding.cameras['top'].topic


def test_foxglove_names_what_exists(foxglove, names):
    assert topics(foxglove) <= names
    kinds = {panel.split('!')[0] for panel in foxglove['configById']}
    assert kinds == {'3D', 'Image', 'Plot', 'StateTransitions', 'DiagnosticSummary', 'CallService'}


def test_every_panel_stands_in_the_layout_once(foxglove):
    def leaves(part):
        return [part] if isinstance(part, str) else leaves(part['first']) + leaves(part['second'])

    assert sorted(leaves(foxglove['layout'])) == sorted(foxglove['configById'])


def test_buttons_call_the_services_with_what_they_take(foxglove):
    buttons = [c for name, c in foxglove['configById'].items() if name.startswith('CallService')]
    called = [(b['serviceName'], json.loads(b['requestPayload'])) for b in buttons]
    assert {service for service, _ in called} == {f'/action_node/{name}' for name in REQUESTS}
    for service, request in called:
        assert set(request) == REQUESTS[service.rsplit('/', 1)[1]]
    assert ('/action_node/engage', {'data': False}) in called, 'there must be a button that stops'


def test_plots_compare_one_joint_with_itself(foxglove):
    """Measured joints come in the order of the driver, here of sim_node's default; commands in the contract's."""
    contract = Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))
    measured_order = [contract.joint_names[i] for i in np.random.default_rng(0).permutation(14)]
    plots = {n.split('!')[1]: c for n, c in foxglove['configById'].items() if n.startswith('Plot')}
    assert len(plots) >= 2
    for joint, plot in plots.items():
        measured, commanded = (path['value'] for path in plot['paths'])
        column = int(re.fullmatch(r'/joint_states\.position\[(\d+)\]', measured).group(1))
        assert measured_order[column] == joint
        column = int(
            re.fullmatch(r'/action_node/executed\.points\[0\]\.positions\[(\d+)\]', commanded).group(1)
        )
        assert contract.joint_names[column] == joint
