# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""How often the scripted expert of the transfer task succeeds, without and with action noise; prints Markdown."""

import argparse
import math
import time

from dp_ros.simulation.demonstration import disturbed
from dp_ros.simulation.expert import TransferCubeExpert
from dp_ros.simulation.robot import make_task


def wilson(successes: int, count: int) -> str:
    """The 95 % interval of a share."""
    z, share = 1.96, successes / count
    centre = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return f'[{(centre - half) / (1 + z * z / count):.2f}, {(centre + half) / (1 + z * z / count):.2f}]'


def main() -> None:
    """Run every noise level on the same seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--episodes', type=int, default=100)
    parser.add_argument('--first-seed', type=int, default=40_000)
    parser.add_argument('--noise', type=float, nargs='+', default=[0.0, 0.03], help='largest scales, rad')
    args = parser.parse_args()
    robot = make_task('aloha_transfer_cube')
    print(
        '| largest noise scale, rad | reward 4 | strict | s an episode without pictures |\n|---|---|---|---|'
    )
    for noise in args.noise:
        results, started = [], time.monotonic()
        for seed in range(args.first_seed, args.first_seed + args.episodes):
            robot.reset(seed)
            plan = TransferCubeExpert().plan(robot.privileged(), robot.joint_positions())
            for command in disturbed(plan, robot.contract, seed, noise)[0]:
                robot.step(command)
            results.append(robot.result())
        seconds = (time.monotonic() - started) / args.episodes
        counts = [sum(r.success for r in results), sum(r.strict_success for r in results)]
        cells = [f'{c}/{args.episodes} {wilson(c, args.episodes)}' for c in counts]
        print(f'| {noise} | {cells[0]} | {cells[1]} | {seconds:.2f} |', flush=True)
    robot.close()


if __name__ == '__main__':
    main()
