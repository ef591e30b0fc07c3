# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What two approximations of a streaming tick would save, and what they cost in success.

Held cameras: a picture that hardly differs from the one encoded last keeps its tokens, for a few ticks at most. Reused
blocks: every other tick a block adds what it added one tick before, moved on by the tokens that the buffer popped.
Both patch the eager network here; neither is part of the package (bench/results/approximate says why).

    python bench/approximate_savings.py --checkpoint DIR --task TASK --episodes 100 --json FILE
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dp_ros.evaluation.rollout import RolloutSettings, Runner
from dp_ros.evaluation.statistics import percentiles, wilson_interval
from dp_ros.whole_file import write_json

PATCH = 8


class HeldCamera:
    """Stands in for a camera encoder's forward.

    Args:
        forward: the encoder's own.
        threshold: a picture is new where the mean of some 8x8 patch differs by more than so many of 256 levels.
        most: ticks that tokens are kept, at most (against starvation).
    """

    def __init__(self, forward: Callable[..., Tensor], threshold: float, most: int):
        self._forward, self._threshold, self._most = forward, threshold, most
        self.asked = self.held = 0
        self.forget()

    def forget(self) -> None:
        """An episode begins."""
        self._last: tuple[Tensor, Tensor] | None = None  # the picture that was encoded last, and its tokens
        self._age = 0

    def __call__(self, image_BHWC: Tensor, film_BM: Tensor | None = None) -> Tensor:
        self.asked += 1
        seen = torch.nn.functional.avg_pool2d(image_BHWC.permute(0, 3, 1, 2).float(), PATCH)
        if self._last is not None and self._age < self._most:
            old, tokens = self._last
            if float((seen - old).abs().max()) <= self._threshold:
                self._age += 1
                self.held += 1
                return tokens
        tokens, self._age = self._forward(image_BHWC, film_BM), 0
        self._last = seen, tokens
        return tokens


class ReusedBlock:
    """Stands in for a block's forward: every other tick what it added one tick before.

    Args:
        forward: the block's own.
        pop: tokens that leave the buffer at every tick.
        tick: the number of the tick within its epoch, 0 for the first.
    """

    def __init__(self, forward: Callable[..., Tensor], pop: int, tick: Callable[[], int]):
        self._forward, self._pop, self._tick = forward, pop, tick
        self.asked = self.held = 0
        self._added: Tensor | None = None

    def forget(self) -> None:
        """An episode begins."""
        self._added = None

    def __call__(self, x_BTD: Tensor, *others: Any) -> Tensor:
        self.asked += 1
        if self._added is not None and self._tick() % 2:
            self.held += 1
            last = self._added[:, -1:].expand(-1, self._pop, -1)
            return x_BTD + torch.cat([self._added[:, self._pop :], last], dim=1)
        out_BTD = self._forward(x_BTD, *others)
        self._added = out_BTD - x_BTD
        return out_BTD


def measure(args: argparse.Namespace, threshold: float | None, blocks: tuple[int, ...]) -> dict[str, Any]:
    """Success and time of one variant, over test seeds from 0."""
    runner = Runner(RolloutSettings(checkpoint=args.checkpoint, task=args.task, threads=1))
    controller = runner.controller
    network = controller.policy.network
    patches: list[HeldCamera | ReusedBlock] = []
    if threshold is not None:
        for encoder in network.camera_encoders.values():
            patches.append(HeldCamera(encoder.forward, threshold, args.most))
            encoder.forward = patches[-1]
    pop = network.num_tokens // controller.policy.levels.count
    for index in blocks:
        block = network.blocks[index]
        patches.append(ReusedBlock(block.forward, pop, lambda: controller.seq))
        block.forward = patches[-1]
    records = []
    for seed in range(args.episodes):
        for patch in patches:
            patch.forget()
        records.append(runner.episode(seed))
    runner.close()
    wins = sum(record.success for record in records)
    stages = {
        stage: percentiles([ms for record in records for ms in record.latency_ms[stage]])
        for stage in ('encode', 'network')
    }
    return {
        'threshold': threshold,
        'blocks': blocks,
        'episodes': args.episodes,
        'successes': wins,
        'interval': wilson_interval(wins, args.episodes),
        'seeds_lost': [record.seed for record in records if not record.success],
        'held_share': sum(p.held for p in patches) / max(1, sum(p.asked for p in patches)),
        **{f'{stage}_ms': {'p50': v.p50, 'p99': v.p99} for stage, v in stages.items()},
    }


def main() -> None:
    """Measure all variants, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--checkpoint', type=Path, required=True)
    parser.add_argument('--task', required=True)
    parser.add_argument('--episodes', type=int, default=100)
    parser.add_argument(
        '--thresholds', type=float, nargs='*', default=[4.0, 8.0, 16.0, 32.0], help='of 256 levels'
    )
    parser.add_argument('--most', type=int, default=4, help='ticks that tokens are kept')
    parser.add_argument('--json', type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    variants: list[tuple[float | None, tuple[int, ...]]] = [(None, ())]
    variants += [(threshold, ()) for threshold in args.thresholds]
    variants += [(None, blocks) for blocks in ((1, 2), (0, 1, 2, 3))]
    rows = []
    for threshold, blocks in variants:
        rows.append(measure(args, threshold, blocks))
        print(json.dumps(rows[-1]), flush=True)
        write_json(args.json, 'the figures', {'checkpoint': str(args.checkpoint), 'rows': rows}, indent=2)


if __name__ == '__main__':
    main()
