# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Compare a demo run through the ROS graph with the direct rollout, command by command, on the same seeds.

dp_ros demo --episodes 20 --seed 0 --out out/parity
python bench/graph_parity.py out/parity/recording/run.npz --checkpoint checkpoints/aloha_transfer_cube --json FILE
"""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from dp_ros.evaluation.record import RunRecord
from dp_ros.evaluation.rollout import RolloutSettings, Runner
from dp_ros.evaluation.statistics import paired_comparison, wilson_interval
from dp_ros.whole_file import whole_file


def main() -> int:
    """Print the largest differences of command and measurement per episode, and both success rates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('record', type=Path)
    parser.add_argument('--checkpoint', type=Path, required=True)
    parser.add_argument('--task', default='aloha_transfer_cube')
    parser.add_argument('--json', type=Path)
    # Another number of threads sums in another order: the demo's policy_node uses two.
    parser.add_argument('--threads', type=int, default=min(2, os.cpu_count() or 1))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    record = RunRecord.load(args.record)
    runner = Runner(RolloutSettings(checkpoint=args.checkpoint, task=args.task))
    rows = []
    for graph in record.episodes:
        direct = runner.episode(graph.seed)
        steps = min(len(graph.commanded), len(direct.commanded))
        rows.append(
            {
                'seed': graph.seed,
                'steps': [len(graph.commanded), len(direct.commanded)],
                'graph': bool(graph.success),
                'direct': bool(direct.success),
                'command_difference': float(np.abs(graph.commanded[:steps] - direct.commanded[:steps]).max()),
                'measured_difference': float(np.abs(graph.measured[:steps] - direct.measured[:steps]).max()),
            }
        )
        print(rows[-1], flush=True)
    runner.close()
    both = [[r[key] for r in rows] for key in ('graph', 'direct')]
    figures = {
        'episodes': len(rows),
        'graph_success': [sum(both[0]) / len(rows), *wilson_interval(sum(both[0]), len(rows))],
        'direct_success': [sum(both[1]) / len(rows), *wilson_interval(sum(both[1]), len(rows))],
        'mcnemar_p': paired_comparison(*both).p_value,
        'largest_command_difference': max(r['command_difference'] for r in rows),
        'largest_measured_difference': max(r['measured_difference'] for r in rows),
        'seeds': rows,
    }
    print({k: v for k, v in figures.items() if k != 'seeds'})
    if args.json:
        with whole_file(args.json, 'the figures') as beside:
            beside.write_text(json.dumps(figures, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
