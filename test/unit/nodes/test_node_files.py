# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Parameter files and launch files against the nodes, as far as that goes without a launch system."""

import ast
import dataclasses
import re

import pytest
import yaml

pytest.importorskip('rclpy', reason='needs rclpy: a sourced ROS distribution, or the extra ros-jazzy')

from dp_ros.nodes.params import ActionParams, PolicyParams, SimParams
from dp_ros.nodes.play_params import EvaluatorParams, PlayParams
from dp_ros.nodes.record_params import RecordParams
from dp_ros.share import share_path

SCHEMAS = {
    'policy_node': PolicyParams,
    'action_node': ActionParams,
    'sim_node': SimParams,
    'record_node': RecordParams,
}
# Tools have no YAML file: what they are asked for differs each time.
TOOLS = (PlayParams, EvaluatorParams)
LAUNCH_FILES = ('bringup.launch.py', 'sim.launch.py', 'record.launch.py', 'replay.launch.py')


def parameters(node):
    """The YAML file of a node as a mapping."""
    data = yaml.safe_load(share_path('config', f'{node}.yaml').read_text())
    assert list(data) == ['/**']
    return data['/**']['ros__parameters']


def calls(name):
    """Every call in a launch file, as (function name, node)."""
    tree = ast.parse(share_path('launch', name).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            yield getattr(function, 'id', getattr(function, 'attr', '')), node


@pytest.mark.parametrize('node', SCHEMAS)
def test_the_yaml_file_names_every_parameter_and_no_other(node):
    declared = {field.name: field.default for field in dataclasses.fields(SCHEMAS[node])}
    written = parameters(node)
    assert set(written) == set(declared)
    for name, default in declared.items():
        default = list(default) if isinstance(default, tuple) else default
        assert type(written[name]) is type(default), name
        if name not in ('checkpoint', 'binding'):
            assert written[name] == default, f'{name}: the file says it holds the defaults'


@pytest.mark.parametrize('node', SCHEMAS)
def test_every_parameter_says_what_it_is(node):
    for field in dataclasses.fields(SCHEMAS[node]):
        assert field.metadata['description'].endswith('.'), field.name
        low, high = field.metadata['range']
        if isinstance(field.default, float | int) and not isinstance(field.default, bool):
            assert low is not None, f'{field.name} has no range'
            assert low <= field.default
            assert high is None or field.default <= high


def test_what_the_yaml_files_point_at_is_shipped():
    for node in SCHEMAS:
        values = parameters(node)
        assert share_path('config', 'bindings', f'{values["binding"]}.yaml').is_file()
        if 'checkpoint' in values:
            assert share_path('checkpoints', values['checkpoint'], 'contract.json').is_file()


@pytest.mark.parametrize('name', LAUNCH_FILES)
def test_every_executable_of_a_launch_file_exists(name):
    setup = share_path('setup.py').read_text()
    scripts = set(re.findall(r"'(\w+) = dp_ros\.", setup))
    text = share_path('launch', name).read_text()
    used = set(re.findall(r"executable='(\w+)'", text)) | set(re.findall(r"_node\(\s*'(\w+)'", text))
    assert used
    assert used <= scripts


@pytest.mark.parametrize('name', LAUNCH_FILES)
def test_every_file_of_a_launch_file_is_shipped(name):
    found = 0
    for function, call in calls(name):
        if function != 'PathJoinSubstitution':
            continue
        parts = call.args[0].elts[1:]
        if all(isinstance(part, ast.Constant) for part in parts):
            assert share_path(*(part.value for part in parts)).is_file()
            found += 1
        else:
            for node in ('policy_node', 'action_node'):
                assert share_path('config', f'{node}.yaml').is_file()
                found += 1
    assert found


@pytest.mark.parametrize('name', LAUNCH_FILES)
def test_a_launch_file_sets_only_parameters_that_its_nodes_declare(name):
    declared = {field.name for schema in (*SCHEMAS.values(), *TOOLS) for field in dataclasses.fields(schema)}
    typed = {call.args[0].value for function, call in calls(name) if function == '_typed'}
    assert typed
    assert typed <= declared | {'use_sim_time'}


@pytest.mark.parametrize('name', LAUNCH_FILES)
def test_every_argument_is_declared_and_used(name):
    tree = ast.parse(share_path('launch', name).read_text())
    constants = {
        node.targets[0].id: ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)
    }
    declared = {argument for argument, _, _ in constants['ARGUMENTS']}
    used = {
        call.args[0].value
        for function, call in calls(name)
        if function in ('LaunchConfiguration', '_typed') and isinstance(call.args[0], ast.Constant)
    }
    assert declared == used | set(constants.get('PASSED_ON', ()))


@pytest.mark.parametrize(
    ('name', 'fixed'), [('sim.launch.py', 'SIMULATED'), ('replay.launch.py', 'REPLAYED')]
)
def test_what_others_pass_on_the_bringup_knows(name, fixed):
    bringup = ast.parse(share_path('launch', 'bringup.launch.py').read_text())
    declared = next(
        {name for name, _, _ in ast.literal_eval(node.value)}
        for node in bringup.body
        if isinstance(node, ast.Assign) and node.targets[0].id == 'ARGUMENTS'
    )
    text = share_path('launch', name).read_text()
    given = set(ast.literal_eval(re.search(rf'{fixed} = (\{{.*?\n\}})', text, re.S).group(1)))
    passed = set(ast.literal_eval(re.search(r'PASSED_ON = (\(.*?\n?\))', text, re.S).group(1)))
    assert passed | {'use_sim_time', 'frozen_camera_s'} | given <= declared


@pytest.mark.parametrize('schema', TOOLS)
def test_every_parameter_of_a_tool_says_what_it_is(schema):
    for field in dataclasses.fields(schema):
        assert field.metadata['description'].endswith('.'), field.name
