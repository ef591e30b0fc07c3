# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Success over ways of running a checkpoint, all on the same seeds; resumable, one JSON file per setting.

    python bench/control_sweep.py --streaming DIR --chunk DIR --seed 10000 --episodes 50 --out bench/results/sweep

prints a Markdown table. Choose on validation seeds (10000 and up), report on test seeds (0 to 99).
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from dp_ros.evaluation.rollout import RolloutSettings, rollout, summary
from dp_ros.evaluation.statistics import paired_comparison
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.whole_file import whole_file


def settings_of(spec: str, args: argparse.Namespace) -> RolloutSettings:
    """MODEL-MODE-EVALUATIONS-(BUFFER START or EXECUTED), such as streaming-streaming-1-hold or chunk-chunk-5-16."""
    model, mode, evaluations, last = spec.split('-')
    checkpoint = {'streaming': args.streaming, 'chunk': args.chunk}[model]
    policy = load_checkpoint(checkpoint)
    control = replace(policy.config.control, mode=mode, evaluations=int(evaluations))
    control = replace(control, execute=int(last)) if mode == 'chunk' else replace(control, buffer_start=last)
    return RolloutSettings(checkpoint=checkpoint, task=policy.contract.name, control=control)


def main() -> int:
    """Run what is missing, then print the table; the first setting is what the others are compared with."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--streaming', type=Path, required=True)
    parser.add_argument('--chunk', type=Path)
    parser.add_argument('--seed', type=int, default=10000)
    parser.add_argument('--episodes', type=int, default=50)
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('specs', nargs='+', help=settings_of.__doc__)
    args = parser.parse_args()
    figures = {}
    for spec in args.specs:
        path = args.out / f'{spec}_seed{args.seed}_n{args.episodes}.json'
        if not path.exists():
            settings = settings_of(spec, args)
            episodes = list(rollout(settings, range(args.seed, args.seed + args.episodes), args.processes))
            with whole_file(path, 'the figures') as beside:
                beside.write_text(json.dumps(summary(settings, episodes), indent=1) + '\n')
            print(f'{spec}: {sum(e.success for e in episodes)}/{len(episodes)}', file=sys.stderr, flush=True)
        figures[spec] = json.loads(path.read_text())
    first = [s['success'] for s in figures[args.specs[0]]['seeds']]
    print('| model | mode | evaluations | start / executed | success | strict | only first / only this, p |')
    print('|---|---|---|---|---|---|---|')
    for spec, f in figures.items():
        low, high = f['success_interval']
        pair = paired_comparison(first, [s['success'] for s in f['seeds']])
        print(
            f'| {" | ".join(spec.split("-"))} | {f["success_rate"]:.2f} [{low:.2f}, {high:.2f}] '
            f'| {f["strict_success_rate"]:.2f} | {pair.only_first} / {pair.only_second}, {pair.p_value:.2f} |'
        )
    return 0


if __name__ == '__main__':
    sys.exit(main())
