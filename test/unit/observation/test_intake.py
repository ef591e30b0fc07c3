# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Messages of a binding's topics become observations, whoever brings them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.errors import MessageError, MismatchError
from dp_ros.messages.image import fill_image
from dp_ros.messages.joint_state import fill_joint_state
from dp_ros.observation.intake import Intake
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation_buffer import ObservationBuffer
from dp_ros.share import share_path

MS = 1_000_000
CONTRACT = Contract.from_json(share_path('config', 'contracts', 'aloha_transfer_cube.json'))
BINDING = Binding.from_yaml(share_path('config', 'bindings', 'aloha_sim.yaml'))
PICTURE = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)


def header():
    return SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0), frame_id='')


def joint_state(stamp_ns, value):
    message = SimpleNamespace(header=header(), name=[], position=np.zeros(0), velocity=np.zeros(0))
    fill_joint_state(message, stamp_ns, CONTRACT.joint_names, np.full(14, value))
    return message


def image(stamp_ns):
    message = SimpleNamespace(header=header(), data=np.zeros(0, np.uint8))
    fill_image(message, PICTURE, stamp_ns)
    return message


def intake(latency_s=0.0):
    buffer = ObservationBuffer(CONTRACT, ObservationLimits(frozen_camera_ns=0))
    camera = replace(BINDING.cameras['top'], latency_s=latency_s)
    found = Intake(CONTRACT, replace(BINDING, cameras={'top': camera}), buffer)
    return found, {source.stream: source for source in found.sources}


def test_it_listens_to_what_the_contract_needs_and_nothing_else():
    spare = replace(BINDING, cameras={**BINDING.cameras, 'spare': BINDING.cameras['top']})
    found = Intake(CONTRACT, spare, ObservationBuffer(CONTRACT))
    assert [(s.topic, s.type, s.stream) for s in found.sources] == [
        ('joint_states', 'sensor_msgs/msg/JointState', 'joints'),
        ('cameras/top/image_raw', 'sensor_msgs/msg/Image', 'top'),
    ]


def test_a_picture_counts_from_its_exposure():
    """Joints at the exposure go with it, not those at its stamp."""
    found, sources = intake(latency_s=0.035)
    for stamp_ms in range(900, 1001, 10):
        sources['joints'].put(joint_state(stamp_ms * MS, stamp_ms * 1e-3), stamp_ms * MS)
    sources['top'].put(image(1000 * MS), 1000 * MS)
    observation = found.buffer.observe(1000 * MS)
    assert observation.stamp_ns == 965 * MS
    np.testing.assert_allclose(observation.proprio[-1], 0.965)


def test_a_depth_camera_is_seen_as_nearness():
    """Half way between near and far is half way between white and black."""
    camera = replace(BINDING.cameras['top'], depth_m=(0.5, 1.5))
    found = Intake(CONTRACT, replace(BINDING, cameras={'top': camera}), ObservationBuffer(CONTRACT))
    sources = {source.stream: source for source in found.sources}
    message = image(700 * MS)
    message.encoding, message.step, message.is_bigendian = '16UC1', 2 * 640, 0
    message.data = np.full((480, 640), 1000, '<u2').view(np.uint8).reshape(-1)
    sources['joints'].put(joint_state(700 * MS, 0.5), 700 * MS)
    sources['top'].put(message, 700 * MS)
    assert (found.buffer.observe(700 * MS).images['top'] == 128).all()


def test_arrival_stands_in_for_a_stamp_of_zero():
    found, sources = intake()
    sources['joints'].put(joint_state(0, 0.5), 700 * MS)
    sources['top'].put(image(0), 700 * MS)
    assert found.buffer.observe(700 * MS).stamp_ns == 700 * MS


def test_a_message_that_cannot_be_read_leaves_nothing():
    found, sources = intake()
    broken = joint_state(700 * MS, 0.5)
    broken.position = broken.position[:-1]
    with pytest.raises(MessageError, match='14 names, 13 positions'):
        sources['joints'].put(broken, 700 * MS)
    assert found.buffer.ages(700 * MS)['joints'] is None


def test_another_robot_is_refused():
    with pytest.raises(MismatchError, match='aloha_sim'):
        Intake(CONTRACT, replace(BINDING, cameras={}), ObservationBuffer(CONTRACT))
