# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""From the plan to what each kind of controller listens to.

``prepare`` makes a message and may fail, ``send`` publishes it: the caller prepares the messages of all outputs before
it sends the first, so that both arms get a command or neither does.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import PoseStamped
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from dp_ros.action.plan import CommittedPlan
from dp_ros.action.pose import pose_to_quaternion
from dp_ros.action.window import Window
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding, ControllerBinding
from dp_ros.errors import ChunkError, ConfigError, MessageError
from dp_ros.messages.pose import fill_pose
from dp_ros.messages.sequences import like
from dp_ros.nodes import qos
from dp_ros.nodes.trajectories import trajectory_writer

# A forward controller hands on what it last got, so each command is a step: at less than this they are too large.
MIN_FORWARD_HZ = 100.0
DEFAULT_FORWARD_HZ = 200.0
# After a longer silence than this somebody else may have moved the joints.
_STALL_NS = 1_000_000_000

PublisherFactory = Callable[[Any, str, Any], Any]


class Output(Protocol):
    """One controller of one arm.

    Attributes:
        topic: where the controller listens.
        arm: whose it is.
        period_ns: 0: a message with every window; more: a message each so many nanoseconds while windows are due.
        publisher: the ROS publisher.
    """

    topic: str
    arm: str
    period_ns: int
    publisher: Any

    def prepare(self, window: Window, chunk_id: str, plan: CommittedPlan, now_ns: int) -> Any:
        """The message to send now; :class:`MessageError` where the command is not finite."""
        ...

    def send(self, message: Any) -> None:
        """Publish it."""
        ...


class _Publishing:
    """What all outputs share."""

    kind: Any = None

    def __init__(
        self, arm: str, controller: ControllerBinding, joint_names: Sequence[str], make: PublisherFactory
    ):
        self.arm, self.topic, self.joint_names = arm, controller.topic, controller.joints
        self.period_ns = 0
        names = list(joint_names)
        self._index = [names.index(name) for name in controller.joints]
        self.publisher = make(self.kind, controller.topic, qos.COMMAND)
        self._last: tuple[int, npt.NDArray[np.float64]] | None = None

    def send(self, message: Any) -> None:
        """Publish it."""
        self.publisher.publish(message)

    def _finite(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if not np.isfinite(values).all():
            bad = [name for i, name in enumerate(self.joint_names) if not np.all(np.isfinite(values[..., i]))]
            raise MessageError(f'{self.topic}: commands of {bad} are not finite; nothing is sent')
        return values

    def _approached(self, plan: CommittedPlan, now_ns: int, period_ns: int) -> npt.NDArray[np.float64]:
        """The plan's position now; after a stall, on the way there at no more than the velocity limits."""
        position = self._finite(plan.sample(now_ns)[0][self._index])
        if self._last is not None and 0 <= now_ns - self._last[0] < _STALL_NS:
            # The controller stood where it was told last, however long ago that is.
            step = plan.limits.velocity[self._index] * (1.5e-9 * period_ns)
            position = np.clip(position, self._last[1] - step, self._last[1] + step)
        self._last = (now_ns, position)
        return position


class TrajectoryOutput(_Publishing):
    """Windows for a joint trajectory controller, which brakes by itself where they end; as bytes."""

    kind = JointTrajectory

    def __init__(self, *args: Any):
        super().__init__(*args)
        self._writer = trajectory_writer()

    def prepare(self, window: Window, chunk_id: str, plan: CommittedPlan, now_ns: int) -> bytes:
        """The window of the controller's joints."""
        return self._writer.write(
            window.stamp_ns,
            chunk_id,
            self.joint_names,
            window.times_ns,
            self._finite(window.positions[:, self._index]),
            self._finite(window.velocities[:, self._index]),
        )


class ForwardOutput(_Publishing):
    """Positions for a forward_command_controller, at a rate of its own.

    The controller reads ``data`` alone, one number for each joint in its own order, and keeps the last ones for ever:
    it has no timeout, and if this process dies the arm stops at once instead of braking. Humble's does not look
    whether they are finite, so it is done here.
    """

    kind = Float64MultiArray

    def __init__(self, *args: Any, forward_hz: float):
        super().__init__(*args)
        self.period_ns = round(1e9 / forward_hz)

    def prepare(self, window: Window, chunk_id: str, plan: CommittedPlan, now_ns: int) -> Float64MultiArray:
        """The plan's position now, approached slowly after a stall."""
        message = Float64MultiArray()
        message.data = like(message.data, self._approached(plan, now_ns, self.period_ns))
        return message


class PoseOutput(_Publishing):
    """Stamped poses for a Cartesian controller, one with every window.

    Cartesian controllers follow the newest pose and know no braking tail either. ``window_ns`` is the time between two
    windows.
    """

    kind = PoseStamped

    def __init__(self, arm: str, controller: ControllerBinding, *args: Any, window_ns: int):
        super().__init__(arm, controller, *args)
        self._window_ns = window_ns
        self._frame_id = controller.frame_id
        self._quaternion: npt.NDArray[np.float64] | None = None

    def prepare(self, window: Window, chunk_id: str, plan: CommittedPlan, now_ns: int) -> PoseStamped:
        """The plan's pose now, approached slowly after a stall."""
        row = self._approached(plan, now_ns, self._window_ns)
        position = row[:3]
        try:
            _, quaternion = pose_to_quaternion(row)
        except ChunkError as error:
            # On the way between two opposite rotations there is a moment without any: stay at the last one.
            if self._quaternion is None:
                raise MessageError(f'{self.topic}: {error}') from error
            quaternion = self._quaternion
        if self._quaternion is not None and float(quaternion @ self._quaternion) < 0.0:
            # q and -q are one rotation, but a controller that interpolates numbers would go the long way round.
            quaternion = -quaternion
        self._quaternion = quaternion
        message = PoseStamped()
        fill_pose(message, now_ns, self._frame_id, position, quaternion)
        return message


def make_outputs(
    node: Any,
    contract: Contract,
    binding: Binding,
    publisher_factory: PublisherFactory,
    window_ns: int,
    forward_hz: float = DEFAULT_FORWARD_HZ,
) -> list[Output]:
    """One output for every controller of every arm of the contract, arm after arm.

    Args:
        node: for its log.
        contract: names and order of the columns of plans and windows.
        binding: the controllers; it must fit the contract (``compare``).
        publisher_factory: makes a publisher from message type, topic and profile.
        window_ns: time between two windows.
        forward_hz: commands a second of forward controllers, at least MIN_FORWARD_HZ.

    Raises:
        ConfigError: a rate that is too low while there is a forward controller.
    """
    outputs: list[Output] = []
    for arm in contract.embodiment.arms:
        for controller in binding.arms[arm.name].controllers:
            args = (arm.name, controller, contract.joint_names, publisher_factory)
            if controller.output == 'jtc':
                outputs.append(TrajectoryOutput(*args))
            elif controller.output == 'pose':
                outputs.append(PoseOutput(*args, window_ns=window_ns))
            else:
                if not forward_hz >= MIN_FORWARD_HZ:
                    raise ConfigError(
                        f'forward_hz must be at least {MIN_FORWARD_HZ:g} for {controller.topic}, got {forward_hz:g}'
                    )
                outputs.append(ForwardOutput(*args, forward_hz=forward_hz))
                node.get_logger().warning(
                    f'{controller.topic} goes to a forward controller: it has no timeout and does not brake if this '
                    'process dies; prefer a joint trajectory controller'
                )
    return outputs
