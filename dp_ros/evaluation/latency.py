# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Latency of one tick by stage, beside what a matrix product reaches in the same run."""

import time
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from dp_ros.action.limits import MotionLimits
from dp_ros.action.plan import CommittedPlan
from dp_ros.evaluation.closed_loop import START_NS, Motion
from dp_ros.evaluation.statistics import percentiles
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation_buffer import ObservationBuffer
from dp_ros.policy.goal import Goal
from dp_ros.policy.policy import Policy
from dp_ros.policy.streaming import Controller

POINT_NS = 20_000_000


def measure_ticks(controller: Controller, ticks: int, warmup: int = 20, seed: int = 0) -> dict[str, Any]:
    """Run ticks on random pictures and joints, from camera image to stamped window.

    Args:
        controller: a policy in motion; its default control is what gets measured.
        ticks: counted ticks.
        warmup: ticks before them that are not counted.
        seed: of the pictures and joints.

    Returns:
        Percentiles in milliseconds by stage ('observe' is crop, resampling and alignment; 'plan' is joining the
        chunk and cutting one window), the floating-point operations of a tick, the rate of a matrix product in
        this run, the bound that follows, and the ratio of the network's and encoder's median to it.
    """
    policy = controller.policy
    contract, motion = policy.contract, Motion()
    if controller.waits_for_goal:
        controller.set_goal(_any_goal(policy))
    # Any limits cost the same; without a robot there are none to take.
    limits = MotionLimits.of(len(contract.joint_names), velocity=3.0, acceleration=8.0)
    rng = np.random.default_rng(seed)
    pictures = {
        c.name: [rng.integers(0, 256, (*c.source_size, 3), dtype=np.uint8) for _ in range(4)]
        for c in contract.cameras
    }
    pose = policy.proprio.mean.numpy()
    buffer = ObservationBuffer(contract, ObservationLimits(frozen_camera_ns=0))
    plan = CommittedPlan.hold(pose, START_NS, POINT_NS, limits)
    stages: dict[str, list[float]] = {}
    rates = []
    for k in range(-warmup, ticks):
        now = START_NS + (k + warmup) * controller.tick_ns
        if k % 25 == 0:
            rates.append(matmul_rate(policy.device))
        start = time.perf_counter()
        buffer.push_joints(now, contract.joint_names, pose + rng.normal(0, 1e-3, pose.shape))
        for name, images in pictures.items():
            buffer.push_image(name, now, partial(np.asarray, images[k % 4]))
        for vector in contract.vectors:
            buffer.push_vector(vector.name, now, rng.normal(size=vector.dim))
        observation = buffer.observe(now)
        observed = time.perf_counter()
        chunk = controller.tick(observation)
        ticked = time.perf_counter()
        plan = plan.joined(chunk, now, motion.freeze_ns).plan
        plan.window(now, motion.past_ns, motion.future_ns)
        done = time.perf_counter()
        if k >= 0:
            took = {
                'observe': 1e3 * (observed - start),
                **controller.stage_ms,
                'plan': 1e3 * (done - ticked),
                'total': 1e3 * (done - start),
            }
            for stage, ms in took.items():
                stages.setdefault(stage, []).append(ms)
    operations = tick_flops(policy, controller)
    rate = float(np.median(rates))
    bound_ms = 1e3 * operations / rate
    network_ms = float(np.median(np.add(stages['encode'], stages['network'])))
    return {
        'stages_ms': {stage: asdict(percentiles(values)) for stage, values in stages.items()},
        'flop': operations,
        'matmul_gflops': rate / 1e9,
        'bound_ms': bound_ms,
        'ratio_to_bound': network_ms / bound_ms,
        'threads': torch.get_num_threads(),
        'device': str(policy.device),
    }


def matmul_rate(device: torch.device, size: int = 512, repeats: int = 5) -> float:
    """Floating-point operations per second of a square matrix product, the best of a few."""
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    best = float('inf')
    for _ in range(repeats):
        start = time.perf_counter()
        a @ b
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def _any_goal(policy: Policy) -> Goal:
    if policy.contract.goals[0] == 'instruction':
        return Goal(instruction=policy.instructions.texts[0])
    return Goal(image=np.zeros((*policy.contract.cameras[0].size, 3), np.uint8))


def tick_flops(policy: Policy, controller: Controller) -> int:
    """Operations of encoding one observation and of the tick's network evaluations."""
    example = policy.contract.example()
    # The goal is encoded once for many ticks and does not count.
    goal_RD = policy.goal_tokens(controller.goal, controller.control.guidance)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        context = policy.encode(example['proprio'], example['images'], example['vectors'], goal_RD)
        tokens = policy.hold_tokens(example['proprio'])
        sigma = torch.ones(tokens.shape[:2], device=policy.device)
        denoise = controller.denoiser(context, 'tick' if controller.control.mode == 'streaming' else 'full')
        for _ in range(controller.control.evaluations):
            denoise(tokens, sigma)
    return int(counter.get_total_flops())
