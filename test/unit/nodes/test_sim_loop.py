# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The simulation's loop: what it waits for in lockstep, when an episode starts, and how long it waits at most."""

import threading

import numpy as np
import pytest

from dp_ros.contract import Contract
from dp_ros.errors import ConfigError
from dp_ros.nodes.sim_inbox import ArmCommand, SimInbox
from dp_ros.nodes.sim_loop import START_NS, SimLoop, SimSettings
from dp_ros.share import share_path
from dp_ros.simulation.robot import EpisodeResult

MS = 1_000_000
CONTRACT = Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))
ARMS = {arm.name: arm.joint_names for arm in CONTRACT.embodiment.arms}


class PointRobot:
    """Joints that are where they were commanded to be; the episode has 30 steps."""

    contract = CONTRACT
    control_period_ns = 20 * MS
    joint_names = CONTRACT.joint_names

    def reset(self, seed):
        self.seed, self.steps, self.q = seed, 0, np.full(14, 0.01 * seed)

    def joint_positions(self):
        return self.q.copy()

    def joint_velocities(self):
        return np.zeros(14)

    def privileged(self):
        return np.array([self.seed, 0.5, 0.05])

    def render(self, camera):
        return np.zeros((480, 640, 3), np.uint8)

    def step(self, command):
        self.q = command.copy()
        self.steps += 1

    def result(self):
        return EpisodeResult(self.seed, self.steps, 0.0, False, False, self.steps >= 30)


class Port:
    """Remembers what the loop publishes, and answers as policy and action node would where the test says so."""

    def __init__(self):
        self.clocks, self.images, self.commands, self.episodes, self.warnings = [], [], [], [], []
        self.told = []
        self.on_image = self.on_clock = lambda stamp_ns: None

    def clock(self, stamp_ns):
        self.clocks.append(stamp_ns)
        self.on_clock(stamp_ns)

    def joints(self, stamp_ns, positions, velocities):
        pass

    def image(self, stamp_ns, camera, image):
        self.images.append(stamp_ns)
        self.on_image(stamp_ns)

    def commanded(self, stamp_ns, positions, velocities):
        self.commands.append((stamp_ns, positions))

    def episode(self, state, result, start_ns, real_time_factor):
        self.episodes.append((state, result.seed, result.steps, start_ns))

    def privileged(self, values):
        self.told.append(values[0])

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture
def port():
    return Port()


@pytest.fixture
def inbox():
    return SimInbox(ARMS)


def make(port, inbox, **changes):
    settings = {
        'first_seed': 3,
        'realtime': False,
        'image_period_ns': 40 * MS,
        'tick_ns': 160 * MS,
        'wait_s': 0.05,
    }
    robot = PointRobot()
    loop = SimLoop(robot, CONTRACT.embodiment, ['top'], SimSettings(**{**settings, **changes}), inbox, port)
    return loop, robot


def send_windows(inbox, now, chunk_id, value=0.5, arms=ARMS):
    for arm in arms:
        width = len(ARMS[arm])
        times = np.array([0, 40, 400]) * MS
        inbox.put_command(
            arm,
            ArmCommand(
                chunk_id, now - 40 * MS, ARMS[arm], times, np.full((3, width), value), np.zeros((3, width))
            ),
        )


def answering(port, inbox):
    """A policy and an action node that answer at once, as in a perfect graph."""
    state = {'chunk': None}

    def on_image(stamp):
        if inbox.engaged and (state['chunk'] is None or stamp >= state['chunk'] + 160 * MS):
            state['chunk'] = stamp
            inbox.put_chunk(stamp, f'id:{stamp}')
            send_windows(inbox, stamp, f'id:{stamp}')
        elif not inbox.engaged:
            inbox.put_preview(stamp)

    def on_clock(stamp):
        if state['chunk'] is not None and stamp > state['chunk']:
            send_windows(inbox, stamp, f'id:{state["chunk"]}')

    port.on_image, port.on_clock = on_image, on_clock


def test_nothing_moves_before_the_first_window_but_the_clock_runs(port, inbox):
    loop, robot = make(port, inbox)
    for _ in range(10):
        loop.turn()
    assert robot.steps == 0
    assert loop.now_ns == START_NS + 10 * 20 * MS
    assert port.clocks[0] == START_NS
    assert port.commands == []
    # Standing, one picture a tick: each of them is answered before time goes on.
    assert port.images == [START_NS, START_NS + 160 * MS]


def test_an_episode_starts_at_the_stamp_of_its_first_chunk(port, inbox):
    answering(port, inbox)
    loop, robot = make(port, inbox)
    for _ in range(5):
        loop.turn()
    inbox.put_engaged(True)
    for _ in range(10):
        loop.turn()
    stamp, _ = inbox.chunk
    first = port.commands[0][0]
    assert first in port.images
    assert (stamp - first) % (160 * MS) == 0
    assert robot.steps == 10
    assert loop.counters == dict.fromkeys(loop.counters, 0)
    np.testing.assert_array_equal(robot.q, 0.5)


def test_a_chunk_that_is_late_is_waited_for_where_it_is_due_and_nowhere_else(port, inbox):
    answering(port, inbox)
    loop, robot = make(port, inbox, wait_s=5.0)
    inbox.put_engaged(True)
    loop.turn()
    for _ in range(7):
        loop.turn()
    due = loop.now_ns
    port.on_image = lambda stamp: None  # the policy is slow now
    port.on_clock = lambda stamp: None

    def late():
        inbox.put_chunk(due, 'late')
        send_windows(inbox, due, 'late', 0.7)

    timer = threading.Timer(0.2, late)
    timer.start()
    loop.turn()
    assert robot.steps == 9
    np.testing.assert_array_equal(robot.q, 0.7)
    assert loop.counters['chunk_timeouts'] == 0


def test_windows_of_one_arm_alone_are_not_enough(port, inbox):
    answering(port, inbox)
    loop, robot = make(port, inbox)
    inbox.put_engaged(True)
    loop.turn()
    port.on_clock = lambda stamp: send_windows(inbox, stamp, 'x', arms=['left'])
    loop.turn()
    assert loop.counters['window_timeouts'] == 1
    assert robot.steps == 2, 'time goes on after a bounded wait'


def test_a_policy_that_fell_silent_is_waited_for_once(port, inbox):
    answering(port, inbox)
    loop, robot = make(port, inbox)
    inbox.put_engaged(True)
    loop.turn()
    port.on_image = lambda stamp: None
    for _ in range(28):
        loop.turn()
    assert loop.counters['chunk_timeouts'] == 1
    assert robot.steps == 29


def test_a_reset_forgets_old_windows_and_the_clock_goes_on(port, inbox):
    answering(port, inbox)
    loop, robot = make(port, inbox)
    inbox.put_engaged(True)
    for _ in range(35):
        loop.turn()
    assert ('done', 3, 30, START_NS) in port.episodes
    assert robot.steps == 35, 'physics goes on after the episode'
    inbox.put_engaged(False)
    port.on_clock = port.on_image = lambda stamp: None
    before = loop.now_ns
    runner = threading.Thread(target=loop.run)
    runner.start()
    assert inbox.request_reset(5.0)
    assert inbox.request_reset(5.0)
    inbox.close()
    runner.join(5.0)
    assert not runner.is_alive()
    seeds = [seed for state, seed, _, _ in port.episodes if state == 'standing']
    assert seeds == [3, 3, 4], 'placed at the start, then the first seed, then the next'
    assert port.told == seeds, 'what no sensor tells comes with each reset'
    assert robot.steps == 0
    assert loop.now_ns >= before
    assert port.clocks == sorted(port.clocks)


def test_a_teleoperated_episode_starts_at_a_picture_and_each_moment_waits_for_its_answer(port, inbox):
    loop, robot = make(port, inbox, wait_s=5.0, teleoperated=True)
    for _ in range(3):
        loop.turn()
    assert (port.images, robot.steps) == ([START_NS, START_NS + 40 * MS], 0), 'stands with its cameras on'
    inbox.put_engaged(True)
    begin = loop.now_ns
    # The answer to the moment before is no answer, and neither is that of one arm.
    send_windows(inbox, begin, str(begin - 20 * MS), 0.1)
    send_windows(inbox, begin, str(begin), 0.2, arms=['left'])
    timer = threading.Timer(0.2, lambda: send_windows(inbox, begin, str(begin), 0.3))
    timer.start()
    loop.turn()
    np.testing.assert_array_equal(robot.q, 0.3)
    assert ('ready', 3, 0, begin) in port.episodes
    assert (port.images[-1], port.commands[0][0]) == (begin, begin)
    port.on_clock = lambda stamp: send_windows(inbox, stamp, str(stamp), 0.4)
    for _ in range(4):
        loop.turn()
    assert port.images[-2:] == [begin + 40 * MS, begin + 80 * MS]
    assert (robot.steps, loop.counters['window_timeouts']) == (5, 0)


def test_who_engages_while_a_moment_is_published_starts_at_the_next(port, inbox):
    loop, _ = make(port, inbox, teleoperated=True)
    port.on_image = lambda stamp: inbox.put_engaged(True)
    loop.turn()
    assert [state for state, *_ in port.episodes] == ['standing']
    loop.turn()
    assert port.episodes[-1] == ('ready', 3, 0, START_NS + 20 * MS)
    assert port.images == [START_NS, START_NS + 20 * MS]


def test_a_leader_that_fell_silent_is_waited_for_so_long_and_no_longer(port, inbox):
    loop, robot = make(port, inbox, teleoperated=True)
    inbox.put_engaged(True)
    loop.turn()
    assert (loop.counters['window_timeouts'], robot.steps) == (1, 0)
    assert loop.now_ns == START_NS + 20 * MS


def test_a_refused_window_is_told_and_counted(port, inbox):
    loop, robot = make(port, inbox)
    send_windows(inbox, START_NS - 900 * MS, 'old')
    loop.turn()
    assert loop.counters['rejected_windows'] == 2
    assert 'ends in the past' in port.warnings[0]
    assert robot.steps == 0


def test_images_must_fit_the_control_rate(port, inbox):
    with pytest.raises(ConfigError, match='camera_hz'):
        make(port, inbox, image_period_ns=30 * MS)
