# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Measured vectors on their way from a topic into an observation: the newest sample at or before each step holds."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dp_ros.contract import Arm, Contract, Embodiment, Joint, Timing, Vector
from dp_ros.contract.binding import Binding
from dp_ros.data.bag_episodes import EpisodeBuilder
from dp_ros.errors import ConfigError, ContractError, MessageError, MismatchError, StaleObservationError
from dp_ros.observation.intake import Intake
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation_buffer import ObservationBuffer
from dp_ros.observation.observation_file import load_observation, save_observation

MS = 1_000_000
T0 = 10_000 * MS
CONTRACT = Contract(
    name='tracked',
    embodiment=Embodiment(arms=(Arm(name='arm', joints=(Joint(name='a'),)),)),
    cameras=(),
    timing=Timing(obs_horizon=3, pred_horizon=4, action_horizon=2, period_ns=20 * MS),
    vectors=(Vector(name='cube', dim=2),),
)
SITE = {
    'dp_binding': 1,
    'name': 'site',
    'joint_states': [{'topic': 'joint_states'}],
    'arms': {
        'arm': {
            'controller_topic': 'controller/joint_trajectory',
            'joints': {'a': {'unit': 'rad', 'max_acceleration': 1.0}},
        }
    },
    'vectors': {'cube': {'topic': 'tracker/cube', 'dim': 2}},
}


def fed(vector_ms, joints_ms=range(-200, 1, 10)):
    """A buffer with joints until T0 and samples [t, -t] of the vector, t in ms relative to T0."""
    buffer = ObservationBuffer(CONTRACT)
    for ms in joints_ms:
        buffer.push_joints(T0 + ms * MS, ['a'], [ms])
    for ms in vector_ms:
        buffer.push_vector('cube', T0 + ms * MS, [ms, -ms])
    return buffer


def test_each_step_holds_the_newest_sample_at_or_before_it():
    seen = fed([-100, -41, -39, -15, 3]).observe(T0 + 5 * MS)
    assert seen.stamp_ns == T0
    np.testing.assert_array_equal(seen.vectors['cube'], np.float32([[-41, 41], [-39, 39], [-15, 15]]))
    assert seen.vectors['cube'].dtype == np.float32
    assert not seen.vectors['cube'].flags.writeable
    ages = {name: age // MS for name, age in seen.ages_ns.items() if name.startswith('cube')}
    assert ages == {'cube': 20, 'cube[1]': 44, 'cube[2]': 46}


def test_what_comes_later_changes_nothing():
    before = fed([-100, -15]).observe(T0)
    buffer = fed([-100, -15, 1, 4])
    np.testing.assert_array_equal(buffer.observe(T0 + 4 * MS).vectors['cube'], before.vectors['cube'])


def test_at_the_start_the_first_sample_is_repeated_but_never_taken_from_the_future():
    seen = fed([0], joints_ms=[0]).observe(T0)
    np.testing.assert_array_equal(seen.vectors['cube'], np.zeros((3, 2)))
    with pytest.raises(StaleObservationError, match=r"vector 'cube'.*2 ms after"):
        fed([2]).observe(T0 + 2 * MS)


def test_silence_and_age_are_refused_by_name():
    with pytest.raises(StaleObservationError, match="nothing received yet from vector 'cube'"):
        fed([]).observe(T0)
    with pytest.raises(StaleObservationError, match=r"vector 'cube': newest is 260 ms old, limit 250 ms"):
        fed([-260]).observe(T0)
    assert fed([-100]).ages(T0)['cube'] == 100 * MS


def test_what_does_not_fit_is_refused_and_counted():
    buffer = fed([])
    for values, text in (([1.0], 'expected 2 numbers, got 1'), ([1.0, np.nan], 'not finite')):
        with pytest.raises(MessageError, match=text):
            buffer.push_vector('cube', T0, values)
    with pytest.raises(MessageError, match=r"unknown vector 'ball'; legal: \['cube'\]"):
        buffer.push_vector('ball', T0, [0, 0])
    assert buffer.counters['malformed.cube'] == buffer.counters['not_finite.cube'] == 1
    assert buffer.ages(T0)['cube'] is None


@pytest.mark.parametrize('kind', ['f', 'd'])
def test_a_topic_of_the_binding_counts_from_its_arrival(kind):
    from array import array

    buffer = ObservationBuffer(CONTRACT)
    binding = Binding.from_dict(SITE)
    source = next(s for s in Intake(CONTRACT, binding, buffer).sources if s.stream == 'cube')
    assert (source.topic, source.type) == ('tracker/cube', 'std_msgs/msg/Float64MultiArray')
    source.put(SimpleNamespace(data=array(kind, [0.5, -0.25])), T0)
    buffer.push_joints(T0, ['a'], [0.0])
    np.testing.assert_array_equal(buffer.observe(T0).vectors['cube'], [[0.5, -0.25]] * 3)


def test_a_robot_without_the_vector_is_refused():
    for vectors, text in (
        ({}, "vector 'cube': needed by the checkpoint, not on the robot"),
        (
            {'cube': {'topic': 'tracker/cube', 'dim': 3}},
            "vector 'cube': 2 numbers in the checkpoint, 3 on the robot",
        ),
    ):
        with pytest.raises(MismatchError, match=text):
            Intake(CONTRACT, Binding.from_dict(SITE | {'vectors': vectors}), ObservationBuffer(CONTRACT))


@pytest.mark.parametrize(
    ('entry', 'text'),
    [
        ({'topic': 't'}, 'missing keys'),
        ({'topic': 't', 'dim': 0}, 'vectors.cube.dim: expected'),
        ({'topic': 't', 'dim': 2, 'type': 'std_msgs/msg/String'}, 'Float32MultiArray'),
    ],
)
def test_a_wrong_binding_says_where(entry, text):
    with pytest.raises(ConfigError, match=text):
        Binding.from_dict(SITE | {'vectors': {'cube': entry}})


def test_contract_with_and_without_vectors():
    assert Contract.from_dict(CONTRACT.to_dict()) == CONTRACT
    without = replace(CONTRACT, vectors=())
    assert 'vectors' not in without.to_dict()
    assert without.hash != CONTRACT.hash
    for name in ('', 'joints', 'a.b'):
        with pytest.raises(ContractError):
            replace(CONTRACT, vectors=(Vector(name=name, dim=2),))
    with pytest.raises(ContractError, match='unique'):
        replace(CONTRACT, vectors=CONTRACT.vectors * 2)


def test_an_observation_with_vectors_as_a_file(tmp_path):
    seen = fed([-100, -15]).observe(T0)
    again = load_observation(save_observation(tmp_path, seen))
    np.testing.assert_array_equal(again.vectors['cube'], seen.vectors['cube'])
    assert list(again.images) == []


def test_a_bag_becomes_the_same_vectors(tmp_path):
    """The importer's builder keeps what the live buffer would have shown."""
    builder = EpisodeBuilder(CONTRACT, Binding.from_dict(SITE), ObservationLimits(), tmp_path)
    sources = {s.stream: s for s in builder.intake.sources}
    live = ObservationBuffer(CONTRACT)
    wanted = []
    for step in range(6):
        now = T0 + step * 20 * MS
        sources['cube'].put(SimpleNamespace(data=[step, -step]), now - MS)
        live.push_vector('cube', now - MS, [step, -step])
        stamp = SimpleNamespace(sec=now // 1_000_000_000, nanosec=now % 1_000_000_000)
        sources['joints'].put(
            SimpleNamespace(header=SimpleNamespace(stamp=stamp), name=['a'], position=[0.1 * step]), now
        )
        live.push_joints(now, ['a'], [0.1 * step])
        command = SimpleNamespace(
            header=SimpleNamespace(stamp=stamp, frame_id=''),
            joint_names=['a'],
            points=[
                SimpleNamespace(
                    positions=[0.0],
                    velocities=[0.0],
                    accelerations=[],
                    time_from_start=SimpleNamespace(sec=0, nanosec=0),
                )
            ],
        )
        builder.commands.put('controller/joint_trajectory', command, now)
        builder.observe(now)
        wanted.append(live.observe(now).vectors['cube'])
    (episode,) = builder.finish(T0 + 100 * MS)
    episode.check(CONTRACT, 'built')
    np.testing.assert_array_equal(episode.vectors['cube'], wanted)
