# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""policy_node as a process: what it says while something is wrong, and when its chunks may move the arms."""

import shutil

import numpy as np
import pytest
from fake_robot import MS, FakeRobot
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from dp_ros.messages.trajectory import decode_chunk
from dp_ros.share import share_path

STATE = 'policy_node: observation'


def start(graph, checkpoint, **parameters):
    settings = {'checkpoint': checkpoint, 'binding': 'aloha_sim', 'autostart': True, 'use_sim_time': True}
    return graph.start('policy_node', **{**settings, 'discovery_s': 0.3, **parameters})


@pytest.fixture(scope='module')
def running(graph, contract, checkpoint):
    """The module's policy_node, and the robot around it."""
    graph.robot = FakeRobot(graph, contract)
    graph.chunks = graph.listen(JointTrajectory, '/policy_node/action_chunk')
    graph.previews = graph.listen(JointTrajectory, '/policy_node/preview')
    graph.latencies = graph.listen(Float64MultiArray, '/policy_node/latency')
    start(graph, checkpoint)
    graph.active('policy_node')
    return graph


@pytest.fixture
def node(running):
    """The graph, with nobody engaged, no observations and nothing heard."""
    running.robot.rest()
    running.robot.say_engaged(False)
    assert running.trigger('/policy_node/reset').success
    for heard in (running.chunks, running.previews, running.latencies):
        heard.clear()
    return running


@pytest.fixture
def robot(node):
    return node.robot


def reported(node, robot, *texts):
    """Step until /diagnostics shows the texts as the node's state."""
    robot.step_until(lambda: all(t in node.message(STATE) for t in texts), 20.0, f'{texts} in {STATE}')
    return node.diagnostics[STATE]


def test_a_camera_that_never_comes_is_named(node, robot):
    level, _, values = reported(node, robot, "nothing received yet from camera 'top'")
    assert level == b'\x02'
    assert values['top_age_s'] == 'never'
    assert node.previews == []


def test_missing_joints_are_named(node, robot):
    robot.images = True
    robot.leave_out = ('left_arm_elbow', 'right_arm_gripper')

    def named_alone():
        # A report made before the first joint state rightly names all joints: another one follows.
        said = node.message(STATE)
        return "'left_arm_elbow'" in said and "'right_arm_gripper'" in said and 'waist' not in said

    robot.step_until(named_alone, 20.0, f'the two missing joints, and no other, in {STATE}')
    assert 'nothing received yet from' in node.message(STATE)
    assert node.previews == []


def test_nan_in_the_joints_is_named_and_nothing_is_predicted(node, robot):
    robot.images = True
    robot.pose[10] = np.nan
    reported(node, robot, 'positions of', 'are not finite')
    assert node.previews == []


def test_images_of_another_size_are_named(node, robot):
    robot.images, robot.image_shape = True, (240, 320, 3)
    reported(node, robot, "camera 'top'")
    assert node.previews == []


def test_without_an_engagement_there_are_previews_only(node, robot, contract):
    robot.images, robot.extra = True, ('torso',)
    robot.step_until(lambda: len(node.previews) >= 3, what='previews')
    assert node.chunks == []
    previews = [decode_chunk(message) for message in node.previews]
    for preview in previews:
        assert preview.joint_names == contract.joint_names
        assert preview.positions.shape == (32, 14)
        assert preview.contract_hash == contract.hash[:8]
    stamps = np.diff([preview.stamp_ns for preview in previews])
    assert stamps.min() >= contract.timing.tick_ns
    reported(node, robot, 'ticking, preview only')


def test_an_engagement_begins_an_epoch_with_a_fresh_observation(node, robot, contract):
    robot.images = True
    robot.step_until(lambda: node.previews, what='a preview')
    edge_ns = robot.now_ns
    robot.say_engaged(True)
    robot.step_until(lambda: len(node.chunks) >= 3, what='chunks')
    chunks = [decode_chunk(message) for message in node.chunks]
    assert chunks[0].stamp_ns > edge_ns - 20 * MS
    assert [c.seq for c in chunks] == list(range(len(chunks)))
    assert len({c.epoch for c in chunks}) == 1
    robot.say_engaged(False)
    robot.step_until(
        lambda: node.previews[-1].header.frame_id.split(':')[1] != str(chunks[0].epoch), what='an epoch'
    )
    count = len(node.chunks)
    seen = len(node.previews)
    robot.step_until(lambda: len(node.previews) >= seen + 2, what='previews')
    assert len(node.chunks) == count


def test_latency_is_published_by_stage(node, robot):
    robot.images = True
    robot.step_until(lambda: node.latencies, what='a latency')
    stages = {d.label: v for d, v in zip(node.latencies[0].layout.dim, node.latencies[0].data, strict=True)}
    assert list(stages) == ['queue', 'observe', 'encode', 'network', 'decode', 'publish', 'total']
    parts = sum(value for stage, value in stages.items() if stage != 'total')
    assert 0 < parts <= stages['total'] * 1.2
    robot.step_until(lambda: 'total_p99_ms' in node.values('policy_node: latency'), what='the report')


def test_deactivated_it_is_silent_and_it_comes_back(node, robot):
    robot.images = True
    robot.step_until(lambda: node.previews, what='a preview')
    assert node.transition('policy_node', 4)
    node.previews.clear()
    robot.step(40)
    assert node.previews == []
    assert node.transition('policy_node', 2), 'clean up'
    assert node.lifecycle('policy_node') == 'unconfigured'
    assert node.transition('policy_node', 1), 'configure again'
    assert node.transition('policy_node', 3)
    robot.step_until(lambda: node.previews, what='a preview')


@pytest.mark.parametrize(
    ('damage', 'complaint'),
    [
        (lambda path: (path / 'model.safetensors').unlink(), "checkpoint lacks ['model.safetensors']"),
        (lambda path: (path / 'normalizer.safetensors').write_bytes(b'x'), 'SHA-256 differs'),
    ],
    ids=['missing', 'damaged'],
)
def test_a_bad_checkpoint_ends_the_process_with_its_reason(
    own_graph, checkpoint, tmp_path, damage, complaint
):
    copy = tmp_path / 'copy'
    shutil.copytree(checkpoint, copy)
    damage(copy)
    process = start(own_graph, copy, discovery_s=0.0)
    own_graph.until(lambda: process.poll() is not None, 40.0, 'the end')
    assert process.returncode == 1
    assert complaint in own_graph.fleet.tail('policy_node')


def test_a_misspelt_parameter_ends_the_process_with_the_legal_names(own_graph, checkpoint):
    process = start(own_graph, checkpoint, max_image_age=0.3)
    own_graph.until(lambda: process.poll() is not None, 40.0, 'the end')
    assert process.returncode == 1
    log = own_graph.fleet.tail('policy_node')
    assert "no such parameters: ['max_image_age']" in log
    assert "'max_image_age_s'" in log


def test_a_backend_without_its_artefact_ends_the_process_and_is_not_replaced(own_graph, checkpoint):
    process = start(own_graph, checkpoint, backend='onnxruntime')
    own_graph.until(lambda: process.poll() is not None, 40.0, 'the end')
    assert process.returncode == 1
    log = own_graph.fleet.tail('policy_node')
    assert "backend 'onnxruntime' has no artefact here" in log or 'not installed' in log


def test_chunks_start_at_the_exposure_of_a_camera_that_stamps_late(own_graph, contract, checkpoint, tmp_path):
    shipped = share_path('config', 'bindings', 'aloha_sim.yaml').read_text()
    assert 'size: [480, 640]}' in shipped
    late = tmp_path / 'late_camera.yaml'
    late.write_text(shipped.replace('size: [480, 640]}', 'size: [480, 640], latency_s: 0.02}'))
    robot = FakeRobot(own_graph, contract)
    previews = own_graph.listen(JointTrajectory, '/policy_node/preview')
    start(own_graph, checkpoint, binding=late)
    own_graph.active('policy_node')
    robot.images = True
    robot.step_until(lambda: len(previews) >= 2, 20.0, 'previews')
    stamps = [decode_chunk(message).stamp_ns for message in previews]
    # Pictures are stamped each 40 ms from 1.02 s on; their exposures are 20 ms earlier.
    assert {(stamp - 1000 * MS) % (40 * MS) for stamp in stamps} == {0}


def test_another_mode_than_the_checkpoints_is_a_parameter(own_graph, contract, checkpoint):
    robot = FakeRobot(own_graph, contract)
    previews = own_graph.listen(JointTrajectory, '/policy_node/preview')
    start(own_graph, checkpoint, mode='truncated', restart_sigma=0.7)
    own_graph.active('policy_node')
    robot.images = True
    robot.step_until(lambda: len(previews) >= 3, 20.0, 'previews')
    log = own_graph.fleet.tail('policy_node')
    assert 'truncated, 1 evaluation(s), from the last chunk with noise of 0.7' in log


def test_an_unknown_mode_ends_the_process_with_the_legal_ones(own_graph, checkpoint):
    process = start(own_graph, checkpoint, mode='streming')
    own_graph.until(lambda: process.poll() is not None, 40.0, 'the end')
    assert process.returncode == 1
    assert "control.mode must be one of ('streaming', 'chunk', 'truncated')" in own_graph.fleet.tail(
        'policy_node'
    )
