# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Time of a network evaluation with noise-routed experts beside dense networks: batch 1, one thread, interleaved.

python bench/expert_latency.py --rounds 200 --json FILE

Weights are random: time does not depend on their values, only on the routes, and those are made to depend on the noise.
'streaming' is the buffer at rest, every group of tokens at its own level; 'one level' is a step of a sampler.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from dp_ros.evaluation.statistics import percentiles
from dp_ros.model.accounting import (
    active_parameters,
    dense_like,
    evaluation_operations,
    loads,
    mixture_weights,
    total_parameters,
)
from dp_ros.model.network import Network, NetworkConfig
from dp_ros.model.route_plan import RoutePlan
from dp_ros.whole_file import whole_file

SIZES = {
    'small': NetworkConfig(width=192, depth=4, heads=6, actions_per_token=4, experts=4),
    'large': NetworkConfig(width=512, depth=8, heads=8, actions_per_token=4, experts=4),
}
LEVELS, SIGMA_MIN, SIGMA_MAX = 8, 0.02, 5.0


def make(config: NetworkConfig) -> Network:
    """A network of the shapes of aloha_transfer_cube, without its camera: that is not part of an evaluation."""
    torch.manual_seed(0)
    network = Network(config, cameras=(), proprio_dim=14, action_dim=14, pred_horizon=32, obs_horizon=10)
    with torch.no_grad():
        for experts in network.experts():
            experts.router[-1].weight.mul_(20)
    return network.eval()


def main() -> int:
    """Print a table per size and shape of the noise, and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--rounds', type=int, default=200)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures = {size: measure(config, args.rounds) for size, config in SIZES.items()}
    for size, rows in figures.items():
        for row in rows['ways']:
            print(
                f'{size:6s} {row["noise"]:10s} {row["way"]:20s} {row["parameters"] / 1e6:6.2f} M  '
                f'{row["operations"] / 1e6:7.2f} MFLOP  p50 {row["ms"]["p50"]:7.3f} ms  '
                f'ratio {row["ratio"]:.2f}'
            )
    if args.json:
        with whole_file(args.json, 'the figures') as beside:
            beside.write_text(json.dumps(figures, indent=1) + '\n')
    return 0


def measure(config: NetworkConfig, rounds: int) -> dict[str, object]:
    """All ways at one size, one after the other in every round."""
    moe = make(config)
    dense = {
        'dense, equal active': make(dense_like(config, total=False)),
        'dense, equal total': make(dense_like(config, total=True)),
    }
    tokens = moe.num_tokens
    stairs_T = torch.arange(1, tokens + 1) * LEVELS / tokens
    sigma_LT = SIGMA_MIN * (SIGMA_MAX / SIGMA_MIN) ** (
        torch.arange(LEVELS, 0, -1)[:, None].expand(LEVELS, tokens) / LEVELS
    )
    schedules = {
        'streaming': SIGMA_MIN * (SIGMA_MAX / SIGMA_MIN) ** (stairs_T[None] / LEVELS),
        'one level': sigma_LT,
    }
    plan = RoutePlan(moe, schedules)
    x, proprio = torch.randn(1, tokens, moe.token_dim), torch.randn(1, 10, 14)
    ways: dict[tuple[str, str], Callable[[], object]] = {}
    rows = []
    with torch.inference_mode():
        contexts = {name: network.encode(proprio, {}) for name, network in dense.items()}
        context = moe.encode(proprio, {})
        for noise, sigma_ST in schedules.items():
            sigma = sigma_ST[len(sigma_ST) // 2][None]
            number = len(sigma_ST) // 2

            def run_dense(name: str, sigma: torch.Tensor = sigma) -> object:
                return dense[name](x, sigma, contexts[name])

            def run_live(sigma: torch.Tensor = sigma) -> object:
                return moe(x, sigma, context)

            def run_planned(noise: str = noise, sigma: torch.Tensor = sigma, number: int = number) -> object:
                return moe(x, sigma, context, None, plan.feed_forwards(noise, number))

            fused = [len(chosen) for chosen in plan.chosen[noise][number]]
            for name, network in dense.items():
                ways[noise, name] = lambda name=name, run=run_dense: run(name)
                rows.append(row(noise, name, network, evaluation_operations(network)))
            ways[noise, 'experts, live'] = run_live
            rows.append(row(noise, 'experts, live', moe, evaluation_operations(moe)))
            ways[noise, 'experts, planned'] = run_planned
            rows.append(
                row(noise, 'experts, planned', moe, evaluation_operations(moe, fused)) | {'fused': fused}
            )
        took: dict[tuple[str, str], list[float]] = {key: [] for key in ways}
        for k in range(-20, rounds):
            for key, run in ways.items():
                start = time.perf_counter()
                run()
                if k >= 0:
                    took[key].append(1e3 * (time.perf_counter() - start))
    for r in rows:
        ms = took[r['noise'], r['way']]
        base = took[r['noise'], 'dense, equal active']
        r['ms'] = asdict(percentiles(ms))
        # Round by round, so that what else runs on the machine hits both alike.
        r['ratio'] = float(torch.tensor([a / b for a, b in zip(ms, base, strict=True)]).median())
    return {
        'ways': rows,
        'total_parameters': total_parameters(moe),
        'active_parameters': active_parameters(moe),
        'plan_numbers': plan.size,
        'loads': loads(mixture_weights(moe, sigma_LT[:, 0])).tolist(),
        'config': asdict(config),
    }


def row(noise: str, way: str, network: Network, operations: int) -> dict[str, object]:
    """What does not have to be measured."""
    return {
        'noise': noise,
        'way': way,
        'parameters': total_parameters(network),
        'operations': operations,
    }


if __name__ == '__main__':
    sys.exit(main())
