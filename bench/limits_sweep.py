# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Success over motion limits, all on the same seeds: how much an arm may be held back before the task suffers.

    python bench/limits_sweep.py --checkpoint checkpoints/aloha_transfer_cube --seed 10000 --episodes 40

prints a Markdown table. A setting is VELOCITY-ACCELERATION-JERK of the revolute joints (rad/s and its powers); the
grippers keep their limits of the shipped binding. The first setting is what the others are compared with.
"""

import argparse
from pathlib import Path

import numpy as np

from dp_ros.action.limits import MotionLimits
from dp_ros.contract.binding import Binding
from dp_ros.evaluation.closed_loop import Motion
from dp_ros.evaluation.rollout import RolloutSettings, rollout
from dp_ros.evaluation.statistics import paired_comparison, wilson_interval
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.share import share_path
from dp_ros.simulation.robot import make_task


def limits_of(spec: str, task: str) -> MotionLimits:
    """The shipped limits with other ones of the revolute joints."""
    robot = make_task(task)
    joints = robot.contract.embodiment.joints
    binding = Binding.from_yaml(share_path('config', 'bindings', f'{robot.binding}.yaml'))
    shipped = MotionLimits.of_joints(binding.limits(robot.contract.joint_names))
    robot.close()
    velocity, acceleration, jerk = (float(part) for part in spec.split('-'))
    turns = np.array([joint.unit == 'rad' for joint in joints])
    return MotionLimits(
        shipped.lower,
        shipped.upper,
        np.where(turns, velocity, shipped.velocity),
        np.where(turns, acceleration, shipped.acceleration),
        np.where(turns, jerk, shipped.jerk),
    )


def main() -> None:
    """Run every setting, print one row each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--checkpoint', type=Path, required=True)
    parser.add_argument('--seed', type=int, default=10000)
    parser.add_argument('--episodes', type=int, default=40)
    parser.add_argument('--processes', type=int, default=1)
    parser.add_argument(
        'specs',
        nargs='*',
        default=['30-300-inf', '3.14-20-inf', '3.14-8-inf', '3.14-8-100', '2-6-inf', '1.5-3-inf', '1-2-inf'],
    )
    args = parser.parse_args()
    task = load_checkpoint(args.checkpoint).contract.name
    first: list[bool] = []
    print(
        '| v, rad/s | a, rad/s² | j, rad/s³ | success | strict | only first / only this, p | peak v | peak a |'
    )
    print('|---|---|---|---|---|---|---|---|')
    for spec in args.specs:
        settings = RolloutSettings(
            checkpoint=args.checkpoint, task=task, motion=Motion(limits=limits_of(spec, task))
        )
        episodes = list(rollout(settings, range(args.seed, args.seed + args.episodes), args.processes))
        wins = [e.success for e in episodes]
        first = first or wins
        low, high = wilson_interval(sum(wins), len(wins))
        pair = paired_comparison(first, wins)
        arms = np.array(
            [not name.endswith('gripper') for name in load_checkpoint(args.checkpoint).contract.joint_names]
        )
        step = 0.02
        peaks = [
            max(np.abs(np.diff(e.commanded[:, arms], n=n, axis=0)).max() / step**n for e in episodes)
            for n in (1, 2)
        ]
        print(
            f'| {" | ".join(spec.split("-"))} | {sum(wins)}/{len(wins)} [{low:.2f}, {high:.2f}] '
            f'| {sum(e.strict_success for e in episodes)} | {pair.only_first} / {pair.only_second}, {pair.p_value:.2f} '
            f'| {peaks[0]:.2f} | {peaks[1]:.1f} |',
            flush=True,
        )


if __name__ == '__main__':
    main()
