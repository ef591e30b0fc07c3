# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""~/go_to_start: by windows of our own, or by the controllers' FollowJointTrajectory actions.

By windows everything is watched as in any other motion. By actions each controller plans its own way and watches its
own tolerances; stopping then means cancelling the goals.
"""

from collections.abc import Callable

from rclpy.node import Node

from dp_ros.action.supervisor import Answer
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.errors import ConfigError
from dp_ros.nodes.motion import Motion
from dp_ros.nodes.start_pose import StartPoseClient

WAYS = ('windows', 'action')


class Homing:
    """The way to the start pose.

    Args:
        node: for its clock and its action clients.
        motion: what decides.
        contract, binding: which controller moves which joints.
        pose: start pose in the contract's order; empty where there is none.
        way: one of WAYS.
        after: called when the controllers have answered.

    Raises:
        ConfigError: an unknown way, or a controller without such an action.
    """

    def __init__(
        self,
        node: Node,
        motion: Motion,
        contract: Contract,
        binding: Binding,
        pose: tuple[float, ...],
        way: str,
        after: Callable[[None], None],
    ):
        if way not in WAYS:
            raise ConfigError(f'start_pose_by must be one of {list(WAYS)}, got {way!r}')
        self._node, self._motion, self._after = node, motion, after
        self._goals = {}
        self._client: StartPoseClient | None = None
        self._asked = False
        if way == 'windows' or not pose:
            return
        positions = dict(zip(contract.joint_names, pose, strict=True))
        for arm in contract.embodiment.arms:
            for controller in binding.arms[arm.name].controllers:
                if controller.output != 'jtc':
                    raise ConfigError(
                        f'start_pose_by action needs joint trajectory controllers, {controller.topic} is '
                        f'{controller.output!r}'
                    )
                self._goals[controller.topic] = (
                    controller.joints,
                    [positions[name] for name in controller.joints],
                )
        self._client = StartPoseClient(node, list(self._goals))

    def ask(self, now_ns: int) -> Answer:
        """Begin, or say why not."""
        if self._client is None:
            return self._motion.go_to_start(now_ns)
        obstacle = self._client.available()
        if obstacle:
            return Answer(self._motion.state, False, obstacle)
        answer = self._motion.go_to_start(now_ns, by_controllers=True)
        if answer.success:
            self._asked = True
            # The controller makes one cubic of it, whose acceleration peaks at 1.5 times that of our way.
            duration_s = 1.5 * self._motion.homing_s
            goals = {topic: (names, at, duration_s) for topic, (names, at) in self._goals.items()}
            self._client.send(goals, self._done)
        return answer

    def look(self) -> None:
        """Cancel what is under way once the state has left it."""
        if self._client is not None and self._asked and not self._motion.state.homing:
            self._asked = False
            self._client.cancel()

    def destroy(self) -> bool:
        """Give the action clients back; true, as rclpy's own functions of this kind."""
        if self._client is not None:
            self._client.cancel()
            self._client.destroy()
            self._client = None
        return True

    def _done(self, text: str, ok: bool) -> None:
        if not self._asked:
            return
        self._asked = False
        now_ns = int(self._node.get_clock().now().nanoseconds)
        self._node.get_logger().info(f'start pose: {text}')
        self._motion.homed(now_ns, '' if ok else text)
        self._after(None)
