# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One closed-loop episode without ROS: the same observation, plan and controller code that the nodes run.

Time is the simulator's. At every tick the policy sees the state and the picture of this very moment and its chunk
joins the plan at once, as in the lockstep mode of the nodes: what differs from the graph is only the transport.
"""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np

from dp_ros.action.limits import MotionLimits
from dp_ros.action.plan import CommittedPlan
from dp_ros.action.reference import SoftStart
from dp_ros.contract.binding import Binding
from dp_ros.evaluation.disturbance import Disturbance
from dp_ros.evaluation.goals import GoalChoice
from dp_ros.evaluation.record import ChunkRecord, EpisodeRecord, FrameRecord
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation_buffer import ObservationBuffer
from dp_ros.policy.controller import Controller
from dp_ros.share import share_path
from dp_ros.simulation.joint_trajectory_controller import JointTrajectoryController
from dp_ros.simulation.robot import EpisodeResult, SimulatedRobot

MS = 1_000_000
# Any time but zero, which ROS reads as "no stamp".
START_NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How chunks become commands; the same numbers as action_node's parameters for the simulated robot.

    Attributes:
        freeze_ns: the plan's next stretch that a new chunk must not change.
        soft_start_ns: ramp from where the arms are to what the policy wants.
        past_ns, future_ns: reach of the window around now.
        limits: what the commands keep; None: those of the task's own binding.
    """

    freeze_ns: int = 80 * MS
    soft_start_ns: int = 1000 * MS
    past_ns: int = 40 * MS
    future_ns: int = 160 * MS
    limits: MotionLimits | None = None

    def limits_of(self, robot: SimulatedRobot) -> MotionLimits:
        """The limits of the robot's joints, as its nodes take them from its binding."""
        if self.limits is not None:
            return self.limits
        binding = Binding.from_yaml(share_path('config', 'bindings', f'{robot.binding}.yaml'))
        return MotionLimits.of_joints(binding.limits(robot.contract.joint_names))


def run_episode(
    robot: SimulatedRobot,
    controller: Controller,
    seed: int,
    motion: Motion | None = None,
    frame_every: int = 0,
    goal: GoalChoice | None = None,
    disturbance: Disturbance | None = None,
) -> EpisodeRecord:
    """Reset robot and policy, then run to the episode's last step.

    Args:
        robot: the simulated robot.
        controller: the policy in motion; starts a new epoch whose noise follows from its own seed.
        seed: of the robot's reset.
        motion: how chunks become commands.
        frame_every: keep a picture of the first camera each so many control steps; 0 keeps none.
        goal: what the policy is asked; None: the first kind of its contract.
        disturbance: of the object; None leaves it where it is.
    """
    motion = motion or Motion()
    began = time.perf_counter()
    contract, period = controller.policy.contract, robot.control_period_ns
    robot.reset(seed)
    controller.set_goal((goal or GoalChoice()).of(robot, contract))
    controller.reset(controller.seed)
    # Simulated pictures carry no noise, so identical ones are no sign of a frozen camera.
    buffer = ObservationBuffer(contract, ObservationLimits(frozen_camera_ns=0))
    plan = CommittedPlan.hold(robot.joint_positions(), START_NS, period, motion.limits_of(robot))
    arms = [
        (columns, JointTrajectoryController(arm.joint_names, period))
        for arm, columns in zip(contract.embodiment.arms, contract.embodiment.slices.values(), strict=True)
    ]
    for columns, jtc in arms:
        jtc.reset(robot.joint_positions()[columns])
    soft_start = SoftStart(robot.joint_positions(), START_NS, motion.soft_start_ns)
    planned = disturbance.of(robot, seed) if disturbance else None
    log = EpisodeLog(robot)
    for step in range(robot.episode_steps):
        now = START_NS + step * period
        if planned is not None and planned.due(step):
            log.disturbed()
        measured = robot.joint_positions()
        buffer.push_joints(now, contract.joint_names, measured)
        if (step * period) % controller.tick_ns == 0:
            for name, values in robot.vectors().items():
                buffer.push_vector(name, now, values)
            for camera in contract.cameras:
                picture = robot.render(camera.name)
                buffer.push_image(camera.name, now, partial(np.asarray, picture))
            chunk = controller.tick(buffer.observe(now))
            plan = plan.joined(chunk, now, motion.freeze_ns, soft_start=soft_start).plan
            log.chunk(now, chunk.positions, controller.stage_ms)
        window = plan.window(now, motion.past_ns, motion.future_ns)
        command = np.empty(len(contract.joint_names))
        for columns, jtc in arms:
            part = window.for_arm(columns)
            jtc.accept(now, part.stamp_ns, jtc.joint_names, part.times_ns, part.positions, part.velocities)
            command[columns], _ = jtc.update(now, measured[columns])
        if frame_every and step % frame_every == 0:
            log.frames.append(FrameRecord.encode(now, robot.render(contract.cameras[0].name)))
        robot.step(command)
        log.step(now, measured, command)
    return log.record(robot.result(), time.perf_counter() - began)


class EpisodeLog:
    """What happens in one episode, as it happens."""

    def __init__(self, robot: SimulatedRobot) -> None:
        self._robot = robot
        self._success_s: float | None = None
        self._disturbed_s: float | None = None
        self.times: list[int] = []
        self.measured: list[np.ndarray] = []
        self.commanded: list[np.ndarray] = []
        self.chunks: list[ChunkRecord] = []
        self.frames: list[FrameRecord] = []
        self.latency: dict[str, list[float]] = {}

    def record(self, result: EpisodeResult, wall_s: float) -> EpisodeRecord:
        """The whole episode."""
        return EpisodeRecord(
            seed=result.seed,
            success=result.success,
            strict_success=result.strict_success,
            max_reward=result.max_reward,
            steps=result.steps,
            times_ns=np.array(self.times),
            measured=np.array(self.measured),
            commanded=np.array(self.commanded),
            chunks=self.chunks,
            frames=self.frames,
            latency_ms=self.latency,
            counters={'ticks': len(self.chunks)},
            wall_s=wall_s,
            success_s=self._success_s,
            disturbed_s=self._disturbed_s,
            measures=dict(result.measures),
        )

    def disturbed(self) -> None:
        """The object was moved, before the next control step."""
        self._disturbed_s = self._elapsed_s()

    def _elapsed_s(self) -> float:
        return len(self.times) * self._robot.control_period_ns * 1e-9

    def chunk(self, now_ns: int, positions: np.ndarray, stages: dict[str, float]) -> None:
        """The policy predicted a chunk, in so many milliseconds by stage."""
        self.chunks.append(ChunkRecord(now_ns, positions))
        for stage, ms in stages.items():
            self.latency.setdefault(stage, []).append(ms)

    def step(self, now_ns: int, measured: np.ndarray, command: np.ndarray) -> None:
        """A control step that was made: where the joints were, and what they were told."""
        self.times.append(now_ns)
        self.measured.append(measured)
        self.commanded.append(command)
        if self._success_s is None and self._robot.result().success:
            self._success_s = self._elapsed_s()
