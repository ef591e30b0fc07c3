# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The how-to pages name every cause to stop, and only parameters, keys and files that exist."""

import dataclasses
import re
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='needs rclpy: a sourced ROS distribution, or the extra ros-jazzy')

from dp_ros.nodes.params import ActionParams, PolicyParams
from dp_ros.nodes.record_params import RecordParams

ROOT = Path(__file__).resolve().parents[3]
PAGES = ROOT / 'doc' / 'how-to'
STATES = (PAGES / 'states.md').read_text()
OUTPUTS = (PAGES / 'limits_and_outputs.md').read_text()
CODE = ''.join(
    (ROOT / 'dp_ros' / path).read_text()
    for path in (
        'action/supervisor.py',
        'action/gates.py',
        'action/pose.py',
        'nodes/motion.py',
        'nodes/action_node.py',
    )
)


def test_every_cause_to_stop_stands_on_the_page():
    faults = set(re.findall(r"\bfault\([^)]*?now_ns(?:\(\))?, '([a-z_]+)'", CODE))
    holds = set(re.findall(r"\b(?:_stop|stopped)\([^)]*?now_ns, '([a-z_]+)'", CODE))
    assert {'estop', 'tracking_error', 'clock_back', 'output'} <= faults
    assert {'chunk_stale', 'operator', 'deadman', 'clock_frozen'} <= holds
    missing = [f'fault.{f}' for f in sorted(faults) if f'`fault.{f}`' not in STATES]
    missing += [f'hold.{h}' for h in sorted(holds) if f'`hold.{h}`' not in STATES]
    assert missing == []


def test_every_gate_stands_on_the_page_in_its_order():
    listed = re.findall(r'^\| `([a-z]+)` \|', STATES.split('## Chunks that are rejected')[1], re.MULTILINE)
    raised = set(re.findall(r"(?:ChunkError|_require\w*)\(\s*'([a-z]+)'", CODE))
    assert raised <= set(listed)
    wanted = ['contract', 'names', 'finite', 'stamp', 'monotone', 'continuity', 'limits', 'clip']
    assert [gate for gate in listed if gate in wanted] == wanted


@pytest.mark.parametrize('page', [STATES, OUTPUTS], ids=['states', 'limits_and_outputs'])
def test_parameters_and_files_exist(page):
    known = {field.name for params in (ActionParams, PolicyParams) for field in dataclasses.fields(params)}
    keys = {'latency_s', 'max_velocity', 'max_acceleration', 'max_jerk'}
    named = set(re.findall(r'`((?:max|start|limit)_[a-z_]+|[a-z_]+_(?:s|hz|limit|budget|conflict))`', page))
    assert len(named) >= 5
    assert named <= known | keys
    for link in re.findall(r'\]\(([^)]+)\)', page):
        assert (PAGES / link).is_file(), link
    for file in re.findall(r'`((?:config|dp_ros)/[\w/.]+)`', page):
        assert (ROOT / file).exists(), file
    for example in re.findall(r'`(example_\w+\.yaml)`', page):
        assert (ROOT / 'config' / 'bindings' / example).is_file()


@pytest.mark.parametrize('page', [STATES, OUTPUTS], ids=['states', 'limits_and_outputs'])
def test_both_pages_say_what_this_is_not(page):
    assert '**Not a safety function.**' in page[:400]
    assert re.search(r'hardware\s(> )?emergency stop', page)


def test_the_page_on_recording_names_what_record_node_has():
    page = (PAGES / 'record.md').read_text()
    code = (ROOT / 'dp_ros' / 'nodes' / 'record_node.py').read_text()
    assert set(re.findall(r'-p (\w+):=', page)) <= {field.name for field in dataclasses.fields(RecordParams)}
    # Files, topics and keys of other things aside, what stands in code font with an underscore is a parameter.
    named = set(re.findall(r'`([a-z]+_[a-z_]+)(?::=\w+)?`', page))
    others = {'record_node', 'policy_node', 'custom_data', 'use_sim_time', 'dp_ros'}
    assert named - others <= {field.name for field in dataclasses.fields(RecordParams)}
    for service in set(re.findall(r'`~/(\w+)`', page)):
        assert f"'{service}'" in code or service == 'episode', service
    for file in re.findall(r'`(config/[\w/.]+)`', page):
        assert (ROOT / file).is_file()
