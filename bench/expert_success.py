# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""How often the scripted expert of a task succeeds, without and with noise on what it does; prints Markdown."""

import argparse
import time
from collections.abc import Iterable

import numpy as np

from dp_ros.evaluation.statistics import wilson_interval
from dp_ros.simulation.demonstration import disturbed, ornstein_uhlenbeck
from dp_ros.simulation.expert import TransferCubeExpert
from dp_ros.simulation.insertion_expert import InsertionExpert
from dp_ros.simulation.robot import EpisodeResult, SimulatedRobot, make_task

OPEN_LOOP = {'aloha_transfer_cube': TransferCubeExpert, 'aloha_insertion': InsertionExpert}


def rate(successes: Iterable[bool]) -> str:
    """Count and Wilson interval."""
    flags = list(successes)
    low, high = wilson_interval(sum(flags), len(flags))
    return f'{sum(flags)}/{len(flags)} [{low:.2f}, {high:.2f}]'


def open_loop_episode(robot: SimulatedRobot, task: str, seed: int, noise: float) -> EpisodeResult:
    """One episode of an ALOHA task; noise is the largest scale, rad."""
    robot.reset(seed)
    plan = OPEN_LOOP[task]().plan(robot.privileged(), robot.joint_positions())
    for command in disturbed(plan, robot.contract, seed, noise)[0]:
        robot.step(command)
    return robot.result()


def pusht_episode(robot, planner, seed: int, noise: float) -> EpisodeResult:
    """One episode of Push-T; noise is the largest scale, units."""
    from dp_ros.simulation.pusht_expert import expert_commands

    robot.reset(seed)
    rng = np.random.default_rng([seed, 1])
    added = ornstein_uhlenbeck(rng, 2 * robot.episode_steps, 2, float(rng.uniform(0.0, noise)))
    for command, off in zip(expert_commands(robot, planner), added, strict=False):
        robot.step(command + off)
    return robot.result()


def main() -> None:
    """Run every noise level on the same seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--task', choices=(*OPEN_LOOP, 'pusht-state'), default='aloha_transfer_cube')
    parser.add_argument('--episodes', type=int, default=100)
    parser.add_argument('--first-seed', type=int, default=40_000)
    parser.add_argument('--noise', type=float, nargs='+', default=[0.0, 0.03], help='largest scales')
    args = parser.parse_args()
    robot, planner = make_task(args.task), None
    if args.task == 'pusht-state':
        from dp_ros.simulation.pusht_planner import PushPlanner

        planner = PushPlanner()
    print(
        '| largest noise scale | success | strict | further | processor s an episode |\n|---|---|---|---|---|'
    )
    for noise in args.noise:
        results, started = [], time.process_time()
        for seed in range(args.first_seed, args.first_seed + args.episodes):
            if planner:
                results.append(pusht_episode(robot, planner, seed, noise))
            else:
                results.append(open_loop_episode(robot, args.task, seed, noise))
        seconds = (time.process_time() - started) / args.episodes
        further = [f'mean {k} {np.mean([r.measures[k] for r in results]):.3f}' for k in results[0].measures]
        further += [f'mean steps {np.mean([r.steps for r in results]):.0f}'] if planner else []
        print(
            f'| {noise} | {rate(r.success for r in results)} | {rate(r.strict_success for r in results)} '
            f'| {", ".join(further)} | {seconds:.2f} |',
            flush=True,
        )
    robot.close()


if __name__ == '__main__':
    main()
