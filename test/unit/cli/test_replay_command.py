# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros replay``: what it writes, what it says, and how it fails."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from bag_maker import START_NS, MadeCamera, Plan, example_contract, make_bag
from bag_messages import STORE, TEXT

from dp_ros.bags.marks import Mark
from dp_ros.cli.main import main
from dp_ros.data.episode import Episode
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.evaluation.replay_record import ReplayRecord
from dp_ros.policy.testing import tiny_checkpoint

SECOND_NS = 1_000_000_000
CONTRACT = example_contract()
BINDING = """
dp_binding: 1
name: made
joint_states: [{topic: joint_states}]
cameras:
  top: {topic: top/image_raw, type: sensor_msgs/msg/Image, size: [24, 32]}
arms:
  left:
    controller_topic: arm_controller/joint_trajectory
    joints:
      left_j1: {unit: rad, position: [-3.0, 3.0], max_velocity: 3.0, max_acceleration: 9.0}
      left_j2: {unit: rad, position: [-3.0, 3.0], max_velocity: 3.0, max_acceleration: 9.0}
      left_finger: {unit: m, position: [-0.1, 0.1], max_velocity: 3.0, max_acceleration: 9.0}
"""


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    root = tmp_path_factory.mktemp('site')
    (root / 'site.yaml').write_text(BINDING)
    tiny_checkpoint(root / 'a' / 'tiny', CONTRACT)
    tiny_checkpoint(root / 'b' / 'tiny', CONTRACT, seed=1)
    tiny_checkpoint(root / 'other', example_contract(cameras={'wrist': (24, 32)}))
    topic, text = '/record_node/episode', STORE.types[TEXT]
    marks = [
        (Mark(event='start', episode=0, stamp_ns=START_NS), 0.2),
        (Mark(event='stop', episode=0, stamp_ns=START_NS, outcome='success'), 1.0),
        (Mark(event='start', episode=1, stamp_ns=START_NS), 1.2),
        (Mark(event='stop', episode=1, stamp_ns=START_NS, outcome='failure'), 2.0),
    ]
    extra = [(topic, TEXT, START_NS + round(at * SECOND_NS), text(mark.to_json())) for mark, at in marks]
    make_bag(root / 'bag', Plan(duration_s=2.2, extra=extra))
    return root


def command(site, out, *more, bag='bag', checkpoints=('a/tiny',)):
    directories = [str(site / name) for name in checkpoints]
    return [
        'replay', str(site / bag), '--checkpoint', *directories, '--binding', str(site / 'site.yaml'),
        '--out', str(out), '--no-video', *more,
    ]  # fmt: skip


def test_it_writes_page_figures_and_record_of_the_marked_episodes(site, tmp_path, capsys):
    assert main(command(site, tmp_path, '--samples', '2')) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ['replay.html', 'replay.json', 'tiny.npz']
    record = ReplayRecord.load(tmp_path / 'tiny.npz')
    assert {t.episode for t in record.ticks} == {0, 1}
    assert record.provenance['episodes'] == '0: 0.2 to 1.0 s, success; 1: 1.2 to 2.0 s, failure'
    assert len(record.provenance['bag sha256']) == 64
    (model,) = json.loads((tmp_path / 'replay.json').read_text())['models']
    assert model['spread']['samples'] == 2
    text = capsys.readouterr().out
    assert 'hold position' in text and str(tmp_path / 'replay.html') in text


def test_several_checkpoints_stand_in_one_report_and_one_that_does_not_fit_is_left_out(
    site, tmp_path, capsys
):
    argv = command(site, tmp_path, '--no-full', checkpoints=('a/tiny', 'other', 'b/tiny'))
    assert main(argv) == 1
    assert "camera 'wrist'" in capsys.readouterr().err
    models = json.loads((tmp_path / 'replay.json').read_text())['models']
    assert [m['title'] for m in models] == ['a/tiny', 'b/tiny']
    assert [m['predictions'][0]['kind'] for m in models] == ['policy'] * 2


def test_a_store_adds_the_nearest_demonstration(site, tmp_path):
    stamps = np.arange(40, dtype=np.int64) * CONTRACT.timing.period_ns
    still = np.zeros((40, 3), np.float32)
    pictures = {'top': np.zeros((40, 12, 16, 3), np.uint8)}
    episode = Episode.regular(
        CONTRACT.timing, stamps_ns=stamps, proprio=still, images=pictures, actions=still
    )
    with EpisodeStore.create(tmp_path / 'store', CONTRACT, {}) as store:
        store.append(episode)
    assert main(command(site, tmp_path / 'out', '--store', str(tmp_path / 'store'), '--no-full')) == 0
    (model,) = json.loads((tmp_path / 'out' / 'replay.json').read_text())['models']
    assert model['predictions'][-1]['name'] == 'nearest demonstration'


def test_only_the_asked_time(site, tmp_path):
    assert (
        main(command(site, tmp_path, '--start', '0.5', '--duration', '1', '--episodes', 'whole', '--no-full'))
        == 0
    )
    stamps = [t.log_ns - START_NS for t in ReplayRecord.load(tmp_path / 'tiny.npz').ticks]
    assert min(stamps) >= 0.5e9 and max(stamps) < 1.6e9


def test_what_cannot_be_read_is_left_out_and_the_exit_code_says_so(site, tmp_path, capsys):
    make_bag(tmp_path / 'bag', Plan(duration_s=1.5, resized=('/top/image_raw',)))
    argv = command(site, tmp_path / 'out', '--no-full')
    argv[1] = str(tmp_path / 'bag')
    assert main(argv) == 1
    said = capsys.readouterr().err
    assert re.search(r"tiny: unreadable: .*camera 'top'.* \(first at 1700000001\.\d{9}\) \(\d+ times\)", said)
    assert 'message unreadable' in (tmp_path / 'out' / 'replay.html').read_text()


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        (('--start', '99'), 'nothing lies within'),
        (('--samples', '-1'), '--samples must be at least 0'),
        (('--namespace', 'left'), '/left/joint_states'),
        (('--store', '/nowhere'), 'no episode store'),
        (('--live', '--device', 'cuda:0'), '--live takes no --namespace, and the CPU'),
        (('--live', '--episodes', 'gaps'), 'episodes that record_node marked'),
    ],
)
def test_errors_say_what_and_where_and_exit_with_2(site, tmp_path, capsys, more, message):
    assert main(command(site, tmp_path / 'out', '--no-full', *more)) == 2
    assert message in capsys.readouterr().err


def test_cameras_whose_clock_is_ahead_are_told(site, tmp_path, capsys):
    make_bag(tmp_path / 'bag', Plan(duration_s=2.4, stamp_jump=(1.2, 3.0)))
    argv = command(site, tmp_path / 'out', '--no-full')
    argv[1] = str(tmp_path / 'bag')
    assert main(argv) == 1
    assert "tiny: observation refused: camera 'top': stamped N ms in the future" in capsys.readouterr().err


def test_a_bag_that_does_not_fit_names_every_difference(site, tmp_path, capsys):
    make_bag(tmp_path / 'bag', Plan(duration_s=0.3, cameras=(MadeCamera('/eye'),), commands=()))
    argv = command(site, tmp_path / 'out')
    argv[1] = str(tmp_path / 'bag')
    assert main(argv) == 2
    text = capsys.readouterr().err
    assert '/top/image_raw' in text and '/eye' in text and '/arm_controller/joint_trajectory' in text
    assert not Path(tmp_path / 'out').exists()
