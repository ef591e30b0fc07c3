# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Messages of a site's topics into an observation buffer: one way for live messages and for those of a bag."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding, CameraBinding, PoseStateBinding
from dp_ros.contract.compare import require_match
from dp_ros.messages.image import decode_image
from dp_ros.messages.joint_state import decode_joint_state
from dp_ros.messages.pose import decode_pose
from dp_ros.messages.sequences import read
from dp_ros.messages.stamps import header_ns
from dp_ros.observation.observation_buffer import ObservationBuffer

JOINTS_TYPE = 'sensor_msgs/msg/JointState'
POSE_TYPE = 'geometry_msgs/msg/PoseStamped'


@dataclass(frozen=True)
class Source:
    """One topic to listen to.

    Attributes:
        topic: as the binding names it, absolute or in the namespace of the nodes.
        type: its message type, like 'sensor_msgs/msg/Image'.
        qos: name of its quality of service in the binding.
        stream: 'joints', or the name of the camera or vector.
        put: takes a message and the time of its arrival, which stands in for a stamp of zero. Raises MessageError for
            a message that cannot be read; nothing of it is stored.
    """

    topic: str
    type: str
    qos: str
    stream: str
    put: Callable[[Any, int], None]


class Intake:
    """Decodes what a binding's topics carry, and pushes it.

    An image counts as seen when it was exposed: its stamp less the latency of its camera. Vectors have no stamps, and
    count from their arrival.

    Args:
        contract: what is needed; topics of other cameras and vectors are left alone.
        binding: which topic carries it.
        buffer: where it goes.

    Raises:
        MismatchError: the binding's robot does not fit the contract; lists every difference.
    """

    def __init__(self, contract: Contract, binding: Binding, buffer: ObservationBuffer):
        require_match(contract, binding.robot(), f'the robot of binding {binding.name!r}')
        self.buffer = buffer
        sources = [Source(s.topic, JOINTS_TYPE, s.qos, 'joints', self._joints) for s in binding.joint_states]
        sources += [Source(p.topic, POSE_TYPE, p.qos, 'joints', self._pose(p)) for p in binding.pose_states]
        cameras = {c.name: binding.cameras[c.name] for c in contract.cameras}
        sources += [Source(c.topic, c.type, c.qos, name, self._image(name, c)) for name, c in cameras.items()]
        vectors = {v.name: binding.vectors[v.name] for v in contract.vectors}
        sources += [Source(v.topic, v.type, v.qos, name, self._vector(name)) for name, v in vectors.items()]
        self.sources = tuple(sources)

    def _arrival(self, stream: str, now_ns: int) -> int:
        self.buffer.note_unstamped(stream, now_ns)
        return now_ns

    def _joints(self, message: Any, now_ns: int) -> None:
        stamp_ns, names, positions = decode_joint_state(message)
        self.buffer.push_joints(stamp_ns or self._arrival('joints', now_ns), names, positions)

    def _pose(self, pose: PoseStateBinding) -> Callable[[Any, int], None]:
        def put(message: Any, now_ns: int) -> None:
            stamp_ns, row = decode_pose(message, pose.frame_id)
            self.buffer.push_joints(stamp_ns or self._arrival('joints', now_ns), pose.columns, row)

        return put

    def _vector(self, name: str) -> Callable[[Any, int], None]:
        def put(message: Any, now_ns: int) -> None:
            self.buffer.push_vector(name, now_ns, read(message.data, np.float64))

        return put

    def _image(self, name: str, camera: CameraBinding) -> Callable[[Any, int], None]:
        latency_ns = round(camera.latency_s * 1e9)

        def put(message: Any, now_ns: int) -> None:
            stamp_ns = header_ns(message) or self._arrival(name, now_ns)
            self.buffer.push_image(name, stamp_ns - latency_ns, lambda: decode_image(message, camera.depth_m))

        return put
