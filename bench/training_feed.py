# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""How fast windows come out of a store, beside how fast training takes them; prints Markdown.

    python bench/training_feed.py config/experiments/aloha_transfer_cube.yaml

Batches are those of the training run. They are cut twice: from the store's files as they are mapped, and from the same
episodes copied into memory. The steps are those of ``dp_ros train``, windows included.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dp_ros.data.demonstrations import Demonstrations
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.training.experiment import Experiment
from dp_ros.training.loop import train
from dp_ros.training.loss import draw_batch

BATCHES = 200


def seconds_a_batch(data: Demonstrations, batch_size: int) -> float:
    """Median of many batches, wall time."""
    spent = []
    for step in range(BATCHES):
        index_B, _ = draw_batch(0, step, len(data), batch_size)
        started = time.perf_counter()
        data.windows(index_B)
        spent.append(time.perf_counter() - started)
    return float(np.median(spent))


def seconds_a_step(experiment: Experiment, steps: int, device: str) -> float:
    """The fastest fifty steps of a short training run, as the run itself writes it down."""
    with tempfile.TemporaryDirectory() as folder:
        train(experiment, Path(folder), device, stop_after=steps)
        events = EventAccumulator(folder)
        events.Reload()
        return min(event.value for event in events.Scalars('seconds_per_step'))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('experiment', type=Path)
    parser.add_argument('--store', help="in place of the experiment's")
    parser.add_argument('--steps', type=int, default=100, help='at least 50')
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args()
    experiment = Experiment.from_yaml(args.experiment, store=args.store)
    size, hold = experiment.training.batch_size, experiment.training.hold_after_end
    store = EpisodeStore.open(Path(experiment.store))

    def timed(make: Callable[[], Demonstrations]) -> tuple[Demonstrations, float]:
        started = time.perf_counter()
        return make(), time.perf_counter() - started

    mapped, mapped_s = timed(lambda: Demonstrations(store.contract, store, hold))
    copies = [replace(e, images={name: np.array(v) for name, v in e.images.items()}) for e in store]
    copied = Demonstrations(store.contract, copies, hold)
    step_s = seconds_a_step(experiment, args.steps, args.device)
    mapped_batch_s, copied_batch_s = seconds_a_batch(mapped, size), seconds_a_batch(copied, size)
    print(
        f'{len(store)} episodes, {len(mapped)} anchors, opened and checked in {mapped_s:.2f} s; batches of {size};'
    )
    print(f'{torch.get_num_threads()} threads, {args.device}\n')
    print('| | ms a batch | windows/s |')
    print('| --- | --- | --- |')
    rows = {'store, mapped': mapped_batch_s, 'copied into memory': copied_batch_s, 'a training step': step_s}
    for name, seconds in rows.items():
        print(f'| {name} | {seconds * 1e3:.2f} | {size / seconds:,.0f} |')
    print(f'\nWindows come {step_s / mapped_batch_s:.0f} times faster than training takes them.')


if __name__ == '__main__':
    main()
