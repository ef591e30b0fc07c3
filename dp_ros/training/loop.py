# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The one training loop."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from dp_ros.errors import ConfigError
from dp_ros.policy.policy import Policy
from dp_ros.training.data import TrainingData, load_data
from dp_ros.training.distributed import World, world
from dp_ros.training.experiment import Experiment
from dp_ros.training.snapshot import load_snapshot, save_snapshot
from dp_ros.training.step import Trainee
from dp_ros.training.validation import validate


@dataclass(frozen=True)
class TrainingResult:
    """The policy with averaged weights, its last validation figures, its data, and whether to write files."""

    policy: Policy
    figures: dict[str, float]
    data: TrainingData
    is_main: bool


def train(
    experiment: Experiment,
    out: Path,
    device: str = 'cpu',
    stop_after: int | None = None,
    compiled: bool = False,
) -> TrainingResult:
    """Train, or go on from ``out/snapshot.safetensors``; on one machine the result depends on the experiment alone.

    Args:
        experiment: the resolved experiment.
        out: directory of snapshot and TensorBoard files.
        device: of the network.
        stop_after: stop (with a snapshot) after this many steps in total, as a kill would.
        compiled: see :meth:`~dp_ros.training.step.Trainee.compile`.

    Returns:
        The policy with averaged weights, and what belongs to it.

    Raises:
        ConfigError: the experiment cannot be run on this store or machine, or its run went beyond ``stop_after``.
        CheckpointError: no space for a snapshot; the older one is kept.
    """
    with world(device) as place:
        return _train(experiment, out, place, stop_after, compiled)


def _train(
    experiment: Experiment, out: Path, place: World, stop_after: int | None, compiled: bool
) -> TrainingResult:
    config = experiment.training
    data = load_data(experiment)
    if config.batch_size < place.size:
        raise ConfigError(f'training.batch_size ({config.batch_size}) is less than one per process')
    trainee = Trainee(experiment, data, place)
    out.mkdir(parents=True, exist_ok=True)
    snapshot = out / 'snapshot.safetensors'
    identity = json.dumps(experiment.to_dict(), sort_keys=True)
    kept = (trainee.network, trainee.average, trainee.optimiser, identity, trainee.loss.heads)
    done = load_snapshot(snapshot, *kept) if snapshot.exists() else 0
    if stop_after is not None and stop_after < done:
        raise ConfigError(
            f'{snapshot}: this run is at step {done} already, its weights of step {stop_after} are gone; choose '
            'another folder for the run to have them'
        )
    if compiled:
        trainee.compile()
    trainee.distribute()
    last = config.steps if stop_after is None else min(stop_after, config.steps)
    writer = SummaryWriter(str(out), purge_step=done) if place.is_main else None
    progress = tqdm(
        total=config.steps,
        initial=done,
        desc=experiment.name,
        unit='step',
        disable=not place.is_main,
        mininterval=1.0 if sys.stderr.isatty() else 20.0,
    )
    running: dict[str, float] = {}
    since = time.perf_counter()
    figures: dict[str, float] = {}
    try:
        for step in range(done, last):
            values = trainee.step(step)
            running = {name: running.get(name, 0.0) + value for name, value in values.items()}
            progress.update()
            if (step + 1) % 50 == 0 and writer is not None:
                progress.set_postfix({name: f'{total / 50:.4f}' for name, total in running.items()})
                for name, total in running.items():
                    writer.add_scalar(f'loss/{name}', total / 50, step + 1)
                writer.add_scalar('seconds_per_step', (time.perf_counter() - since) / 50, step + 1)
                running, since = {}, time.perf_counter()
            if ((step + 1) % config.validate_every == 0 or step + 1 == config.steps) and writer is not None:
                figures = validate(trainee.policy(), data.validation)
                for name, value in figures.items():
                    writer.add_scalar(f'validation/{name}', value, step + 1)
                tqdm.write(f'step {step + 1}: ' + ', '.join(f'{k} {v:.4g}' for k, v in figures.items()))
            if ((step + 1) % config.snapshot_every == 0 or step + 1 == last) and place.is_main:
                save_snapshot(snapshot, step + 1, *kept)
    finally:
        progress.close()
        if writer is not None:
            writer.close()
    if place.is_main and not figures:
        figures = validate(trainee.policy(), data.validation)
    return TrainingResult(trainee.policy(), figures, data, place.is_main)
