# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The parts of a binding: streams that come in, and arms with their controllers and limits."""

from collections.abc import Mapping
from dataclasses import dataclass

from dp_ros.errors import ConfigError

QOS = ('sensor_data', 'reliable')
VECTOR_TYPES = ('std_msgs/msg/Float64MultiArray', 'std_msgs/msg/Float32MultiArray')
IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
# What a controller listens to: trajectory_msgs/JointTrajectory, std_msgs/Float64MultiArray, geometry_msgs/PoseStamped.
OUTPUTS = ('jtc', 'forward', 'pose')


@dataclass(frozen=True, kw_only=True)
class JointStatesBinding:
    """One topic of sensor_msgs/JointState, with any subset of the joints in any order; qos is one of QOS."""

    topic: str
    qos: str


@dataclass(frozen=True, kw_only=True)
class PoseStateBinding:
    """One topic of geometry_msgs/PoseStamped with the measured pose of one arm's end effector.

    Attributes:
        topic, qos: see JointStatesBinding.
        columns: names of the nine columns that the pose becomes: x, y, z, and the first two columns of the
            rotation matrix, a1 to a3 and b1 to b3.
        frame_id: frame in which the pose must be given; messages of another frame are refused.
    """

    topic: str
    qos: str
    columns: tuple[str, ...]
    frame_id: str


@dataclass(frozen=True, kw_only=True)
class CameraBinding:
    """The topic of one camera field.

    Attributes:
        topic, qos: see JointStatesBinding.
        type: one of IMAGE_TYPES.
        size: (height, width) of its images.
        latency_s: how long after the exposure its driver stamps an image; stamp - latency is the time of exposure.
        depth_m: (near, far) of a depth camera, in metres: its image is the nearness, 255 at near and closer, 1 at
            far and farther, 0 where the distance is unknown. None: the images are no depths.
    """

    topic: str
    type: str
    qos: str
    size: tuple[int, int]
    latency_s: float = 0.0
    depth_m: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class VectorBinding:
    """The topic of one further vector. Its messages have no stamp: a sample counts from its arrival.

    Attributes:
        topic, qos: see JointStatesBinding.
        type: one of VECTOR_TYPES.
        dim: how many numbers a message holds.
    """

    topic: str
    type: str
    qos: str
    dim: int


@dataclass(frozen=True, kw_only=True)
class JointBinding:
    """A column that a controller moves.

    Attributes:
        unit: of its position: rad, m, or 1 for the rotation columns of a pose.
        max_acceleration: per second squared; of braking and of everything else.
        max_velocity: per second; None: as the robot description says.
        max_jerk: per second cubed; None: what turns the acceleration round within one point of the plan.
        position: lowest and highest position; infinite where there is no bound; None: as the robot
            description says.
        margin: distance that is kept from both ends of the range.
        latency_s: from command to motion; None: that of the arm.
    """

    unit: str
    max_acceleration: float
    max_velocity: float | None = None
    max_jerk: float | None = None
    position: tuple[float, float] | None = None
    margin: float = 0.0
    latency_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class PoseSpeed:
    """How fast an end effector may move: m/s and rad/s."""

    linear: float
    angular: float


@dataclass(frozen=True, kw_only=True)
class ControllerBinding:
    """One controller.

    Attributes:
        topic: where it listens.
        output: one of OUTPUTS.
        joints: its columns, in the controller's own order. Of a pose: x, y, z, a1 to a3, b1 to b3.
        frame_id: frame of the poses; empty for the other outputs.
        speed: limits of the poses; None for the other outputs.
    """

    topic: str
    output: str
    joints: tuple[str, ...]
    frame_id: str = ''
    speed: PoseSpeed | None = None


@dataclass(frozen=True, kw_only=True)
class ArmBinding:
    """One arm.

    Attributes:
        controllers: every column stands in exactly one of them.
        joints: all columns by name.
        latency_s: from command to motion, of the columns that do not say otherwise.
        tip_link: link of the robot description whose path is shown; empty: the one that the arm's last joint
            moves.
    """

    controllers: tuple[ControllerBinding, ...]
    joints: Mapping[str, JointBinding]
    latency_s: float = 0.0
    tip_link: str = ''

    @property
    def controller_topic(self) -> str:
        """The topic of the joint trajectory controller that moves the whole arm.

        Raises:
            ConfigError: the arm is moved in another way.
        """
        if len(self.controllers) != 1 or self.controllers[0].output != 'jtc':
            kinds = [f'{c.topic} ({c.output})' for c in self.controllers]
            raise ConfigError(f'the arm is not moved by one joint trajectory controller, but by {kinds}')
        return self.controllers[0].topic
