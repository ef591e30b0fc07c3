# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Small real bags: jittered cameras with a dropout, joints, commands; whole, or broken in a chosen way.

Every joint follows :func:`curve`, commands too, so that what must come out of a bag can be computed. The same seed
gives the same messages, bit for bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from bag_messages import (
    ARRAY,
    COMPRESSED,
    IMAGE,
    JOINT_STATE,
    SECOND_NS,
    STORE,
    TRAJECTORY,
    array_message,
    image_message,
    joint_message,
    picture,
    pose_message,
    trajectory_message,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from dp_ros.contract import Arm, Camera, Contract, Embodiment, Joint, Timing
from dp_ros.contract.binding import Binding

START_NS = 1_700_000_000 * SECOND_NS
JOINTS = ('left_j1', 'left_j2', 'left_finger')


@dataclass(frozen=True)
class MadeCamera:
    """One camera: (height, width), and an encoding of sensor_msgs/Image, or 'jpeg' or 'png'."""

    topic: str = '/top/image_raw'
    size: tuple[int, int] = (24, 32)
    encoding: str = 'rgb8'
    rate_hz: float = 30.0
    jitter_s: float = 0.004
    delay_s: float = 0.02  # from stamp to log
    dropout: tuple[float, float] = (0.0, 0.0)  # from, until: seconds after the start


@dataclass(frozen=True)
class Command:
    """One command topic with the joints that it carries, or the pose of the end effector."""

    topic: str
    type: str = TRAJECTORY
    joints: tuple[str, ...] = JOINTS
    rate_hz: float = 10.0
    names: tuple[str, ...] = ()  # what a leader arm calls the joints; empty: the same


@dataclass(frozen=True)
class Plan:
    """What a bag holds.

    Attributes:
        zero_stamps: topics whose headers are not stamped.
        swapped: every tenth message of each topic of these changes places with the one before it (log order).
        jump: (seconds after the start, seconds): from then on log times and stamps are that much later, or earlier.
        stamp_jump: likewise, of the stamps alone, where the sensors have a clock of their own.
        resized: camera topics whose images are half as high and wide in the last third.
        strange: a topic of a type that nobody knows is there, with messages of 4 bytes.
        chunk_s: an MCAP chunk ends after so many seconds; 0: after a MiB, as rosbags does.
        storage, compression: of the bag; see rosbags' CompressionMode ('none', 'file', 'message', 'storage').
    """

    seed: int = 0
    duration_s: float = 2.0
    start_ns: int = START_NS
    cameras: Sequence[MadeCamera] = (MadeCamera(),)
    joint_topic: str = '/joint_states'
    joints: tuple[str, ...] = JOINTS
    joint_rate_hz: float = 200.0
    commands: Sequence[Command] = (Command('/arm_controller/joint_trajectory'),)
    extra: Sequence[
        tuple[str, str, int, Any]
    ] = ()  # topic, type, log_ns, message: e.g. the marks of episodes
    zero_stamps: tuple[str, ...] = ()
    swapped: tuple[str, ...] = ()
    jump: tuple[float, float] = (0.0, 0.0)
    stamp_jump: tuple[float, float] = (0.0, 0.0)
    resized: tuple[str, ...] = ()
    strange: bool = False
    chunk_s: float = 0.25
    storage: str = 'mcap'
    compression: str = 'none'
    custom_data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A message that stands in a bag, as it was before it was serialized."""

    topic: str
    type: str
    log_ns: int
    stamp_ns: int
    message: Any
    arrived_ns: int  # the log time of a clock that nobody set


def curve(joint: str, times_ns: npt.ArrayLike, start_ns: int = START_NS) -> npt.NDArray[np.float64]:
    """Where a joint is: a slow sine of its own, 0 to 0.04 for fingers, else -0.5 to 0.5."""
    phase = sum(joint.encode()) % 97
    t = (np.asarray(times_ns, np.int64) - start_ns) / SECOND_NS
    wave = np.sin(2 * np.pi * (0.2 + phase / 200) * t + phase)
    return 0.02 + 0.02 * wave if 'finger' in joint else 0.5 * wave


def make_bag(path: Path, plan: Plan | None = None) -> list[Made]:
    """Write a bag with rosbags' Writer and return its messages in the order of the file, as they arrived."""
    plan = plan or Plan()
    made = sorted(_messages(plan), key=lambda m: m.arrived_ns)
    mcap = plan.storage == 'mcap'
    writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP if mcap else StoragePlugin.SQLITE3)
    writer.set_compression(CompressionMode[plan.compression.upper()], CompressionFormat.ZSTD)
    for key, value in plan.custom_data.items():
        writer.set_custom_data(key, value)
    with writer:
        topics = {m.topic: m.type for m in made}
        connections = {
            name: writer.add_connection(name, kind, typestore=STORE) for name, kind in topics.items()
        }
        if plan.strange:
            connections['/strange'] = writer.add_connection(
                '/strange', 'nobody_msgs/msg/Thing', msgdef='nobody_msgs/Unknown what', rihs01='RIHS01_0'
            )
        chunk_end = plan.start_ns + plan.chunk_s * SECOND_NS
        for i, one in enumerate(made):
            if mcap and plan.chunk_s and one.arrived_ns >= chunk_end:
                writer.storage.close_chunk()
                chunk_end = one.arrived_ns + plan.chunk_s * SECOND_NS
            writer.write(connections[one.topic], one.log_ns, STORE.serialize_cdr(one.message, one.type))
            if plan.strange and i % 50 == 0:
                writer.write(connections['/strange'], one.log_ns, b'\0\1\0\0')
    return made


def storage_file(path: Path) -> Path:
    """The storage file of a bag that :func:`make_bag` wrote."""
    return next(file for file in sorted(path.iterdir()) if file.name != 'metadata.yaml')


def drop_metadata(path: Path) -> None:
    """A recorder that was killed writes none."""
    (path / 'metadata.yaml').unlink()


def cut(path: Path, share: float) -> int:
    """Keep this share of the bytes of the storage file, and no metadata; returns how many bytes that is."""
    file = storage_file(path)
    size = int(file.stat().st_size * share)
    with file.open('r+b') as opened:
        opened.truncate(size)
    (path / 'metadata.yaml').unlink(missing_ok=True)
    return size


def damage_chunk(path: Path, number: int) -> int:
    """Overwrite the middle of an MCAP chunk; returns the byte where its record begins."""
    file = storage_file(path)
    data = bytearray(file.read_bytes())
    position, seen = 8, -1
    while True:
        op, length = data[position], int.from_bytes(data[position + 1 : position + 9], 'little')
        seen += op == 0x06
        if op == 0x06 and seen == number:
            middle = position + 9 + length // 2
            data[middle : middle + 64] = b'\xee' * 64
            # Uncompressed chunks of rosbags have no checksum: break a length too, which any reader must notice.
            head = data.find(b'\x05', position + 60)
            data[head + 1 : head + 9] = b'\xff' * 8
            file.write_bytes(data)
            return position
        position += 9 + length


def example_contract(
    joints: Sequence[str] = JOINTS, cameras: Mapping[str, tuple[int, int]] | None = None, **timing: int
) -> Contract:
    """A contract that fits :class:`Plan`: one arm, cameras by source size, two observations of 50 ms."""
    sizes = {'top': (24, 32)} if cameras is None else cameras
    clock = {'obs_horizon': 2, 'pred_horizon': 8, 'action_horizon': 4, 'period_ns': 50_000_000, **timing}
    return Contract(
        name='made',
        embodiment=Embodiment(
            arms=(
                Arm(
                    name='left',
                    joints=tuple(Joint(name=n, unit='m' if 'finger' in n else 'rad') for n in joints),
                ),
            )
        ),
        cameras=tuple(
            Camera(name=name, source_size=size, crop=(0, 0, *size), size=(size[0] // 2, size[1] // 2))
            for name, size in sizes.items()
        ),
        timing=Timing(**clock),
    )


def example_binding(*args: Any, **sections: Any) -> Binding:
    """The binding of :func:`example_binding_data`."""
    return Binding.from_dict(example_binding_data(*args, **sections))


def example_binding_data(
    joints: Sequence[str] = JOINTS,
    made: Mapping[str, MadeCamera] | None = None,
    actions: Sequence[dict[str, Any]] | None = None,
    **sections: Any,
) -> dict[str, Any]:
    """A binding that fits :class:`Plan`, as in its YAML file; ``actions`` and other sections too."""
    made = {'top': MadeCamera()} if made is None else made
    data: dict[str, Any] = {
        'dp_binding': 1,
        'name': 'made',
        'joint_states': [{'topic': '/joint_states'}],
        'cameras': {
            name: {
                'topic': camera.topic,
                'type': COMPRESSED if camera.encoding in ('jpeg', 'png') else IMAGE,
                'size': list(camera.size),
            }
            for name, camera in made.items()
        },
        'arms': {
            'left': {
                'controller_topic': '/arm_controller/joint_trajectory',
                'joints': {
                    name: {
                        'unit': 'm' if 'finger' in name else 'rad',
                        'position': [-0.1, 0.1] if 'finger' in name else [-3.0, 3.0],
                        'max_velocity': 3.0,
                        'max_acceleration': 10.0,
                    }
                    for name in joints
                },
            }
        },
        **sections,
    }
    if actions is not None:
        data['actions'] = actions
    return data


def _messages(plan: Plan) -> Iterator[Made]:
    rng = np.random.default_rng(plan.seed)
    for number, camera in enumerate(plan.cameras):
        yield from _topic(plan, camera.topic, _frames(plan, number, camera, rng))
    yield from _topic(plan, plan.joint_topic, _joint_states(plan, rng))
    for command in plan.commands:
        yield from _topic(plan, command.topic, _commands(plan, command, rng))
    for topic, kind, log_ns, message in plan.extra:
        yield Made(topic, kind, log_ns, log_ns, message, log_ns)


def _topic(
    plan: Plan, topic: str, made: Iterator[tuple[str, float, float, Callable[[int], Any]]]
) -> Iterator[Made]:
    """Messages of a topic from (type, seconds of the stamp, delay of the log, message of a stamp), with the faults."""
    entries = []
    for kind, at_s, delay_s, build in made:
        shift = plan.jump[1] if plan.jump[1] and at_s >= plan.jump[0] else 0.0
        stamp_ns = plan.start_ns + round((at_s + shift) * SECOND_NS)
        jumped = plan.stamp_jump[1] if plan.stamp_jump[1] and at_s >= plan.stamp_jump[0] else 0.0
        message = build(0 if topic in plan.zero_stamps else stamp_ns + round(jumped * SECOND_NS))
        log_ns = stamp_ns + round(delay_s * SECOND_NS)
        entries.append([topic, kind, log_ns, stamp_ns, message, log_ns - round(shift * SECOND_NS)])
    if topic in plan.swapped:
        for i in range(9, len(entries), 10):
            for column in (2, 5):
                entries[i][column], entries[i - 1][column] = entries[i - 1][column], entries[i][column]
    yield from (Made(*entry) for entry in entries)


def _times(plan: Plan, rate_hz: float, jitter_s: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    times = np.arange(0.0, plan.duration_s, 1 / rate_hz)
    jitter = rng.uniform(-1, 1, len(times)) * min(jitter_s, 0.45 / rate_hz)
    return np.maximum(times + jitter, 0.0)


def _frames(plan: Plan, number: int, camera: MadeCamera, rng: np.random.Generator) -> Iterator[Any]:
    kind = COMPRESSED if camera.encoding in ('jpeg', 'png') else IMAGE
    for i, at_s in enumerate(_times(plan, camera.rate_hz, camera.jitter_s, rng)):
        if camera.dropout[0] <= at_s < camera.dropout[1]:
            continue
        small = camera.topic in plan.resized and at_s > plan.duration_s * 2 / 3
        size = (camera.size[0] // 2, camera.size[1] // 2) if small else camera.size
        rgb = picture(size, i, plan.seed + 10 * number)
        delay = camera.delay_s * rng.uniform(0.5, 1.5)
        yield (
            kind,
            at_s,
            delay,
            lambda stamp, rgb=rgb: image_message(rgb, camera.encoding, stamp, f'camera_{number}'),
        )


def _joint_states(plan: Plan, rng: np.random.Generator) -> Iterator[Any]:
    for at_s in _times(plan, plan.joint_rate_hz, 0.0005, rng):
        moment = plan.start_ns + round(at_s * SECOND_NS)
        values = [float(curve(name, moment, plan.start_ns)) for name in plan.joints]
        yield JOINT_STATE, at_s, 0.001, lambda stamp, v=values: joint_message(plan.joints, stamp, v)


def _commands(plan: Plan, command: Command, rng: np.random.Generator) -> Iterator[Any]:
    """Each JointTrajectory holds 0.4 s of the curves, with velocities; the other types hold their present value."""
    offsets = np.arange(9, dtype=np.int64) * 50_000_000
    for at_s in _times(plan, command.rate_hz, 0.002, rng):
        moment = plan.start_ns + round(at_s * SECOND_NS)
        names = command.names or command.joints
        row = np.array([float(curve(name, moment, plan.start_ns)) for name in command.joints])
        build: Callable[[int], Any]
        if command.type == TRAJECTORY:
            times = moment + offsets
            q = np.stack([curve(name, times, plan.start_ns) for name in command.joints], axis=1)
            nudge = 1000
            later = np.stack([curve(name, times + nudge, plan.start_ns) for name in command.joints], axis=1)
            v = (later - q) / (nudge * 1e-9)
            v[-1] = 0.0
            build = partial(trajectory_message, names, times_ns=offsets, positions=q, velocities=v)
        elif command.type == JOINT_STATE:
            build = partial(joint_message, names, positions=row)
        elif command.type == ARRAY:
            build = lambda _, row=row: array_message(row)  # noqa: E731
        else:
            half = row[0] / 2
            turn = (0.0, 0.0, np.sin(half), np.cos(half))
            build = partial(pose_message, frame_id='base', position=row[:3], quaternion=turn)
        yield command.type, at_s, 0.002, build
