# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a policy owes for the messages that were played: the player waits for it, so that the clock never runs ahead.

The player looks at the same messages with the same rules as policy_node: what is due there is due here, so the chunks
depend on the bag and on seeds, not on the speed of the machine. They are those of `dp_ros replay`, bit for bit.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from lifecycle_msgs.srv import GetState
from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from dp_ros.bags.marks import EPISODE_TOPIC_SUFFIX, MARK_TYPE, Mark
from dp_ros.bags.reader import BagMessage
from dp_ros.bags.topics import absolute
from dp_ros.contract.binding import Binding
from dp_ros.errors import BagError, ConfigError, MessageError, StaleObservationError
from dp_ros.messages.stamps import header_ns
from dp_ros.nodes import qos
from dp_ros.nodes.play_params import PlayParams
from dp_ros.nodes.site import checkpoint_contract, checkpoint_path
from dp_ros.observation.intake import Intake, Source
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation_buffer import ObservationBuffer
from dp_ros.policy.due import DueRule, checkpoint_needs_goal, checkpoint_tick_ns

START_S = 180.0
_ANSWER_S, _AGAIN_S = 15.0, 1.0
# An executor takes at least one waiting message of each topic between two requests of a service.
_DRAIN = qos.JOINTS_DEPTH + 10
Until = Callable[[str, Callable[[], bool], float], None]


class Lockstep:
    """A shadow of policy_node's view of the graph.

    Args:
        node: whose graph it is.
        params: of the player.
        binding: which topic carries what.
        until: spins until a predicate holds: what for, predicate, longest time in seconds; raises after it.

    Attributes:
        waits: chunks that were waited for.
    """

    def __init__(self, node: Node, params: PlayParams, binding: Binding, until: Until):
        contract = checkpoint_contract(params.checkpoint)
        self._node, self._until, self._wait_s = node, until, params.wait_s
        limits = ObservationLimits(frozen_camera_ns=round(params.frozen_camera_s * 1e9))
        self._buffer = ObservationBuffer(contract, limits)
        namespace = node.get_namespace()
        intake = Intake(contract, binding, self._buffer)
        self._wanted = {absolute(source.topic, namespace): source for source in intake.sources}
        self._sources: dict[str, Source] = {}
        checkpoint = checkpoint_path(params.checkpoint)
        self._rule = DueRule(checkpoint_tick_ns(checkpoint), contract.timing.period_ns)
        self._needs_goal = checkpoint_needs_goal(checkpoint)
        self._goal, self._otherwise = '', params.instruction
        self._heard_ns: list[int] = []
        self._policy = params.policy
        self._preview = f'{params.policy}/preview'
        # Each tick ends in a preview, whether its chunk may move the arms or not.
        node.create_subscription(JointTrajectory, self._preview, self._on_preview, qos.RECORD_OUT)
        self._state = node.create_client(GetState, f'{params.policy}/get_state')
        self._reset = node.create_client(Trigger, f'{params.policy}/reset')
        takes = 'instruction' in contract.goals
        self._words = (
            node.create_publisher(String, f'{params.policy}/instruction', qos.LATCHED) if takes else None
        )
        self.waits = 0

    def start(self, publishers: Mapping[str, Any]) -> None:
        """Wait until the policy is active and listens to its topics.

        Args:
            publishers: by topic of the bag.

        Raises:
            ConfigError: it does not within three minutes, or the bag lacks one of its topics.
        """
        by_name = {publisher.topic_name: topic for topic, publisher in publishers.items()}
        missing = sorted(set(self._wanted) - set(by_name))
        if missing:
            raise ConfigError(
                f'the policy needs {missing}, which the player does not publish: {sorted(by_name)}'
            )
        self._sources = {by_name[name]: source for name, source in self._wanted.items()}
        self._until(f'{self._policy} to be active', self._is_active, START_S)
        listened = [publishers[topic] for topic in self._sources]
        self._until(
            f'{self._policy} to listen to {sorted(self._wanted)}',
            lambda: all(publisher.get_subscription_count() for publisher in listened),
            START_S,
        )
        preview = self._node.resolve_topic_name(self._preview)
        self._until(f'a publisher of {preview}', lambda: self._node.count_publishers(preview) > 0, START_S)
        self._instruct('')

    def after(self, message: BagMessage) -> bool:
        """Wait for what the policy owes for this message, which has just been published; whether it owed anything.

        Raises:
            ConfigError: it did not answer, or answered for another moment.
        """
        source = self._sources.get(message.topic)
        if source is None:
            return self._starts_episode(message)
        try:
            source.put(message.decode(), message.log_ns)
        except (BagError, MessageError):
            return False  # refused there as well, and counted
        stamp_ns = self._owed(message.log_ns)
        if stamp_ns is None:
            return False
        self._until(
            f'the chunk of {self._policy} for its observation at {stamp_ns} ns',
            lambda: bool(self._heard_ns),
            self._wait_s,
        )
        answered = self._heard_ns.pop(0)
        if answered != stamp_ns:
            raise ConfigError(
                f'{self._policy} answered for its observation at {answered} ns where {stamp_ns} ns was due: '
                'a message got lost, or its limits are not those of this player'
            )
        self.waits += 1
        return True

    def _owed(self, log_ns: int) -> int | None:
        newest = self._buffer.newest_observation_ns()
        waits = self._needs_goal and not self._goal
        if waits or newest is None or not self._rule.is_due(newest):
            return None
        try:
            stamp_ns = self._buffer.observe(log_ns).stamp_ns
        except (StaleObservationError, MessageError):
            return None
        if not self._rule.is_due(stamp_ns):
            return None
        self._rule.taken(stamp_ns)
        return stamp_ns

    def _starts_episode(self, message: BagMessage) -> bool:
        """At the start of an episode the policy begins anew, with its instruction and the noise of the next seed."""
        mark = start_mark(message.topic, message.type, lambda: message.decode().data)
        if mark is None:
            return False
        self._drain()
        if not self._ask(self._reset, Trigger.Request()).success:
            raise ConfigError(f'{self._policy}/reset refuses')
        self._heard_ns.clear()
        self._buffer.clear()
        self._rule.forget()
        self._instruct(mark.instruction)
        return True

    def _instruct(self, text: str) -> None:
        """Say what to do; an episode without words does not go on with those of the one before."""
        if self._words is None:
            return
        self._until(
            f'{self._policy} to listen to {self._words.topic_name}',
            self._words.get_subscription_count,
            _ANSWER_S,
        )
        self._goal = text or self._otherwise
        self._words.publish(String(data=self._goal))
        if not self._words.wait_for_all_acked(Duration(seconds=_ANSWER_S)):
            raise ConfigError(f'{self._policy} does not take {self._words.topic_name}')
        self._drain()

    def _drain(self) -> None:
        """After it the policy has taken whatever was published before."""
        for _ in range(_DRAIN):
            self._ask(self._state, GetState.Request())

    def _is_active(self) -> bool:
        """Asked again and again: a node that has just come up may lose the answer to its first question."""
        if not self._state.service_is_ready():
            return False
        future, end = self._state.call_async(GetState.Request()), time.monotonic() + _AGAIN_S
        self._until('an answer', lambda: future.done() or time.monotonic() > end, _ANSWER_S)
        return bool(future.done() and future.result().current_state.label == 'active')

    def _ask(self, client: Any, request: Any) -> Any:
        self._until(f'service {client.srv_name}', client.service_is_ready, _ANSWER_S)
        future = client.call_async(request)
        self._until(f'an answer of {client.srv_name}', future.done, _ANSWER_S)
        return future.result()

    def _on_preview(self, message: JointTrajectory) -> None:
        self._heard_ns.append(header_ns(message))


def start_mark(topic: str, kind: str, text: Callable[[], str]) -> Mark | None:
    """The mark of an episode's start, if a message is one."""
    if kind != MARK_TYPE or not topic.endswith(EPISODE_TOPIC_SUFFIX):
        return None
    try:
        mark = Mark.from_json(text())
    except BagError:
        return None
    return mark if mark.event == 'start' else None
