# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What is wrong with a bag is said with bag, topic and time; nothing of a bag that cannot be used stays."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import yaml
from bag_maker import (
    JOINTS,
    START_NS,
    MadeCamera,
    Plan,
    curve,
    cut,
    damage_chunk,
    drop_metadata,
    example_binding,
    example_contract,
    make_bag,
)
from bag_messages import trajectory_message

from dp_ros.data.episode_file import read_episode
from dp_ros.data.importer import ImportSettings, import_bag
from dp_ros.errors import DpRosError

PLAN = Plan(duration_s=2.4)
CONTRACT, BINDING = example_contract(), example_binding()
# Seconds of the plan as messages give them.
AT = r'170000000\d\.\d{9}'


@dataclass(frozen=True)
class Bad:
    """A bag to make, and what is said about it.

    Attributes:
        make: writes it to a path.
        said: regular expressions that what is said must match, each.
        left: how many episodes come of it.
        skipped: whether something counts as left out.
    """

    make: Callable
    said: tuple[str, ...]
    left: int = 0
    skipped: bool = True


def made(**changes):
    return lambda path: make_bag(path, replace(PLAN, **changes))


def then(change, **changes):
    def make(path):
        make_bag(path, replace(PLAN, **changes))
        change(path)

    return make


def folder(**files):
    def make(path):
        path.mkdir()
        for name, content in files.items():
            (path / name.replace('__', '.')).write_bytes(content)

    return make


def edit_metadata(path, **changes):
    file = path / 'metadata.yaml'
    data = yaml.safe_load(file.read_text())
    data['rosbag2_bagfile_information'] |= changes
    file.write_text(yaml.safe_dump(data))


def late_commands():
    """The second half of what the plan commands."""
    topic, kind = PLAN.commands[0].topic, PLAN.commands[0].type
    return [
        (topic, kind, log_ns, trajectory_message(JOINTS, log_ns, [0, 50_000_000], np.zeros((2, 3))))
        for log_ns in range(START_NS + 1_400_000_000, START_NS + 2_400_000_000, 100_000_000)
    ]


BAGS = {
    'cut_off': Bad(
        then(lambda path: cut(path, 0.6)),
        (rf"bag 'bag': bag\.mcap: cut off in a chunk at byte \d+ \({AT} to {AT}\): recovered \d+ messages",),
        left=1,
    ),
    'cut_off_in_front': Bad(
        then(lambda path: cut(path, 0.002)), (r"bag 'bag': no message in it", r'cut off .*: recovered 0 messages')
    ),
    'damaged_chunk': Bad(
        then(lambda path: damage_chunk(path, 3)),
        (rf"bag 'bag': bag\.mcap: chunk at byte \d+ \({AT} to {AT}\) is damaged: skipped",),
        left=1,
    ),
    'no_metadata': Bad(then(drop_metadata), (r"bag 'bag': metadata\.yaml is missing",), left=1),
    'metadata_of_tomorrow': Bad(
        then(lambda path: edit_metadata(path, version=10)), (r'of version 10, known up to 9',), left=1
    ),
    'damaged_metadata': Bad(
        then(lambda path: (path / 'metadata.yaml').write_text('a: [')), (r'metadata\.yaml cannot be read',), left=1
    ),
    'file_missing': Bad(
        then(lambda path: edit_metadata(path, relative_file_paths=['bag.mcap', 'bag_1.mcap'])),
        (r'bag_1\.mcap is listed in metadata\.yaml but missing',),
        left=1,
    ),
    'topic_missing': Bad(
        made(joint_topic='/other'),
        (r"bag 'bag' does not fit", r"topic /joint_states \(\S+\) is not in the bag; .* it has \['/other'\]"),
    ),
    'wrong_type': Bad(
        made(cameras=(MadeCamera(encoding='png'),)),
        (r'topic /top/image_raw is sensor_msgs/msg/Image in the binding, sensor_msgs/msg/CompressedImage in',),
    ),
    'unknown_encoding': Bad(
        made(cameras=(MadeCamera(encoding='8UC7'),)),
        (r"no episode in it", rf"topic /top/image_raw, first at {AT}: .*'8UC7'.*legal: \[.*'rgb8'"),
    ),
    'changing_size': Bad(
        made(resized=('/top/image_raw',)),
        (rf"bag 'bag', topic /top/image_raw, first at {AT}: .*expected \(24, 32, 3\).*got \(12, 16, 3\).* times\)",),
        left=1,
    ),
    'zero_stamps': Bad(
        made(zero_stamps=('/top/image_raw', '/joint_states')),
        (
            rf"bag 'bag', topics \['/joint_states'\]: 480 without a stamp: .*, first at {AT}",
            rf"bag 'bag', topics \['/top/image_raw'\]: 72 without a stamp: .*, first at {AT}",
        ),
        left=1,
        skipped=False,
    ),
    'out_of_order': Bad(
        made(swapped=('/top/image_raw', '/joint_states')),
        (
            rf"topics \['/joint_states'\]: 48 out of the order of their stamps, first at {AT}",
            rf"topics \['/top/image_raw'\]: \d out of the order of their stamps, first at {AT}",
        ),
        left=1,
        skipped=False,
    ),
    'clock_forwards': Bad(
        made(jump=(1.2, 3.0)), (rf"bag 'bag', episode 0: 3\.\d\d s without observations at {AT}",), 2, False
    ),
    'clock_back': Bad(
        made(jump=(1.6, -1.0)),
        (
            rf"bag 'bag': the clock was set back by 0\.99\d s, from {AT} to {AT}",
            rf"bag 'bag': recorded twice, and left out: {AT} to {AT}",
        ),
        left=1,
    ),
    'sensors_back': Bad(
        made(stamp_jump=(1.2, -3.0)),
        (
            r'\d times that stamps were set back: observations begin anew, first at 1699999998\.\d{9}',
            r"episode 0: \d+ of 7\d observations: camera 'top': newest is 30\d\d ms old",
            rf'topic /arm_controller/joint_trajectory, first at {AT}: .* it ended 26\d\d ms before it arrived',
        ),
        left=1,
    ),
    'sensors_ahead': Bad(
        made(stamp_jump=(1.2, 3.0)),
        (r"episode 0: \d+ of 7\d observations: camera 'top': stamped 29\d\d ms in the future.*, first at 170",),
        left=1,
    ),
    'simulated_stamps': Bad(
        made(stamp_jump=(0.0, -1.7e9)),
        (r"no observation in it: camera 'top': newest is 17\d+ ms old.*is one of the two a simulated time",),
    ),
    'commands_begin_late': Bad(
        lambda path: make_bag(path, replace(PLAN, commands=(), extra=late_commands())),
        (r"bag 'bag', episode 0: not 4\d observations: before the first or after the last command, first at 17",),
        left=1,
        skipped=False,
    ),
    'no_messages': Bad(made(duration_s=0.0), (r"bag 'bag': no message in it",)),
    'no_commands': Bad(made(commands=()), (r'topic /arm_controller/joint_trajectory \(\S+\) is not in the bag',)),
    'no_bag': Bad(folder(notes__txt=b'x'), (r'/bag: is no bag: no storage file in it; a bag is a directory',)),
    'empty_file': Bad(folder(bag__mcap=b''), (r'/bag/bag\.mcap: is empty',)),
    'no_mcap': Bad(folder(bag__mcap=b'x' * 5000), (r'bag\.mcap: is no MCAP file: it begins with',)),
    'no_database': Bad(folder(bag__db3=b'x' * 5000), (r'bag\.db3: cannot be read as an SQLite bag',)),
    'does_not_exist': Bad(lambda path: None, (r'/bag: does not exist; a bag is',)),
    'a_file_of_something': Bad(lambda path: path.write_text('x'), (r'/bag: is no bag; a bag is',)),
}  # fmt: skip


@pytest.mark.parametrize('name', BAGS)
def test_what_is_wrong_is_said(tmp_path, name):
    bad = BAGS[name]
    bad.make(tmp_path / 'bag')
    staging = tmp_path / 'staging'
    staging.mkdir()
    try:
        done = import_bag(tmp_path / 'bag', CONTRACT, BINDING, ImportSettings(), staging)
    except DpRosError as error:
        said, left, skipped = [str(error)], 0, True
        assert not os.listdir(staging)
    else:
        said, left, skipped = [*done.skipped, *done.notes], len(done.files), bool(done.skipped)
    for expected in bad.said:
        assert any(re.search(expected, line, re.DOTALL) for line in said), (expected, said)
    assert (left, skipped) == (bad.left, bad.skipped)


@pytest.mark.parametrize('jump', [(1.6, -1.0), (1.6, -0.3)])
def test_two_times_are_never_mixed(tmp_path, jump):
    """Joints follow one curve: an episode that held two times would leave it, however it interpolates."""
    make_bag(tmp_path / 'bag', replace(PLAN, duration_s=3.2, jump=jump))
    (tmp_path / 'staging').mkdir()
    done = import_bag(tmp_path / 'bag', CONTRACT, BINDING, ImportSettings(), tmp_path / 'staging')
    assert len(done.files) == 2
    assert done.notes[0].startswith("bag 'bag', episode 0: the recorder's clock was set back before 17000000")
    for file, shift_s in zip(done.files, (0.0, jump[1]), strict=True):
        episode = read_episode(file, CONTRACT)
        real_ns = episode.stamps_ns - round(shift_s * 1e9)
        expected = np.stack([curve(joint, real_ns, START_NS) for joint in CONTRACT.joint_names], axis=1)
        np.testing.assert_allclose(episode.proprio[:, -1], expected, atol=1e-3)
