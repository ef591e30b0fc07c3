# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""How fast training goes: the steps of a run, timed stage by stage."""

import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from dp_ros.training.data import TrainingData
from dp_ros.training.distributed import World
from dp_ros.training.experiment import Experiment
from dp_ros.training.step import Trainee

STAGES = ('data', 'forward', 'backward', 'optimiser', 'average')
"""data: windows out of the store, normalised, with their noise. average: the moving average of the weights."""


@dataclass(frozen=True)
class StepTimes:
    """Of many steps.

    Attributes:
        stages_s: stage to its wall time in each step, seconds.
        cpu_s: processor time of all threads in each step, seconds.
        losses: the weighted sum in each step: the curve that a faster loop must have as well.
        flop: floating-point operations of one step, those of matrix products and convolutions.
        parameters: of the network.
    """

    stages_s: dict[str, list[float]]
    cpu_s: list[float]
    losses: list[float]
    flop: int
    parameters: int


def time_steps(
    experiment: Experiment, data: TrainingData, device: str, steps: int, warmup: int, compiled: bool = False
) -> StepTimes:
    """Run the first steps of the experiment's training, and write nothing.

    Args:
        experiment: the resolved experiment.
        data: of its store.
        device: of the network.
        steps: counted steps.
        warmup: at least 1, steps before them that are not counted; the first counts the operations.
        compiled: see :meth:`~dp_ros.training.step.Trainee.compile`.
    """
    place = World(rank=0, size=1, device=torch.device(device))
    trainee = Trainee(experiment, data, place)
    clock = _Clock(place.device)
    with FlopCounterMode(display=False) as counter:
        trainee.step(0)
    if compiled:
        trainee.compile()  # after the count, which would keep it from happening
    cpu_s: list[float] = []
    losses: list[float] = []
    for step in range(1, warmup + steps):
        if step == warmup:
            clock.stages_s.clear()
            cpu_s.clear()
            losses.clear()
        cpu_start = time.process_time()
        clock.start()
        batch = trainee.batch(step)
        clock.stop('data')
        terms = trainee.terms(batch)
        clock.stop('forward')
        trainee.backward(terms)
        clock.stop('backward')
        trainee.optimise(step)
        clock.stop('optimiser')
        trainee.follow(step)
        clock.stop('average')
        cpu_s.append(time.process_time() - cpu_start)
        losses.append(sum(weight * float(value.detach()) for weight, value in terms.values()))
    parameters = sum(p.numel() for p in trainee.network.parameters())
    return StepTimes(clock.stages_s, cpu_s, losses, int(counter.get_total_flops()), parameters)


class _Clock:
    def __init__(self, device: torch.device):
        self._device = device
        self._last = 0.0
        self.stages_s: dict[str, list[float]] = {}

    def start(self) -> None:
        self._last = time.perf_counter()

    def stop(self, stage: str) -> None:
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        self.stages_s.setdefault(stage, []).append(now - self._last)
        self._last = now
