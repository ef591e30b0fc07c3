# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A made bag of any size: two arms and two cameras, as a demonstration has them. For the benches beside it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_typestore

from dp_ros.bags.whole_chunks import WholeChunksWriter
from dp_ros.contract import Camera, Contract

CONTRACT = Path(__file__).resolve().parents[1] / 'config/contracts/aloha_transfer_cube.json'
CAMERAS, HEIGHT, WIDTH = ('top', 'side'), 480, 640
SECOND_NS, START_NS = 1_000_000_000, 1_700_000_000_000_000_000
# What the network sees of a picture: crop and size.
INPUTS = {
    '64x64': ((168, 232, 224, 224), (64, 64)),
    '96x96': ((0, 80, 480, 480), (96, 96)),
    '224x224': ((0, 80, 480, 480), (224, 224)),
    '320x240': ((0, 0, 480, 640), (240, 320)),
}
# Commands at 50 Hz: joint states of leader arms, or windows as action_node sends them to two controllers.
LEADER, WINDOWS = 'leader', 'windows'
WINDOW_POINTS, POINT_NS = 11, 20_000_000

IMAGE, JOINT_STATE = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/JointState'
TRAJECTORY, POINT = 'trajectory_msgs/msg/JointTrajectory', 'trajectory_msgs/msg/JointTrajectoryPoint'
STORE = get_typestore(Stores.ROS2_JAZZY)
NONE = np.zeros(0)

Made = tuple[int, str, Any]  # log time, topic, message


def contract_for(size: str) -> Contract:
    """The shipped contract with two cameras and another of :data:`INPUTS`."""
    crop, pixels = INPUTS[size]
    cameras = [Camera(name=n, source_size=(HEIGHT, WIDTH), crop=crop, size=pixels) for n in CAMERAS]
    return replace(Contract.from_json(CONTRACT), cameras=tuple(cameras))


def binding_data(commands: str) -> dict[str, Any]:
    """The binding of :func:`make_bag`'s topics, as in its YAML file."""
    limits = {'position': [-9.0, 9.0], 'max_velocity': 3.0, 'max_acceleration': 8.0}
    data: dict[str, Any] = {
        'dp_binding': 1,
        'name': 'made',
        'joint_states': [{'topic': '/joint_states'}],
        'cameras': {
            name: {'topic': f'/{name}/image_raw', 'type': IMAGE, 'size': [HEIGHT, WIDTH]} for name in CAMERAS
        },
        'arms': {
            arm.name: {
                'controller_topic': f'/{arm.name}/joint_trajectory',
                'joints': {j.name: {'unit': j.unit, **limits} for j in arm.all_joints},
            }
            for arm in contract_for('64x64').embodiment.arms
        },
    }
    if commands == LEADER:
        data['actions'] = [{'topic': '/leader/joint_states', 'type': JOINT_STATE}]
    return data


def make_bag(path: Path, size: int, compression: str, commands: str) -> None:
    """Write a bag whose messages have so many bytes.

    Args:
        path: its directory.
        size: bytes.
        compression: of its chunks, 'none' or 'zstd'.
        commands: LEADER or WINDOWS.
    """
    writer = WholeChunksWriter(path, version=9, storage_plugin=StoragePlugin.MCAP)
    mode = CompressionMode.STORAGE if compression == 'zstd' else CompressionMode.NONE
    writer.set_compression(mode, CompressionFormat.ZSTD)
    connections: dict[str, Any] = {}
    with writer:
        written = 0
        for log_ns, topic, message in _messages(commands):
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            raw = STORE.serialize_cdr(message, kind)
            writer.write(connections[topic], log_ns, raw)
            written += len(raw)
            if written >= size:
                return


class Pictures:
    """A scene that moves, with the noise of a sensor: zstd takes off about a third, as of a camera's pictures."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        y, x = np.mgrid[: 2 * HEIGHT, : 2 * WIDTH]
        tiles = 40 * ((x // 50 + y // 50) % 2)
        scene = np.stack([x // 8 + tiles, y // 6 + tiles, (x + y) // 12 + tiles], axis=2)
        self._scene = scene.astype(np.uint8)
        self._noise = rng.integers(0, 12, (16, HEIGHT, WIDTH, 3), dtype=np.uint8)

    def __getitem__(self, number: int) -> np.ndarray:
        """(480, 640, 3) RGB."""
        top, left = 3 * number % HEIGHT, 5 * number % WIDTH
        return self._scene[top : top + HEIGHT, left : left + WIDTH] + self._noise[number * 7 % 16]


def _messages(commands: str) -> Iterator[Made]:
    """Without end, in the order of their log times."""
    pictures = Pictures()
    for second in count():
        yield from sorted(_second(second, pictures, commands), key=lambda made: made[0])


def _second(second: int, pictures: Pictures, commands: str) -> Iterator[Made]:
    begin = START_NS + second * SECOND_NS
    contract = contract_for('64x64')
    arms = [(arm.name, [j.name for j in arm.all_joints]) for arm in contract.embodiment.arms]
    joints = list(contract.joint_names)
    for i in range(30):
        for k, name in enumerate(CAMERAS):
            at = begin + i * SECOND_NS // 30 + k * 3_000_000
            pixels = pictures[30 * second + i + 100 * k].reshape(-1)
            image = STORE.types[IMAGE](_header(at, name), HEIGHT, WIDTH, 'rgb8', 0, 3 * WIDTH, pixels)
            yield at + 15_000_000, f'/{name}/image_raw', image
    for i in range(200):
        at = begin + i * SECOND_NS // 200
        positions = _positions(np.array([at]), len(joints))[0]
        yield at + 500_000, '/joint_states', _joint_state(at, joints, positions)
    for i in range(50):
        at = begin + i * SECOND_NS // 50 + 1_000_000
        if commands == LEADER:
            leader = _joint_state(at, joints, _positions(np.array([at + 40_000_000]), len(joints))[0])
            yield at + 500_000, '/leader/joint_states', leader
            continue
        times = at + POINT_NS * np.arange(WINDOW_POINTS)
        for name, names in arms:
            yield at + 500_000, f'/{name}/joint_trajectory', _trajectory(at, names, times)


def _header(at_ns: int, frame_id: str = '') -> Any:
    stamp = STORE.types['builtin_interfaces/msg/Time'](*divmod(at_ns, SECOND_NS))
    return STORE.types['std_msgs/msg/Header'](stamp, frame_id)


def _joint_state(at_ns: int, names: list[str], positions: np.ndarray) -> Any:
    still = np.zeros(len(names))
    return STORE.types[JOINT_STATE](_header(at_ns), names, positions, still, still)


def _trajectory(at_ns: int, names: list[str], times_ns: np.ndarray) -> Any:
    positions = _positions(times_ns, len(names))
    velocities = np.gradient(positions, POINT_NS / SECOND_NS, axis=0)
    velocities[-1] = 0.0
    duration = STORE.types['builtin_interfaces/msg/Duration']
    points = [
        STORE.types[POINT](p, v, NONE, NONE, duration(*divmod(int(t - at_ns), SECOND_NS)))
        for p, v, t in zip(positions, velocities, times_ns, strict=True)
    ]
    return STORE.types[TRAJECTORY](_header(at_ns), names, points)


def _positions(times_ns: np.ndarray, width: int) -> np.ndarray:
    """(n, width): a slow sine of its own for each joint, rad or m."""
    t = (times_ns - START_NS)[:, None] / SECOND_NS
    return 0.3 * np.sin((0.5 + 0.1 * np.arange(width)) * t + np.arange(width))
