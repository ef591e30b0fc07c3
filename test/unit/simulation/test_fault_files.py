# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Fault files: the shipped ones are complete, and a mistake in one is found before it silently tests nothing."""

import copy
from collections import Counter

import numpy as np
import pytest
import yaml

from dp_ros.contract.binding import Binding
from dp_ros.errors import ConfigError
from dp_ros.share import share_path
from dp_ros.simulation.fault_files import DEEDS, STREAMS, FaultSpec, load_faults
from dp_ros.simulation.fault_policy import ScriptedPolicy
from dp_ros.simulation.fault_robot import CONTROL_NS, FaultRobot
from dp_ros.simulation.fault_site import site_contract, write_site

GOOD = {
    'dp_fault': 1,
    'name': 'chunks_nan',
    'description': 'One joint is not a number.',
    'target': 'chunks',
    'kind': 'value',
    'parameters': {'joint': 3},
    'expect': {'state': '^HOLD', 'counter': 'action_node/rejected.finite', 'recovery': 'engage'},
}
MISTAKES = {
    'unknown key': lambda d: d.update(durration=3),
    'missing key': lambda d: d.pop('expect'),
    'version': lambda d: d.update(dp_fault=2),
    'target': lambda d: d.update(target='wheels'),
    'kind of another target': lambda d: d.update(kind='estop'),
    'unknown parameter': lambda d: d['parameters'].update(jont=3),
    'illegal parameter': lambda d: d.update(kind='drop', parameters={'probability': 7.0}),
    'missing parameter': lambda d: d.update(kind='ramp', parameters={}),
    'parameters of a deed': lambda d: d.update(target='robot', kind='block', parameters={'arm': 1}),
    'regular expression': lambda d: d['expect'].update(state='('),
    'unknown expectation': lambda d: d['expect'].update(level='ERROR'),
    'recovery': lambda d: d['expect'].update(recovery='pray'),
    'phase': lambda d: d.update(phase='sleep'),
    'time': lambda d: d.update(for_s=-1.0),
    'pictures nobody sees': lambda d: d.update(target='images', kind='drop', parameters={}),
}


def test_a_good_file_is_read():
    spec = FaultSpec.from_dict(GOOD)
    assert spec.stops
    assert spec.expect.counter == 'action_node/rejected.finite'


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_is_found(mistake):
    data = copy.deepcopy(GOOD)
    MISTAKES[mistake](data)
    with pytest.raises(ConfigError):
        FaultSpec.from_dict(data)


def test_a_file_is_named_as_its_fault(tmp_path):
    (tmp_path / 'other.yaml').write_text(yaml.safe_dump(GOOD))
    with pytest.raises(ConfigError, match='share one name'):
        load_faults(tmp_path)


def test_an_unknown_fault_is_refused_with_the_legal_names():
    with pytest.raises(ConfigError, match='chunks_nan'):
        load_faults(only=['chunks_none'])


def test_the_shipped_faults_cover_every_target_and_enough_kinds():
    specs = load_faults()
    assert len(specs) >= 42
    assert {spec.target for spec in specs} == {*STREAMS, *DEEDS}
    for target, kinds in DEEDS.items():
        assert {spec.kind for spec in specs if spec.target == target} == set(kinds), target
    assert Counter(spec.expect.recovery for spec in specs).keys() == {
        'goes on', 'engage', 'clear_fault then engage', 'refused',
    }  # fmt: skip
    for spec in specs:
        assert spec.description.endswith('.')
        if spec.target in STREAMS:
            assert spec.stream_fault() is not spec.stream_fault(), (
                'a fault remembers, so each use gets its own'
            )


@pytest.mark.parametrize(('arms', 'joints'), [('one', 7), ('two', 14)])
def test_the_sites_fit_their_contract(tmp_path, arms, joints):
    contract, path = write_site(tmp_path, arms)
    binding = Binding.from_yaml(path)
    assert len(contract.joint_names) == joints
    assert len(binding.limits(contract.joint_names).velocity) == joints
    assert set(binding.arms) == {arm.name for arm in contract.embodiment.arms}
    with pytest.raises(ConfigError):
        site_contract('three')


def test_the_scripted_policy_is_smooth_and_starts_where_the_arms_are():
    contract = site_contract('two')
    home = np.zeros(len(contract.joint_names))
    policy, measured = ScriptedPolicy(contract, home), np.full(len(home), 0.3)
    policy.engaged(1000, measured)
    first, second = policy.chunk(1000), None
    np.testing.assert_array_equal(first.rows[0], measured)
    assert policy.chunk(1000 + contract.timing.tick_ns - 1) is None
    second = policy.chunk(1000 + contract.timing.tick_ns)
    assert (first.frame_id.split(':')[1:], second.frame_id.split(':')[1:]) == (['1', '0'], ['1', '1'])
    ahead = contract.timing.tick_ns // contract.timing.period_ns
    np.testing.assert_allclose(first.rows[ahead], second.rows[0], atol=1e-12)
    assert (np.array(second.rows[-1]) < measured).all(), 'it leads back towards home'
    limits = Binding.from_yaml(share_path('config', 'bindings', 'aloha_sim.yaml')).limits(
        contract.joint_names
    )
    speed = np.abs(np.diff(first.rows, axis=0)).max(axis=0) / (contract.timing.period_ns * 1e-9)
    assert (speed < limits.velocity).all()


def test_the_robot_follows_its_controllers_with_a_lag_and_a_blocked_joint_does_not():
    contract = site_contract('one')
    robot = FaultRobot(contract.embodiment)
    robot.blocked.add(2)
    names = contract.joint_names

    class Window:
        stamp_ns, joint_names, times_ns = 1_000_000_000, names, np.array([0, 1_000_000_000])
        positions = np.stack([np.zeros(7), np.full(7, 0.5)])
        velocities = np.zeros((2, 7))

    robot.accept('left', 1_000_000_000, Window)
    robot.advance(1_000_000_000, 2_500_000_000)
    trace = robot.trace()
    assert np.array_equal(np.unique(np.diff(trace.times_ns)), [CONTROL_NS])
    np.testing.assert_allclose(trace.positions[-1], 0.5)
    assert robot.resting
    np.testing.assert_allclose(np.delete(robot.measured, 2), 0.5, atol=1e-3)
    assert robot.measured[2] == 0.0
    Window.joint_names = ('who',) * 7
    robot.accept('left', 2_500_000_000, Window)
    assert robot.rejected == 1
    assert 'left' in robot.rejection
