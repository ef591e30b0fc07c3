# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""`dp_ros demo`: options that make no sense are refused before any process is started."""

import pytest

pytest.importorskip('rclpy', reason='needs rclpy: a sourced ROS distribution, or the extra ros-jazzy')

from dp_ros.cli import demo_expert
from dp_ros.cli.demo import simulated_task
from dp_ros.cli.main import main
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.contract.binding_actions import JOINT_STATE, ActionSourceBinding
from dp_ros.contract.compare import require_match
from dp_ros.share import share_path


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        (['--noise', '0.1'], '--noise is for --expert'),
        (['--expert', '--realtime'], '--realtime does not go with --expert'),
        (['--expert', '--task', 'aloha_insertion'], '--task does not go with --expert'),
        (['--expert', '--checkpoint', 'x'], '--checkpoint does not go with --expert'),
        (['--expert', '--noise', '-1'], '--noise must lie between 0 and 1 rad, got -1.0'),
        (['--expert', '--noise', 'nan'], '--noise must lie between 0 and 1 rad, got nan'),
        (['--expert', '--episodes', '0'], '--episodes must be at least 1'),
        (['--expert', '--first-seed', '-3'], '--seed at least 0'),
        (['--record', __file__], 'is a file, expected a directory'),
    ],
)
def test_nonsense_is_refused_with_the_reason(options, reason, tmp_path, capsys):
    assert main(['demo', '--out', str(tmp_path / 'out'), *options]) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_the_leader_s_binding_is_that_of_the_demo_but_for_where_the_labels_come_from():
    leader, plain = (
        Binding.from_yaml(share_path('config', 'bindings', f'{name}.yaml'))
        for name in (demo_expert.BINDING, 'aloha_sim')
    )
    for field in ('joint_states', 'cameras', 'arms'):
        assert getattr(leader, field) == getattr(plain, field)
    assert leader.action_sources() == (ActionSourceBinding(topic='leader/joint_states', type=JOINT_STATE),)
    require_match(Contract.from_json(demo_expert.CONTRACT), leader.robot(), 'the leader')


@pytest.mark.parametrize(
    ('checkpoint', 'task'),
    [
        ('aloha_insertion', 'aloha_insertion'),
        ('aloha_transfer_cube', 'aloha_transfer_cube'),
        ('metaworld_mt10', 'aloha_transfer_cube'),
    ],
)
def test_what_is_simulated_follows_from_the_checkpoint(checkpoint, task):
    assert simulated_task(share_path('checkpoints', checkpoint)) == task
