# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Latency of one tick by stage, of several backends in turn, beside what the same machine could reach at the time."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dp_ros.action.limits import MotionLimits
from dp_ros.action.plan import CommittedPlan
from dp_ros.evaluation.closed_loop import START_NS, Motion
from dp_ros.evaluation.statistics import percentiles
from dp_ros.model.blocks import Block
from dp_ros.observation.limits import ObservationLimits
from dp_ros.observation.observation_buffer import ObservationBuffer
from dp_ros.policy.controller import Controller
from dp_ros.policy.goal import Goal
from dp_ros.policy.policy import Policy

POINT_NS = 20_000_000
ROUND = 25
# A round begins with ticks that do not count: the one before it left its own weights in the caches.
_SETTLING = 3


def measure_ticks(
    controllers: Mapping[str, Controller], ticks: int, warmup: int = 20, seed: int = 0
) -> dict[str, Any]:
    """Run ticks on random pictures and joints, from camera image to stamped window, in rounds of one after the other.

    Args:
        controllers: of one policy, by a name for each; their control is what gets measured.
        ticks: counted ticks of each.
        warmup: ticks of each before them that are not counted.
        seed: of the pictures and joints.

    Returns:
        For each name percentiles in milliseconds by stage ('observe' is crop, resampling and alignment; 'tick' is what
        follows up to the chunk, 'plan' joining the chunk and cutting one window), and the ratio of the medians of
        encoding and network to the bound; the bound: work of a tick over what a matrix product and a copy reached
        between the rounds.
    """
    benches = {name: _Bench(controller, seed) for name, controller in controllers.items()}
    first = next(iter(controllers.values()))
    device, work = first.policy.device, tick_work(first)
    for bench in benches.values():
        bench.run(warmup, counted=False)
    matmul, copy = [], []
    done = 0
    while done < ticks:
        count = min(ROUND, ticks - done)
        for bench in benches.values():
            matmul.append(matmul_rate(device))
            copy.append(copy_rate(device, max(part.bytes for part in work.values())))
            bench.run(_SETTLING if warmup else 0, counted=False)
            bench.run(count)
        done += count
    rate, moved = float(np.median(matmul)), float(np.median(copy))
    bound_ms = 1e3 * sum(max(part.flop / rate, part.bytes / moved) for part in work.values())
    return {
        'backends': {name: bench.figures(bound_ms) for name, bench in benches.items()},
        'work': {name: asdict(part) for name, part in work.items()},
        'flop': sum(part.flop for part in work.values()),
        'matmul_gflops': rate / 1e9,
        'copy_gbytes': moved / 1e9,
        'bound_ms': bound_ms,
        'threads': torch.get_num_threads(),
        'device': str(device),
    }


class _Bench:
    """One controller between a camera and a plan."""

    def __init__(self, controller: Controller, seed: int):
        self._controller, self._contract = controller, controller.policy.contract
        if controller.waits_for_goal:
            controller.set_goal(_any_goal(controller.policy))
        # Any limits cost the same; without a robot there are none to take.
        limits = MotionLimits.of(len(self._contract.joint_names), velocity=3.0, acceleration=8.0)
        self._rng = np.random.default_rng(seed)
        self._pictures = {
            c.name: [self._rng.integers(0, 256, (*c.source_size, 3), dtype=np.uint8) for _ in range(4)]
            for c in self._contract.cameras
        }
        self._pose = controller.policy.proprio.mean.numpy()
        self._buffer = ObservationBuffer(self._contract, ObservationLimits(frozen_camera_ns=0))
        self._plan = CommittedPlan.hold(self._pose, START_NS, POINT_NS, limits)
        self._ticks = 0
        self._stages: dict[str, list[float]] = {}

    def run(self, ticks: int, counted: bool = True) -> None:
        """So many ticks in a row."""
        for _ in range(ticks):
            took = self._tick()
            if counted:
                for stage, ms in took.items():
                    self._stages.setdefault(stage, []).append(ms)

    def figures(self, bound_ms: float) -> dict[str, Any]:
        """What the counted ticks took."""
        stages = self._stages
        network_ms = float(np.median(np.add(stages['encode'], stages['network'])))
        return {
            'stages_ms': {stage: asdict(percentiles(values)) for stage, values in stages.items()},
            'ratio_to_bound': network_ms / bound_ms,
        }

    def _tick(self) -> dict[str, float]:
        contract, motion, rng = self._contract, Motion(), self._rng
        now = START_NS + self._ticks * self._controller.tick_ns
        start = time.perf_counter()
        self._buffer.push_joints(
            now, contract.joint_names, self._pose + rng.normal(0, 1e-3, self._pose.shape)
        )
        for name, images in self._pictures.items():
            self._buffer.push_image(name, now, partial(np.asarray, images[self._ticks % 4]))
        for vector in contract.vectors:
            self._buffer.push_vector(vector.name, now, rng.normal(size=vector.dim))
        observation = self._buffer.observe(now)
        observed = time.perf_counter()
        chunk = self._controller.tick(observation)
        ticked = time.perf_counter()
        self._plan = self._plan.joined(chunk, now, motion.freeze_ns).plan
        self._plan.window(now, motion.past_ns, motion.future_ns)
        done = time.perf_counter()
        self._ticks += 1
        return {
            'observe': 1e3 * (observed - start),
            **self._controller.stage_ms,
            'tick': 1e3 * (ticked - observed),
            'plan': 1e3 * (done - ticked),
            'total': 1e3 * (done - start),
        }


@dataclass(frozen=True)
class Work:
    """Of one part of a tick.

    Attributes:
        flop: floating-point operations of products and convolutions.
        bytes: weights that have to be read.
    """

    flop: int
    bytes: int


def matmul_rate(device: torch.device, repeats: int = 5) -> float:
    """Floating-point operations per second of a square matrix product, the best of a few.

    On CUDA in bfloat16 and large, as what it stands for there.
    """
    cuda = device.type == 'cuda'
    size, kind = (4096, torch.bfloat16) if cuda else (512, torch.float32)
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    return 2 * size**3 / _best(lambda: a @ b, device, repeats)


def copy_rate(device: torch.device, count: int, repeats: int = 5) -> float:
    """Bytes read and written per second by a copy of ``count`` bytes, the best of a few.

    Of as many bytes as a tick reads, so that it finds the caches as the tick does.
    """
    a, b = (torch.zeros(max(count, 4096), dtype=torch.uint8, device=device) for _ in range(2))
    return 2 * len(a) / _best(lambda: b.copy_(a), device, repeats)


def _best(call: Any, device: torch.device, repeats: int) -> float:
    best = float('inf')
    for _ in range(1 + repeats):
        start = time.perf_counter()
        call()
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best


def _any_goal(policy: Policy) -> Goal:
    if policy.contract.goals[0] == 'instruction':
        return Goal(instruction=policy.instructions.texts[0])
    return Goal(image=np.zeros((*policy.contract.cameras[0].size, 3), np.uint8))


def tick_work(controller: Controller) -> dict[str, Work]:
    """Work of encoding one observation, and of the tick's network evaluations, each of which reads its weights."""
    policy, control = controller.policy, controller.control
    example = policy.contract.example()
    # The goal is encoded once for many ticks and does not count.
    goal_RD = policy.goal_tokens(controller.goal, control.guidance)
    with FlopCounterMode(display=False) as encoding, torch.inference_mode():
        context = policy.encode(example['proprio'], example['images'], example['vectors'], goal_RD)
    tokens = policy.hold_tokens(example['proprio'])
    sigma = torch.ones(tokens.shape[:2], device=policy.device)
    denoise = controller.denoiser(context, controller.tick_schedule)
    with FlopCounterMode(display=False) as evaluating, torch.inference_mode():
        for _ in range(control.evaluations):
            denoise(tokens, sigma)
    encoders, evaluated = _weights(policy, controller)
    size = 2 if policy.device.type == 'cuda' else 4
    return {
        'encode': Work(int(encoding.get_total_flops()), size * encoders),
        'network': Work(int(evaluating.get_total_flops()), size * evaluated * control.evaluations),
    }


def _weights(policy: Policy, controller: Controller) -> tuple[int, int]:
    # Of the encoders, and of what every evaluation reads: where experts are fused those of one evaluation.
    network = policy.network

    def count(*modules: nn.Module) -> int:
        return sum(parameter.numel() for module in modules for parameter in module.parameters())

    goal: list[nn.Module] = [network.goals] if network.goals is not None else []
    optional = [
        part for part in (network.goal_summary, network.fusion, network.fusion_summary) if part is not None
    ]
    cross = [block.cross_attention.key_value for block in network.blocks if isinstance(block, Block)]
    encoders = count(
        network.camera_encoders,
        network.proprio_encoder,
        network.vector_encoders,
        network.goal_films,
        network.summary,
        *optional,
        *cross,
    )
    evaluated = count(network) - encoders - count(*goal)
    if controller.plan is not None:
        evaluated -= count(*network.experts())
        for experts, chosen in zip(
            network.experts(), controller.plan.chosen[controller.tick_schedule][0], strict=True
        ):
            evaluated += sum(part.numel() for part in experts.fused(chosen))
    return encoders, evaluated
