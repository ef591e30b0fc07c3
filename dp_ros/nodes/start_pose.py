# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Going to a start pose by control_msgs/FollowJointTrajectory, where control_msgs is installed.

A controller plans its own way to one point at rest, watches its tolerances, and says how it ended. A goal and a stream
of windows must never meet on one controller: a window overrides a goal without ending it. So this is for arms that
are disengaged and at rest; the caller sees to that.

control_msgs is no requirement of the package, and there are no wheels of it: what the tests cover is the content of the
goal, the names, the codes and how several controllers' answers become one. The exchange with a real controller is not
tested.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rclpy.action import ActionClient
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectoryPoint

from dp_ros.messages.stamps import fill_time

Done = Callable[[str, bool], None]
# Names of the joints, their positions (rad or m), and the time to take (s).
Goal = tuple[Sequence[str], Sequence[float], float]

RESULTS = {
    0: 'SUCCESSFUL',
    -1: 'INVALID_GOAL',
    -2: 'INVALID_JOINTS',
    -3: 'OLD_HEADER_TIMESTAMP',
    -4: 'PATH_TOLERANCE_VIOLATED',
    -5: 'GOAL_TOLERANCE_VIOLATED',
}
# action_msgs/GoalStatus.
_SUCCEEDED = 4
STATUSES = {5: 'CANCELED', 6: 'ABORTED'}
_NOT_INSTALLED = (
    'control_msgs is not installed, so no controller can be asked to go to a pose; install the control_msgs package of '
    'your ROS distribution (apt install ros-$ROS_DISTRO-control-msgs)'
)


def action_type() -> Any:
    """The class FollowJointTrajectory; None where control_msgs is not installed."""
    try:
        return importlib.import_module('control_msgs.action').FollowJointTrajectory
    except ImportError:
        return None


def action_name(controller_topic: str) -> str:
    """The action of a joint trajectory controller whose topic is ``<controller>/joint_trajectory``."""
    return f'{controller_topic.removesuffix("/joint_trajectory")}/follow_joint_trajectory'


def verdict(status: int, code: int, explanation: str = '') -> tuple[str, bool]:
    """How a goal ended, in words, and whether the arm arrived.

    The code alone does not tell: a controller that was told to stop reports code 0.
    """
    name = RESULTS.get(code, f'unknown code {code}')
    if status != _SUCCEEDED:
        name = f'{STATUSES.get(status, f"status {status}")}, {name}'
    return f'{name}: {explanation}' if explanation else name, status == _SUCCEEDED and code == 0


def fill_goal(
    goal: Any,
    names: Sequence[str],
    positions: Sequence[float],
    duration_s: float,
    make_point: Callable[[], Any],
) -> None:
    """Write one point at rest into a FollowJointTrajectory goal; the stamp stays 0: begin when you get it."""
    point = make_point()
    point.positions = [float(position) for position in positions]
    point.velocities = [0.0] * len(point.positions)
    fill_time(point.time_from_start, round(duration_s * 1e9))
    goal.trajectory.joint_names = list(names)
    goal.trajectory.points = [point]


class Answers:
    """The answers of several controllers as one: all succeeded, or not, and what each said.

    Args:
        topics: who will answer.
        done: called once, when the last one has.

    Attributes:
        failed: one of them did not succeed.
    """

    def __init__(self, topics: Sequence[str], done: Done):
        self._waiting = set(topics)
        self._texts: list[str] = []
        self.failed = False
        self._done = done

    def put(self, topic: str, text: str, ok: bool) -> None:
        """The answer of one controller; a second one of the same is not heard."""
        if topic not in self._waiting:
            return
        self._waiting.discard(topic)
        self.failed = self.failed or not ok
        self._texts.append(f'{topic}: {text}')
        if not self._waiting:
            self._done('; '.join(self._texts), not self.failed)


class StartPoseClient:
    """Asks joint trajectory controllers to go to a pose.

    Args:
        node: to make clients with; its executor calls back.
        controller_topics: command topics of the controllers.
    """

    def __init__(self, node: Node, controller_topics: Sequence[str]):
        self._type = action_type()
        self._clients: dict[str, Any] = {}
        self._goals: dict[str, Any] = {}
        # Counts sends and cancellations: a goal that is accepted after its time must stop at once.
        self._sent = self._valid = 0
        if self._type is not None:
            self._clients = {
                topic: ActionClient(node, self._type, action_name(topic)) for topic in controller_topics
            }

    def available(self) -> str:
        """Empty where every controller can be asked, else why not."""
        if self._type is None:
            return _NOT_INSTALLED
        silent = [action_name(t) for t, client in self._clients.items() if not client.server_is_ready()]
        return f'no action server on {silent}' if silent else ''

    def send(self, goals: Mapping[str, Goal], done: Done) -> None:
        """Send all goals at once; where one controller refuses or fails, the others are told to stop.

        Args:
            goals: controller topic to its goal.
            done: called once with what every controller said, and whether all of them arrived.
        """
        obstacle = self.available() or self._unknown(goals)
        if obstacle:
            done(obstacle, False)
            return
        self._sent += 1
        sent = self._valid = self._sent

        def latest(text: str, ok: bool) -> None:
            if sent == self._sent:
                done(text, ok)

        answers = Answers(list(goals), latest)
        for topic, (names, positions, duration_s) in goals.items():
            goal = self._type.Goal()
            fill_goal(goal, names, positions, duration_s, JointTrajectoryPoint)
            future = self._clients[topic].send_goal_async(goal)
            future.add_done_callback(lambda f, topic=topic: self._on_goal(topic, f, answers, sent))

    def cancel(self) -> None:
        """Ask every controller that is on its way to stop, also those that have not accepted their goal yet."""
        self._valid = 0
        for handle in self._goals.values():
            handle.cancel_goal_async()

    def destroy(self) -> None:
        """Give the clients back."""
        for client in self._clients.values():
            client.destroy()
        self._clients = {}

    def _unknown(self, goals: Mapping[str, Goal]) -> str:
        unknown = sorted(set(goals) - set(self._clients))
        return f'no controllers {unknown}; there are {sorted(self._clients)}' if unknown else ''

    def _on_goal(self, topic: str, future: Any, answers: Answers, sent: int) -> None:
        handle = future.result()
        if not handle.accepted:
            answers.put(topic, 'the goal was refused', False)
            self.cancel()
            return
        if sent != self._valid:
            # Cancelled, or another controller refused, before this one agreed.
            handle.cancel_goal_async()
        else:
            self._goals[topic] = handle
        handle.get_result_async().add_done_callback(lambda f: self._on_result(topic, f, answers, handle))

    def _on_result(self, topic: str, future: Any, answers: Answers, handle: Any) -> None:
        if self._goals.get(topic) is handle:
            del self._goals[topic]
        answer = future.result()
        text, ok = verdict(answer.status, int(answer.result.error_code), str(answer.result.error_string))
        answers.put(topic, text, ok)
        if not ok:
            self.cancel()
