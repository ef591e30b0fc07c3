# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The recorded command as a curve: as the controller would have commanded it, and as set points say."""

import time

import numpy as np
import pytest
from bag_maker import JOINTS, START_NS, Command, Plan, curve, example_binding, example_contract, make_bag
from bag_messages import array_message, joint_message, pose_message, trajectory_message

from dp_ros.action.pose import pose_from_quaternion
from dp_ros.bags.reader import open_bag
from dp_ros.contract import Arm, Contract, Embodiment, Joint
from dp_ros.contract.binding import ActionSourceBinding
from dp_ros.contract.binding_actions import ARRAY, JOINT_STATE, POSE, TRAJECTORY
from dp_ros.errors import MessageError
from dp_ros.observation.command_stream import CommandStream
from dp_ros.simulation.controller_rules import HUMBLE
from dp_ros.simulation.joint_trajectory_controller import JointTrajectoryController

MS = 1_000_000
CONTRACT = example_contract()
TOPIC = '/arm_controller/joint_trajectory'


def stream(**source):
    return CommandStream(CONTRACT, [ActionSourceBinding(topic=TOPIC, **source)])


def with_accelerations(message, rows):
    for point, row in zip(message.points, rows, strict=True):
        point.accelerations = row
    return message


def random_messages(rng, derivatives, stamped, ahead=True):
    """(arrival, message) as policies, planners and teleoperation send them: late, early, and overlapping.

    ``ahead``: some begin after they arrive, so that there is a way to their first point.
    """
    arrival = START_NS
    for _ in range(30):
        arrival += MS * int(rng.integers(1, 40)) * 4
        times = np.cumsum(rng.integers(1, 60, rng.integers(1, 6))) * MS + int(rng.integers(-20, 40)) * MS
        times = times[times >= 0] if np.any(times >= 0) else np.array([50 * MS])
        if not ahead:
            times -= times[0]
        stamp = arrival + int(rng.integers(-20, 30 if ahead else 1)) * MS if stamped else 0
        if stamped and stamp + times[-1] < arrival:
            continue
        rows = [rng.normal(size=(len(times), len(JOINTS))) for _ in range(3)]
        order = rng.permutation(len(JOINTS))
        names = [JOINTS[i] for i in order]
        rows[0], rows[1], rows[2] = (r[:, order] for r in rows)
        message = trajectory_message(names, stamp, times, rows[0], rows[1] if derivatives else None)
        yield arrival, (with_accelerations(message, rows[2]) if derivatives == 2 else message)


def largest_difference(messages, period_ns):
    """Between the stream and the controller model that is updated so often."""
    commands = stream(type=TRAJECTORY)
    controller = JointTrajectoryController(
        JOINTS, period_ns, interpolate_from_desired_state=True, rules=HUMBLE
    )
    first = messages[0][1].points[0].positions[[messages[0][1].joint_names.index(n) for n in JOINTS]]
    controller.reset(first)
    times, expected = [], []
    for (arrival, message), following in zip(messages, [*messages[1:], None], strict=True):
        commands.put(TOPIC, message, arrival)
        stacked = [
            np.stack([getattr(p, key) for p in message.points])
            if len(getattr(message.points[0], key))
            else None
            for key in ('positions', 'velocities', 'accelerations')
        ]
        offsets = [p.time_from_start.sec * 10**9 + p.time_from_start.nanosec for p in message.points]
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        controller.accept(arrival, stamp, message.joint_names, offsets, *stacked)
        now = arrival
        while now < (following[0] if following else arrival + 400 * MS):
            times.append(now)
            expected.append(controller.update(now, first)[0])
            now += period_ns
    got, known = commands.sample(times)
    assert known.all()
    return np.abs(got - expected).max()


@pytest.mark.parametrize('stamped', [False, True])
@pytest.mark.parametrize('derivatives', [0, 1, 2])
@pytest.mark.parametrize('seed', range(3))
def test_trajectories_are_what_the_controller_model_commands(seed, derivatives, stamped):
    rng = np.random.default_rng([seed, derivatives, stamped])
    assert largest_difference(list(random_messages(rng, derivatives, stamped, ahead=False)), 4 * MS) < 1e-9


def test_on_the_way_to_a_point_ahead_they_differ_by_what_happens_between_two_updates():
    """A controller sets out from what it commanded at its last update, the curve from the time of arrival."""
    messages = list(random_messages(np.random.default_rng(3), 1, True))
    coarse, fine = (largest_difference(messages, period) for period in (4 * MS, MS // 2))
    assert 1e-9 < fine < coarse / 4


def test_asking_in_between_changes_nothing():
    one, other = stream(type=TRAJECTORY), stream(type=TRAJECTORY)
    times = START_NS + np.arange(0, 3000, 7) * MS
    for arrival, message in random_messages(np.random.default_rng(7), 1, True):
        one.put(TOPIC, message, arrival)
        other.put(TOPIC, message, arrival)
        other.sample(times)
    np.testing.assert_array_equal(one.sample(times)[0], other.sample(times)[0])


def test_a_newer_message_changes_nothing_before_its_arrival():
    commands, times = stream(type=TRAJECTORY), START_NS + np.arange(0, 4000, 3) * MS
    for arrival, message in random_messages(np.random.default_rng(8), 1, False):
        if commands.first_ns is not None:
            before = commands.sample(times)[0]
        commands.put(TOPIC, message, arrival)
        if arrival > commands.first_ns:
            past = times < arrival
            np.testing.assert_array_equal(commands.sample(times)[0][past], before[past])


KINDS = {
    TRAJECTORY: {'type': TRAJECTORY},
    ARRAY: {'type': ARRAY, 'joints': JOINTS},
    JOINT_STATE: {'type': JOINT_STATE},
}


@pytest.mark.parametrize('kind', list(KINDS))
def test_what_a_bag_commands_is_the_curve_that_made_it(tmp_path, kind):
    rate = 10.0 if kind == TRAJECTORY else 100.0
    plan = Plan(cameras=(), duration_s=1.0, commands=(Command('/command', kind, rate_hz=rate),))
    make_bag(tmp_path / 'bag', plan)
    commands = CommandStream(CONTRACT, [ActionSourceBinding(topic='/command', **KINDS[kind])])
    with open_bag(tmp_path / 'bag') as bag:
        for message in bag.messages([topic for topic, _ in commands.topics]):
            commands.put(message.topic, message.decode(), message.log_ns)
    times = np.arange(START_NS + 100 * MS, START_NS + 850 * MS, 3 * MS)
    got, known = commands.sample(times)
    # An array has no stamp: it is a log time, 2 ms, late.
    expected = np.stack([curve(name, times - (2 * MS if kind == ARRAY else 0)) for name in JOINTS], axis=1)
    np.testing.assert_allclose(got, expected, atol=2e-4)
    assert known.all() and commands.last_ns > times[-1] and not commands.missing


def test_set_points_are_joined_by_lines_and_held_at_the_ends():
    commands = stream(type=JOINT_STATE, joints=JOINTS, names=dict(zip('abc', JOINTS, strict=True)))
    for at, value in ((30, 3.0), (10, 1.0), (20, 1.0), (20, 2.0)):  # out of order, and one stamp twice
        row = [value, -value, value / 100, 99.0]
        commands.put(TOPIC, joint_message(['a', 'b', 'c', 'other'], at * MS, row), START_NS)
    got, known = commands.sample(np.array([0, 10, 15, 20, 30, 90]) * MS)
    np.testing.assert_allclose(got[:, 0], [1, 1, 1.5, 2, 3, 3])
    np.testing.assert_allclose(got[:, 1], -got[:, 0])
    assert known.tolist() == [False, True, True, True, True, True]
    assert (commands.first_ns, commands.last_ns) == (10 * MS, 30 * MS)


def test_a_stamp_of_zero_stands_for_the_log_time():
    commands = stream(type=JOINT_STATE)
    commands.put(TOPIC, joint_message(JOINTS, 0, [1, 2, 3]), START_NS)
    assert commands.first_ns == START_NS


def test_a_joint_without_commands_is_missing_and_nothing_is_known():
    commands = stream(type=JOINT_STATE)
    assert (commands.first_ns, commands.last_ns, commands.missing) == (None, None, JOINTS)
    commands.put(TOPIC, joint_message(JOINTS[:2], START_NS, [1, 2]), START_NS)
    got, known = commands.sample([START_NS + 1])
    assert np.isnan(got[0, 2]) and not known.any() and commands.missing == JOINTS[2:]
    assert (commands.first_ns, commands.last_ns) == (None, START_NS)


def test_poses_become_nine_columns():
    columns = tuple(f'c{i}' for i in range(9))
    joints = tuple(Joint(name=n, unit='m' if i < 3 else '1') for i, n in enumerate(columns))
    contract = Contract(
        name='pose',
        embodiment=Embodiment(arms=(Arm(name='left', joints=joints),)),
        cameras=(),
        timing=CONTRACT.timing,
    )
    commands = CommandStream(
        contract, [ActionSourceBinding(topic=TOPIC, type=POSE, joints=columns, frame_id='base')]
    )
    turns = [(0.0, 0.0, 0.0, 1.0), (0.0, 0.0, np.sin(0.1), np.cos(0.1))]
    for i, turn in enumerate(turns):
        commands.put(TOPIC, pose_message(START_NS + i * MS, 'base', [i, 2, 3], turn), 0)
    rows = [pose_from_quaternion([i, 2, 3], turn) for i, turn in enumerate(turns)]
    got, _ = commands.sample(START_NS + np.array([0, MS // 2, MS]))
    np.testing.assert_allclose(got, [rows[0], (rows[0] + rows[1]) / 2, rows[1]], atol=1e-12)
    with pytest.raises(MessageError, match=rf"command on {TOPIC}: pose: must be given in frame 'base'"):
        commands.put(TOPIC, pose_message(START_NS, 'world', [0, 0, 0], turns[0]), 0)


def test_sources_without_a_joint_of_the_contract_are_left_out():
    binding = example_binding(joints=(*JOINTS, 'other'))
    only = CommandStream(example_contract(('other',)), binding.action_sources())
    assert only.topics == ((TOPIC, TRAJECTORY),)
    assert CommandStream(example_contract(('else',)), binding.action_sources()).topics == ()


POINT = [[0.1, 0.2, 0.03]]
BAD = [
    (TRAJECTORY, trajectory_message(JOINTS, 0, [], []), 'increasing times'),
    (TRAJECTORY, trajectory_message(JOINTS, 0, [MS, MS], POINT * 2), 'increasing times'),
    (TRAJECTORY, trajectory_message(JOINTS, 0, [0], [[0.1, np.nan, 0]]), 'not all finite'),
    (TRAJECTORY, trajectory_message(['x'], 0, [0], [[0.1]]), r"it has the joints \('x',\), expected"),
    (TRAJECTORY, trajectory_message(['x', 'x'], 0, [0], [[0.1, 0.1]]), 'joints stand twice'),
    (
        TRAJECTORY,
        trajectory_message(JOINTS, MS, [0], POINT),
        r'it ended .* before it arrived: controllers refuse',
    ),
    (JOINT_STATE, joint_message(JOINTS, MS, [0.1, np.inf, 0]), r"positions of \['left_j2'\] at 1000000 ns"),
    (JOINT_STATE, joint_message(JOINTS, MS, [0.1]), '3 names, 1 positions'),
    (JOINT_STATE, joint_message(['x'], MS, [0.1]), r"it has the joints \('x',\)"),
    (ARRAY, array_message([1.0]), 'it has 1 values for the joints'),
]


@pytest.mark.parametrize(('kind', 'message', 'reason'), BAD)
def test_malformed_commands_are_refused_whole(kind, message, reason):
    commands = stream(**KINDS[kind])
    with pytest.raises(MessageError, match=f'^command on {TOPIC}: .*{reason}'):
        commands.put(TOPIC, message, START_NS)
    assert commands.missing == JOINTS and commands.last_ns is None


def test_a_joint_has_one_master_and_topics_are_known():
    sources = [ActionSourceBinding(topic=f'/{n}', type=JOINT_STATE) for n in 'ab']
    commands = CommandStream(CONTRACT, sources)
    commands.put('/a', joint_message(JOINTS[:1], MS, [1]), MS)
    with pytest.raises(MessageError, match=r"commanded by another topic already: \{'left_j1': '/a'\}"):
        commands.put('/b', joint_message(JOINTS, MS, [1, 2, 3]), MS)
    with pytest.raises(MessageError, match=r"'/c' is no command topic; legal: \['/a', '/b'\]"):
        commands.put('/c', joint_message(JOINTS, MS, [1, 2, 3]), MS)


def test_trajectories_of_one_topic_have_the_same_joints_and_come_in_order():
    commands = stream(type=TRAJECTORY)
    commands.put(TOPIC, trajectory_message(JOINTS, 0, [MS], POINT), START_NS)
    with pytest.raises(MessageError, match='expected'):
        commands.put(TOPIC, trajectory_message(JOINTS[:1], 0, [MS], [[0.1]]), START_NS + 1)
    with pytest.raises(MessageError, match='before the one in front of it'):
        commands.put(TOPIC, trajectory_message(JOINTS, 0, [MS], POINT), START_NS - 1)


def test_a_hundred_thousand_samples_are_quick():
    commands = stream(type=TRAJECTORY)
    offsets = np.arange(20) * 20 * MS
    for i in range(500):
        begin = START_NS + i * 20 * MS
        rows = np.stack([curve(name, begin + offsets) for name in JOINTS], axis=1)
        commands.put(TOPIC, trajectory_message(JOINTS, begin, offsets, rows), begin)
    begun = time.perf_counter()
    commands.sample(START_NS + np.arange(100_000) * 100_000)
    assert time.perf_counter() - begun < 0.5
