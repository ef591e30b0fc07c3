# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""`dp_ros demo --expert --record`: the bag holds, bit for bit, the demonstration that `dp_ros collect` makes."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('gym_aloha', reason='needs the extra sim')

from dp_ros.bags.marks import Mark
from dp_ros.bags.reader import open_bag
from dp_ros.messages.image import decode_image
from dp_ros.messages.joint_state import decode_joint_state
from dp_ros.messages.stamps import header_ns
from dp_ros.observation.image import crop_resize
from dp_ros.simulation.demonstration import demonstrate
from dp_ros.simulation.expert import TransferCubeExpert
from dp_ros.simulation.robot import make_task

pytestmark = [pytest.mark.sim, pytest.mark.slow]
SEED, NOISE = 100_003, 0.03
MARKS, IMAGES = '/record_node/episode', '/cameras/top/image_raw'


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    out = tmp_path_factory.mktemp('expert')
    command = [sys.executable, '-m', 'dp_ros.cli.main', 'demo', '--expert', '--episodes', '1']
    command += [
        '--first-seed',
        str(SEED),
        '--noise',
        str(NOISE),
        '--record',
        str(out / 'bags'),
        '--out',
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '1/1 succeeded' in done.stdout
    (path,) = (out / 'bags').iterdir()
    with open_bag(path) as opened:
        yield opened


def joints(bag, topic, names):
    """Positions by stamp, in the order of the names."""
    out = {}
    for message in bag.messages([topic]):
        stamp_ns, order, positions = decode_joint_state(message.decode())
        out[stamp_ns] = positions[[order.index(name) for name in names]]
    return out


def test_the_bag_holds_what_collect_makes_of_the_same_seed(bag):
    robot = make_task('aloha_transfer_cube')
    episode, result = demonstrate(robot, TransferCubeExpert(), SEED, NOISE)
    contract = robot.contract
    leader = joints(bag, '/leader/joint_states', contract.joint_names)
    measured = joints(bag, '/joint_states', contract.joint_names)
    images = {header_ns(m): m for m in (row.decode() for row in bag.messages([IMAGES]))}
    start = min(leader)
    stamps = start + np.arange(len(episode.stamps_ns)) * contract.timing.period_ns
    assert len(leader) == robot.episode_steps
    assert set(stamps) <= set(images)
    np.testing.assert_array_equal(
        np.array([leader[t] for t in stamps], np.float32), np.asarray(episode.commands)[: len(stamps)]
    )
    np.testing.assert_array_equal(np.array([measured[t] for t in stamps], np.float32), episode.proprio[:, -1])
    for t, wanted in zip(stamps[::10], episode.images['top'][::10], strict=True):
        np.testing.assert_array_equal(crop_resize(decode_image(images[t]), contract.cameras[0]), wanted)
    begin, end = (Mark.from_json(row.decode().data) for row in bag.messages([MARKS]))
    assert begin.stamp_ns < start
    assert end.stamp_ns >= start + robot.episode_steps * robot.control_period_ns
    assert end.outcome == ('success' if result.strict_success else 'failure')
    assert str(SEED) in begin.instruction
