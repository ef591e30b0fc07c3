# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One tick of a network as large as RDT-1B (arXiv 2410.07864), with random weights: each saving beside the bound.

The buffer has 64 action tokens, the context three cameras of 729 tokens each, as an encoder would give them; encoding
pictures is no part of it. Ways: keys and values of the context kept, as between evaluations of one observation, or
made anew, as for each new observation; one captured CUDA graph, or eager. Has not been run on a GPU yet.

    python bench/rdt_sized.py --device cuda --json FILE
    python bench/rdt_sized.py --device cpu --width 64 --depth 2 --heads 2 --camera-tokens 9 --ticks 3    # that it runs
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dp_ros.cli.tables import print_table
from dp_ros.evaluation.latency import copy_rate, matmul_rate
from dp_ros.evaluation.statistics import percentiles
from dp_ros.model.blocks import Block
from dp_ros.model.network import Context, Network, NetworkConfig
from dp_ros.policy.backends.cuda_graphs import capture
from dp_ros.whole_file import write_json

CAMERAS, ACTIONS, ACTION_DIM = 3, 64, 128
_WARM_UP = 5


def make_network(width: int, depth: int, heads: int) -> Network:
    """Of blocks whose feed-forward is as wide as the model, as in RDT; without cameras, whose tokens are given."""
    config = NetworkConfig(width=width, depth=depth, heads=heads, mlp_ratio=1, actions_per_token=1)
    return Network(
        config,
        cameras=(),
        proprio_dim=ACTION_DIM,
        action_dim=ACTION_DIM,
        pred_horizon=ACTIONS,
        obs_horizon=1,
    )


class Tick:
    """One evaluation of the whole buffer, with the context's keys and values kept or made anew."""

    def __init__(self, args: argparse.Namespace):
        device = torch.device(args.device)
        kind = torch.bfloat16 if device.type == 'cuda' else torch.float32
        torch.manual_seed(0)
        with device:
            self.network = make_network(args.width, args.depth, args.heads).to(kind).eval()
            self._blocks = [block for block in self.network.blocks if isinstance(block, Block)]
            self._x_BTP = torch.randn(1, ACTIONS, ACTION_DIM, dtype=kind)
            self._sigma_BT = torch.linspace(0.02, 5.0, ACTIONS, dtype=kind)[None]
            self._tokens_BND = torch.randn(1, CAMERAS * args.camera_tokens, args.width, dtype=kind)
            self._summary_BD = torch.randn(1, args.width, dtype=kind)
        with torch.inference_mode():
            self._kept = self._context()

    def kept(self) -> Tensor:
        """With keys and values that are there already."""
        return self.network(self._x_BTP, self._sigma_BT, self._kept)

    def anew(self) -> Tensor:
        """With keys and values of a new observation."""
        return self.network(self._x_BTP, self._sigma_BT, self._context())

    def weights(self, anew: bool) -> int:
        """Bytes that the evaluation reads: of weights, and of keys and values."""
        making = sum(block.cross_attention.key_value.weight.numel() for block in self._blocks)
        all_of_them = sum(parameter.numel() for parameter in self.network.parameters())
        cached = sum(tensor.numel() for pair in self._kept.keys_values for tensor in pair)
        return self._x_BTP.element_size() * (all_of_them - (0 if anew else making) + cached)

    def _context(self) -> Context:
        keys_values = tuple(block.context_keys_values(self._tokens_BND) for block in self._blocks)
        return Context(self._tokens_BND, None, self._summary_BD, keys_values)


def timed(call: Callable[[], object], ticks: int, device: torch.device) -> list[float]:
    """Milliseconds of each, the device synchronised, without the first few."""
    took_ms = []
    for _ in range(_WARM_UP + ticks):
        start = time.perf_counter()
        call()
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        took_ms.append(1e3 * (time.perf_counter() - start))
    return took_ms[_WARM_UP:]


@torch.inference_mode()
def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All ways of one machine, and the share of its rates that each reaches."""
    device, tick = torch.device(args.device), Tick(args)
    rate, rows = matmul_rate(device), []
    for anew, name, call in ((False, 'kept', tick.kept), (True, 'made anew', tick.anew)):
        with FlopCounterMode(display=False) as counter:
            call()
        flop, moved = int(counter.get_total_flops()), tick.weights(anew)
        read = copy_rate(device, moved) / 2  # a copy reads and writes
        ways: dict[str, Callable[[], object]] = {'eager': call}
        if device.type == 'cuda':
            ways['graph'] = capture(call)[0].replay
        for way, run in ways.items():
            took = percentiles(timed(run, args.ticks, device))
            rows.append(
                {
                    'keys_values': name,
                    'way': way,
                    'ms': asdict(took),
                    'flop': flop,
                    'bytes': moved,
                    'bound_ms': 1e3 * max(flop / rate, moved / read),
                    'of_product_rate': flop / (1e-3 * took.p50 * rate),
                    'of_read_rate': moved / (1e-3 * took.p50 * read),
                }
            )
    return {
        'parameters': sum(parameter.numel() for parameter in tick.network.parameters()),
        'device': torch.cuda.get_device_name(device) if device.type == 'cuda' else str(device),
        'matmul_gflops': rate / 1e9,
        'rows': rows,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--width', type=int, default=2048)
    parser.add_argument('--depth', type=int, default=28)
    parser.add_argument('--heads', type=int, default=32)
    parser.add_argument('--camera-tokens', type=int, default=729, help='of each of the three cameras')
    parser.add_argument('--ticks', type=int, default=200)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    figures = measure(args)
    print(f'{figures["parameters"] / 1e9:.3f} B parameters on {figures["device"]}')
    table = [
        [
            row['keys_values'],
            row['way'],
            *(f'{row["ms"][key]:.2f}' for key in ('p50', 'p95', 'p99')),
            f'{row["bound_ms"]:.2f}',
            f'{row["of_product_rate"]:.0%}',
            f'{row["of_read_rate"]:.0%}',
        ]
        for row in figures['rows']
    ]
    head = ['keys and values', 'way', 'p50', 'p95', 'p99', 'bound, ms', 'of products', 'of reading']
    print_table(head, table, right=(2, 3, 4, 5, 6, 7))
    if args.json:
        write_json(args.json, 'the figures', figures, indent=2)


if __name__ == '__main__':
    main()
