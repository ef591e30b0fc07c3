# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""policy_node: cameras and joints in, action chunks out. It moves nothing; action_node decides what moves.

Callbacks only store. One inference thread observes, predicts and publishes, and looks at the newest observation
only: a tick that took too long delays the next one, it never queues.
"""

import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, Float64MultiArray, MultiArrayDimension, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from dp_ros.errors import ConfigError, GoalError, MessageError, StaleObservationError, StoreError
from dp_ros.messages.image import decode_image
from dp_ros.messages.trajectory import times_of
from dp_ros.nodes import qos
from dp_ros.nodes.diagnostics import ERROR, OK, WARN, Percentiles, RateMeter, Status
from dp_ros.nodes.inference_worker import InferenceWorker
from dp_ros.nodes.lifecycle import ManagedNode
from dp_ros.nodes.params import PolicyParams
from dp_ros.nodes.process import run
from dp_ros.nodes.site import checkpoint_path, load_binding
from dp_ros.nodes.trajectories import trajectory_writer
from dp_ros.observation.image import crop_resize
from dp_ros.observation.intake import Intake, Source
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation_buffer import ObservationBuffer
from dp_ros.observation.observation_file import save_observation
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.goal import Goal
from dp_ros.policy.modes import make_controller
from dp_ros.policy.policy import Policy
from dp_ros.policy.runtime import use_backend
from dp_ros.policy.session import PolicySession, Tick

_TYPES = {
    'geometry_msgs/msg/PoseStamped': PoseStamped,
    'sensor_msgs/msg/CompressedImage': CompressedImage,
    'sensor_msgs/msg/Image': Image,
    'sensor_msgs/msg/JointState': JointState,
}
_QUIET_S = 1.0
_WORKER_END_S = 10.0


@dataclass(frozen=True)
class _Job:
    """Look at the newest observation; ``posted`` is when what made it due arrived (time.monotonic)."""

    posted: float
    probe: bool = False


class PolicyNode(ManagedNode[PolicyParams]):
    """See the module; topics and services are in :meth:`configure`."""

    def __init__(self) -> None:
        super().__init__('policy_node', PolicyParams)
        self._worker: InferenceWorker[_Job] | None = None
        self._active = False

    def configure(self) -> None:
        """Load the checkpoint (which tests itself), compare it with the robot, subscribe."""
        params = self.params
        binding = load_binding(params.binding)
        policy = load_checkpoint(checkpoint_path(params.checkpoint), params.device)
        intake = Intake(policy.contract, binding, self._buffer(policy))
        controller = self._controller(policy)
        self._session = PolicySession(controller, intake.buffer, params.seed)
        self._trouble = 'no observation yet'
        self._message_trouble = ''
        self._goal_trouble = ''
        self._broken = ''
        self._succeeded = time.monotonic()
        self._latency: dict[str, Percentiles] = {}
        self._rates = {
            name: RateMeter() for name in ('joints', *(c.name for c in policy.contract.cameras), 'chunks')
        }
        if params.instruction:
            self._session.set_goal(Goal(instruction=params.instruction))
        self._worker = InferenceWorker(self._infer, self._inference_failed)

        def publisher(kind: Any, topic: str) -> Any:
            return self.own(self.destroy_publisher, self.create_publisher(kind, topic, qos.COMMAND))

        self._chunks = publisher(JointTrajectory, '~/action_chunk')
        self._previews = publisher(JointTrajectory, '~/preview')
        self._latencies = publisher(Float64MultiArray, '~/latency')
        self._writer = trajectory_writer()
        self.own(self.destroy_service, self.create_service(Trigger, '~/reset', self._on_reset))

        def subscribe(kind: Any, topic: str, callback: Any, profile: Any) -> None:
            self.own(self.destroy_subscription, self.create_subscription(kind, topic, callback, profile))

        subscribe(String, '~/instruction', self._on_instruction, qos.LATCHED)
        subscribe(Image, '~/goal_image', self._on_goal_image, qos.LATCHED)
        subscribe(Bool, params.engaged_topic, self._on_engaged, qos.LATCHED)
        for source in intake.sources:
            depth = qos.JOINTS_DEPTH if source.stream == 'joints' else qos.IMAGES_DEPTH
            subscribe(
                _TYPES[source.type],
                source.topic,
                partial(self._on_message, source),
                qos.sensor(source.qos, depth),
            )
        self.get_logger().info(
            f'policy {policy.contract.name!r} ({policy.contract.hash[:8]}) on {params.device}, '
            f'backend {self._backend}, fits binding {binding.name!r}: {controller.control.text}'
        )

    def activate(self) -> None:
        """Begin to tick, with nothing from before."""
        self._broken = ''
        self._session.restart()
        self._active = True

    def deactivate(self) -> None:
        """Stop ticking; a prediction under way is dropped."""
        self._active = False
        self._session.restart()
        if self._worker is not None:
            self._worker.drain(_WORKER_END_S)

    def release(self) -> None:
        """Join the inference thread, unsubscribe, free the network."""
        self._active = False
        if self._worker is not None and not self._worker.close(_WORKER_END_S):
            raise ConfigError(f'the inference thread does not end within {_WORKER_END_S:.0f} s')
        self._worker = None
        self.disown()
        for name in ('_session', '_chunks', '_previews', '_latencies'):
            self.__dict__.pop(name, None)

    def _controller(self, policy: Policy) -> Any:
        control = policy.config.control
        if self.params.mode:
            control = replace(control, mode=self.params.mode)
        if self.params.restart_sigma:
            control = replace(control, restart_sigma=self.params.restart_sigma)
        if self.params.evaluations_per_tick:
            control = replace(control, evaluations=self.params.evaluations_per_tick)
        if self.params.guidance >= 0:
            control = replace(control, guidance=self.params.guidance)
        if self.params.goal_free:
            control = replace(control, goal_free=True)
        controller = make_controller(policy, self.params.seed, control)
        checkpoint = checkpoint_path(self.params.checkpoint)
        self._backend = use_backend(controller, self.params.backend, checkpoint, self.params.threads)
        return controller

    def _buffer(self, policy: Policy) -> ObservationBuffer:
        names = (
            'max_image_age',
            'max_joint_age',
            'max_camera_skew',
            'joint_gap',
            'max_future',
            'frozen_camera',
        )
        limits = {f'{name}_ns': round(getattr(self.params, f'{name}_s') * 1e9) for name in names}
        return ObservationBuffer(policy.contract, ObservationLimits(**limits))

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_message(self, source: Source, message: Any) -> None:
        try:
            source.put(message, self._now_ns())
        except MessageError as error:
            self._message_trouble = str(error)
            self.get_logger().warning(str(error), throttle_duration_sec=1.0)
            return
        self._rates[source.stream].hit()
        self._consider()

    def _on_engaged(self, message: Bool) -> None:
        self._session.set_engaged(message.data)

    def _on_instruction(self, message: String) -> None:
        """The same words again change nothing, so that they may be repeated; no words withdraw the goal."""
        goal = self._session.goal
        if message.data == ('' if goal is None or goal.instruction is None else goal.instruction):
            return
        self._take_goal(lambda: Goal(instruction=message.data) if message.data.strip() else None)

    def _on_goal_image(self, message: Image) -> None:
        def goal() -> Goal:
            cameras = self._session.contract.cameras
            if not cameras:
                raise GoalError('the policy sees no camera, so that no picture can be its goal')
            return Goal(image=crop_resize(decode_image(message), cameras[0]))

        self._take_goal(goal)

    def _take_goal(self, make: Callable[[], Goal | None]) -> None:
        try:
            goal = make()
            self._session.set_goal(goal)
        except (GoalError, ConfigError, MessageError) as error:
            self._goal_trouble = f'goal refused: {error}'
            self.get_logger().error(self._goal_trouble)
            return
        self._goal_trouble = ''
        self.get_logger().info(f'new goal: {goal or "none"}')
        self._consider()

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._session.reset()
        self._broken = ''
        response.success, response.message = True, 'observations forgotten, new epoch'
        return response

    def _consider(self) -> None:
        if self._active and not self._broken and self._worker is not None and self._session.due():
            self._worker.post(_Job(time.monotonic()))

    def _infer(self, job: '_Job') -> None:
        """In the inference thread. A probe looks why nothing is due; its refusal says so in /diagnostics."""
        if not self._active or not (job.probe or self._session.due()):
            return
        began = time.monotonic()
        try:
            tick = self._session.tick(self._now_ns())
        except (StaleObservationError, MessageError, GoalError) as error:
            self._trouble = str(error)
            return
        self._trouble, self._succeeded = '', time.monotonic()
        if tick is None:
            return
        done = time.perf_counter()
        chunk = tick.chunk
        # Once for both topics; the bytes are published as they are.
        message = self._writer.write(
            chunk.stamp_ns, chunk.id, chunk.joint_names, times_of(chunk), chunk.positions
        )
        # The chunk first: sim_node takes a preview without a chunk for the answer of a policy that is not engaged.
        if tick.engaged:
            self._chunks.publish(message)
        self._previews.publish(message)
        self._rates['chunks'].hit()
        stages = {'queue': 1e3 * (began - job.posted), **tick.stage_ms}
        stages['publish'] = 1e3 * (time.perf_counter() - done)
        stages['total'] = 1e3 * (time.monotonic() - job.posted)
        self._report_latency(tick, stages)
        if self.params.record_observations:
            try:
                save_observation(Path(self.params.record_observations), tick.observation)
            except StoreError as error:
                self.get_logger().warning(str(error), throttle_duration_sec=5.0)

    def _inference_failed(self, error: Exception) -> None:
        self._broken = f'inference failed: {type(error).__name__}: {error}'
        self.get_logger().error(f'{self._broken}; call ~/reset to go on\n{traceback.format_exc()}')

    def _report_latency(self, tick: Tick, stages: dict[str, float]) -> None:
        for stage, value in stages.items():
            self._latency.setdefault(stage, Percentiles()).add(value)
        message = Float64MultiArray(data=list(stages.values()))
        message.layout.dim = [MultiArrayDimension(label=stage, size=1, stride=1) for stage in stages]
        self._latencies.publish(message)

    def status(self) -> Iterable[Status]:
        """The named state, rates and ages of what arrives, latency by stage, counters."""
        now = self._now_ns()
        quiet = time.monotonic() - self._succeeded > _QUIET_S
        if self._active and quiet and self._worker is not None:
            self._worker.post(_Job(time.monotonic(), probe=True))
        level, state = self._state(now, quiet)
        values: dict[str, object] = {
            f'{stream}_age_s': 'never' if age is None else age * 1e-9
            for stream, age in self._session.buffer.ages(now).items()
        }
        values |= {f'{name}_hz': meter.rate_hz for name, meter in self._rates.items()}
        yield Status('observation', level, state, values)
        yield self._goal_status()
        summary: dict[str, str] = {}
        # A copy: the inference thread adds a stage when it first measures it.
        for stage, latency in list(self._latency.items()):
            summary |= latency.summary(stage)
        yield Status('latency', OK, 'milliseconds by stage', summary)
        counters = self._session.counters | self._session.buffer.counters
        if self._worker is not None:
            counters |= {'replaced_jobs': self._worker.replaced, 'failed_jobs': self._worker.failed}
        yield Status('counters', OK, 'since configuring', counters)

    def _goal_status(self) -> Status:
        """Which goal is followed; a refused one does not end the one before."""
        goal, legal = self._session.goal, self._session.contract.goals
        values = {'takes': ', '.join(legal) or 'none', 'goal': str(goal or 'none')}
        if self._goal_trouble:
            return Status('goal', WARN, self._goal_trouble, values)
        if self._session.waits_for_goal:
            return Status('goal', ERROR, f'waiting for a goal: {" or ".join(legal)}', values)
        return Status('goal', OK, str(goal or ('goal-free' if legal else 'none needed')), values)

    def _state(self, now_ns: int, quiet: bool) -> tuple[bytes, str]:
        """Level and named state."""
        if self._broken:
            return ERROR, self._broken
        if not self._active:
            return OK, 'inactive'
        if not now_ns:
            return WARN, 'waiting for /clock (use_sim_time is set)'
        if quiet:
            troubles = [text for text in (self._trouble, self._message_trouble) if text]
            return ERROR, '; '.join(troubles) or 'waiting'
        self._message_trouble = ''
        return OK, 'ticking, engaged' if self._session.engaged else 'ticking, preview only'


def main() -> int:
    """Entry point of the executable."""
    return run(PolicyNode)


if __name__ == '__main__':
    sys.exit(main())
