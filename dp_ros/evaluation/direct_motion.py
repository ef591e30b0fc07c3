# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One closed-loop episode of a benchmark that takes set points as they are: no motion plan, no limits, no controller.

A chunk's row i is in force from its stamp + i periods on (zero-order hold) until the next one, or until a newer chunk
comes; one control period is one period of the contract.
"""

import time
from functools import partial

import numpy as np

from dp_ros.errors import ConfigError
from dp_ros.evaluation.closed_loop import START_NS, EpisodeLog
from dp_ros.evaluation.disturbance import Disturbance
from dp_ros.evaluation.goals import GoalChoice
from dp_ros.evaluation.record import EpisodeRecord, FrameRecord
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation_buffer import ObservationBuffer
from dp_ros.policy.controller import Controller
from dp_ros.simulation.robot import SimulatedRobot


def run_direct_episode(
    robot: SimulatedRobot,
    controller: Controller,
    seed: int,
    goal: GoalChoice | None = None,
    frame_every: int = 0,
    disturbance: Disturbance | None = None,
) -> EpisodeRecord:
    """Reset robot and policy, ask for the episode's goal, then run until the benchmark says that it is done.

    Args:
        robot: a direct one.
        controller: the policy in motion; starts a new epoch whose noise follows from its own seed.
        seed: of the robot's reset.
        goal: what the policy is asked; None: the first kind of its contract.
        frame_every: keep a picture of the first camera each so many control steps; 0 keeps none.
        disturbance: of the object or the goal; None leaves them where they are.

    Raises:
        ConfigError: the robot's control period is not the period of the policy's contract.
        GoalError: the policy does not take this kind of goal, or the task has none.
    """
    began = time.perf_counter()
    contract, period = controller.policy.contract, robot.control_period_ns
    if contract.timing.period_ns != period:
        raise ConfigError(
            f'a direct task takes one row a control step of {period} ns; the period of contract {contract.name!r} '
            f'is {contract.timing.period_ns} ns'
        )
    robot.reset(seed)
    controller.set_goal((goal or GoalChoice()).of(robot, contract))
    controller.reset(controller.seed)
    # Simulated pictures carry no noise, so identical ones are no sign of a frozen camera.
    buffer = ObservationBuffer(contract, ObservationLimits(frozen_camera_ns=0))
    planned = disturbance.of(robot, seed) if disturbance else None
    log = EpisodeLog(robot)
    while not robot.result().done:
        now = START_NS + len(log.times) * period
        if planned is not None and planned.due(len(log.times)):
            log.disturbed()
        measured = robot.joint_positions()
        buffer.push_joints(now, contract.joint_names, measured)
        # Every moment of the history is one at which the robot was observed.
        for name, values in robot.vectors().items():
            buffer.push_vector(name, now, values)
        due = (now - START_NS) % controller.tick_ns == 0
        if due or contract.timing.obs_horizon > 1:
            for camera in contract.cameras:
                buffer.push_image(camera.name, now, partial(np.asarray, robot.render(camera.name)))
        if due:
            chunk = controller.tick(buffer.observe(now))
            log.chunk(now, chunk.positions, controller.stage_ms)
        if frame_every and len(log.times) % frame_every == 0 and contract.cameras:
            log.frames.append(FrameRecord.encode(now, robot.render(contract.cameras[0].name)))
        row = min((now - chunk.stamp_ns) // period, len(chunk.positions) - 1)
        robot.step(chunk.positions[row])
        log.step(now, measured, chunk.positions[row])
    if frame_every and contract.cameras:
        end = START_NS + len(log.times) * period
        log.frames.append(FrameRecord.encode(end, robot.render(contract.cameras[0].name)))
    return log.record(robot.result(), time.perf_counter() - began)
