# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros rollout``: a checkpoint in closed loop against its simulated task, without ROS."""

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from dp_ros.errors import ConfigError
from dp_ros.evaluation.closed_loop import MS, Motion
from dp_ros.evaluation.disturbance import Disturbance
from dp_ros.evaluation.goals import GOAL_CHOICES, GoalChoice
from dp_ros.evaluation.grid_video import write_grid_video
from dp_ros.evaluation.record import EpisodeRecord, RunRecord
from dp_ros.evaluation.rollout import RolloutSettings, measurement, rollout, summary
from dp_ros.evaluation.video import write_video
from dp_ros.policy.card import add_measurement
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.config import BUFFER_STARTS, MODES, SAMPLER_NAMES, SCHEDULE_NAMES
from dp_ros.policy.runtime import BACKEND_NAMES, EAGER
from dp_ros.simulation.robot import suite_tasks, task_names
from dp_ros.simulation.seeds import require_split
from dp_ros.whole_file import write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--checkpoint', type=Path, required=True, help='checkpoint directory')
    parser.add_argument('--task', help=f"a task or a suite (default: the contract's name): {task_names()}")
    parser.add_argument('--episodes', type=int, default=10, help='of each task')
    parser.add_argument('--seed', type=int, default=0, help='of the first episode; test seeds are below 1000')
    parser.add_argument('--json', type=Path, help='write rates, intervals and per-seed results here')
    parser.add_argument(
        '--video', type=Path, help='write an mp4 of all episodes here (renders more, takes longer)'
    )
    parser.add_argument(
        '--card',
        action='store_true',
        help="add rate, interval, seeds and cost to the checkpoint's model card",
    )
    parser.add_argument('--processes', type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument(
        '--backend', default=EAGER, help=f'what computes the ticks: {", ".join(BACKEND_NAMES)}'
    )
    parser.add_argument(
        '--threads', type=int, default=0, help='of each process (default: the library decides)'
    )
    control = parser.add_argument_group("control (default: the checkpoint's own)")
    control.add_argument('--mode', choices=MODES)
    control.add_argument('--evaluations', type=int, help='network evaluations a tick, or a chunk')
    control.add_argument('--buffer-start', choices=BUFFER_STARTS)
    control.add_argument('--sampler', choices=SAMPLER_NAMES, help='sampler of a full denoise')
    control.add_argument('--execute', type=int, help='actions executed of a chunk (chunk and truncated)')
    control.add_argument('--schedule', choices=SCHEDULE_NAMES, help='noise levels of a full denoise')
    control.add_argument('--sigma-min', type=float, help='its last noise level before 0')
    control.add_argument('--sigma-max', type=float, help='its first noise level')
    control.add_argument('--restart-sigma', type=float, help='noise on the last chunk (truncated mode)')
    control.add_argument(
        '--guidance', type=float, help='strength of guidance: 1 follows the goal, 0 ignores it'
    )
    goal = parser.add_argument_group(
        "goal (default: the task's own, of the first kind that the policy takes)"
    )
    goal.add_argument('--goal', choices=GOAL_CHOICES, help='none: goal-free')
    goal.add_argument('--instruction', help='in place of the words of the task')
    goal.add_argument(
        '--phrasing',
        choices=('known', 'held_out'),
        default='known',
        help='instructions in words that demonstrations use, or in words that none uses',
    )
    disturb = parser.add_argument_group('disturbance (test tasks that have one)')
    disturb.add_argument(
        '--disturb', action='store_true', help='move the object once, at a moment that follows from the seed'
    )
    disturb.add_argument(
        '--disturb-at', type=float, metavar='S', help='move it so many seconds after the beginning'
    )
    parser.add_argument('--noise-seed', type=int, default=0)
    parser.add_argument('--freeze-ms', type=int, help="the plan's frozen stretch")
    parser.add_argument('--soft-start-ms', type=int, help='ramp at the start of an episode')


def run(args: argparse.Namespace) -> int:
    """Run the episodes and print rates; exit code 0 whatever the success (it is a measurement)."""
    for name, least in (('episodes', 1), ('processes', 1), ('seed', 0), ('threads', 0)):
        if getattr(args, name) < least:
            raise ConfigError(f'--{name} must be at least {least}, got {getattr(args, name)}')
    seeds = range(args.seed, args.seed + args.episodes)
    require_split(seeds, ('test', 'validation'), 'rollout')
    policy = load_checkpoint(args.checkpoint)
    names = [
        'mode',
        'evaluations',
        'buffer_start',
        'sampler',
        'execute',
        'schedule',
        'sigma_min',
        'sigma_max',
        'restart_sigma',
    ]
    names += ['guidance']
    changes = {k: getattr(args, k) for k in names if getattr(args, k) is not None}
    if args.goal == 'none' and policy.contract.goals:
        changes['goal_free'] = True
    disturbed = args.disturb or args.disturb_at is not None
    motion = Motion()
    if args.freeze_ms is not None:
        motion = replace(motion, freeze_ns=args.freeze_ms * MS)
    if args.soft_start_ms is not None:
        motion = replace(motion, soft_start_ns=args.soft_start_ms * MS)
    settings = RolloutSettings(
        checkpoint=args.checkpoint,
        task=args.task or policy.contract.name,
        control=replace(policy.config.control, **changes),
        noise_seed=args.noise_seed,
        motion=motion,
        frame_every=4 if args.video else 0,
        goal=GoalChoice(args.goal, args.instruction),
        phrasing=args.phrasing,
        disturbance=Disturbance(at_s=args.disturb_at) if disturbed else None,
        backend=args.backend,
        threads=args.threads,
    )
    tasks = suite_tasks(settings.task)
    if args.video and not policy.contract.cameras:
        raise ConfigError('--video: the policy has no camera')
    wanted = len(tasks) * args.episodes
    start = time.monotonic()
    episodes: list[EpisodeRecord] = []
    for episode in rollout(settings, seeds, args.processes):
        episodes.append(episode)
        wins = sum(e.success for e in episodes)
        if sys.stderr.isatty() or len(episodes) % 10 == 0 or len(episodes) == wanted:
            text = f'{len(episodes)}/{wanted} episodes, {wins} succeeded, {time.monotonic() - start:.0f} s'
            print(text, end='\r' if sys.stderr.isatty() else '\n', file=sys.stderr, flush=True)
    figures = summary(settings, episodes)
    figures['seconds'] = round(time.monotonic() - start, 1)
    if args.json:
        write_json(args.json, 'the figures', figures, indent=2)
    if args.card:
        add_measurement(args.checkpoint, measurement(settings, figures, policy))
    if args.video:
        embodiment = policy.contract.embodiment
        record = RunRecord(
            title=f'{settings.task}, direct rollout',
            joint_names=embodiment.joint_names,
            joint_units=tuple(j.unit for j in embodiment.joints),
            period_ns=policy.contract.timing.period_ns,
            camera=policy.contract.cameras[0].name,
            episodes=episodes,
        )
        (write_grid_video if len(tasks) > 1 else write_video)(args.video, record)
        print(args.video)
    for task, rates in figures.get('tasks', {}).items():
        low, high = rates['success_interval']
        print(f'{task:45s} {rates["success_rate"]:.3f} [{low:.3f}, {high:.3f}]')
    if 'tasks' in figures:
        print(f'average over {len(tasks)} tasks {figures["average_success_rate"]:.3f}')
    if 'recovery' in figures:
        found = figures['recovery']
        low, high = found['interval']
        rate = found['recovered'] / max(1, found['moved'])
        print(
            f'object moved in {found["moved"]} episodes, recovered {found["recovered"]} '
            f'({rate:.3f} [{low:.3f}, {high:.3f}]), after p50 {found["seconds"]["p50"]:.2f} s'
        )
    low, high = figures['success_interval']
    strict_low, strict_high = figures['strict_success_interval']
    print(
        f'success {figures["success_rate"]:.3f} [{low:.3f}, {high:.3f}], '
        f'strict {figures["strict_success_rate"]:.3f} [{strict_low:.3f}, {strict_high:.3f}], '
        f'{len(episodes)} episodes'
    )
    for name in episodes[0].measures:
        print(f'mean {name.replace("_", " ")} {figures[f"mean_{name}"]:.3f}')
    return 0
