# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros demo``: the main job. Three nodes and an operator as processes of this machine, over DDS."""

import argparse
import importlib.util
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from dp_ros.cli import demo_expert
from dp_ros.cli.collect import FIRST_TRAINING_SEED
from dp_ros.cli.ros_processes import Fleet, ProcessError, free_domain, local_environment, parameters
from dp_ros.contract import Contract
from dp_ros.errors import ConfigError
from dp_ros.evaluation.record import RunRecord
from dp_ros.evaluation.report import write_report
from dp_ros.evaluation.video import write_video
from dp_ros.policy.due import checkpoint_tick_ns
from dp_ros.share import share_path

CHECKPOINT = 'aloha_transfer_cube'
# What sim_node can put behind the topics of the shipped binding.
TASKS = ('aloha_transfer_cube', 'aloha_insertion')
SUCCESS_TARGET = 0.8
# The demonstrations command up to 0.2 rad ahead of what the simulated servos measure, already in the first action;
# in real time the action in force is the one that belongs to the age of the first chunk, by then further ahead.
START_JUMP_RAD = {'lockstep': 0.3, 'realtime': 0.6}
# The simulated servos lag up to 0.2 rad behind in normal motion.
MAX_TRACKING_ERROR_RAD = 0.4
# In lockstep the clock stands while the policy computes.
CLOCK_TIMEOUT_S = 10.0
# Who knows no more than the policy first, who brakes next, who carries the brake out last.
STOP_ORDER = ('operator', 'policy_node', 'action_node', 'record_node', 'sim_node')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--checkpoint', type=Path, help='checkpoint directory (default: the shipped one)')
    parser.add_argument(
        '--task',
        choices=TASKS,
        help="what is simulated (default: what the checkpoint's contract is named after)",
    )
    parser.add_argument('--episodes', type=int, default=10)
    parser.add_argument(
        '--seed',
        '--first-seed',
        type=int,
        help=f'seed of the first episode; the others follow (default: 0, with --expert {FIRST_TRAINING_SEED})',
    )
    parser.add_argument('--out', type=Path, default=Path('out/demo'), help='where results go')
    parser.add_argument(
        '--record', type=Path, metavar='DIR', help='have record_node make a bag of the episodes, in DIR'
    )
    demo_expert.add_arguments(parser)
    parser.add_argument(
        '--realtime',
        action='store_true',
        help='run at wall-clock speed instead of in lockstep with the policy',
    )
    parser.add_argument(
        '--binding',
        help='YAML file or name of a shipped one (default: aloha_sim, with --expert aloha_sim_leader)',
    )


def run(args: argparse.Namespace) -> int:
    """Run the episodes; 0 where at least 80 % succeeded and every process ended cleanly."""
    _check(args)
    checkpoint = (args.checkpoint or share_path('checkpoints', CHECKPOINT)).resolve()
    recording = args.out / 'recording' / 'run.npz'
    recording.unlink(missing_ok=True)
    tick_s = 0.0 if args.expert else checkpoint_tick_ns(checkpoint) * 1e-9
    # Both, and whatever was inherited: a shell starts background jobs with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    began = time.monotonic()
    with Fleet(args.out / 'logs', local_environment(free_domain())) as fleet:
        try:
            if args.record is not None:
                _start_recorder(fleet, args, checkpoint)
            if args.expert:
                demo_expert.start(fleet, args)
            else:
                _start(fleet, args, checkpoint, tick_s, recording)
            operated = fleet.wait_for('operator')
        except KeyboardInterrupt:
            codes = _stop(fleet)
            print(f'\ndemo: interrupted; every process has ended: {_shown(codes)}', file=sys.stderr)
            return 130
        except ProcessError as error:
            print(f'\ndemo: {error}', file=sys.stderr)
            operated = 1
        tails = '\n'.join(fleet.tail(name) for name in STOP_ORDER[1:])
        codes = _stop(fleet)
    unclean = {name: code for name, code in codes.items() if code}
    if unclean or operated:
        print(f'{tails}\ndemo: not every process ended cleanly: {_shown(codes)}', file=sys.stderr)
    if args.expert:
        return int(bool(unclean or operated))
    if not recording.is_file():
        print('demo: nothing was recorded', file=sys.stderr)
        return 1
    return max(
        _report(args.out, recording, args.episodes, time.monotonic() - began), int(bool(unclean or operated))
    )


def _check(args: argparse.Namespace) -> None:
    """Refuse what makes no sense, and fill in what depends on other options."""
    demo_expert.check(args)
    if args.seed is None:
        args.seed = FIRST_TRAINING_SEED if args.expert else 0
    args.binding = args.binding or (demo_expert.BINDING if args.expert else 'aloha_sim')
    if args.episodes < 1 or args.seed < 0:
        raise ConfigError(
            f'--episodes must be at least 1 and --seed at least 0, got {args.episodes}, {args.seed}'
        )
    if args.record is not None and args.record.exists() and not args.record.is_dir():
        raise ConfigError(f'--record {args.record}: is a file, expected a directory for bags')
    if importlib.util.find_spec('rclpy') is None:
        raise ConfigError('the demo needs ROS 2: source a distribution, or pip install "dp_ros[ros-jazzy]"')


def _start_recorder(fleet: Fleet, args: argparse.Namespace, checkpoint: Path) -> None:
    values = {
        'binding': args.binding,
        'contract': demo_expert.CONTRACT if args.expert else checkpoint,
        'out': args.record.resolve(),
        'name': 'expert' if args.expert else 'demo',
        'operator': 'dp_ros demo --expert' if args.expert else 'dp_ros demo',
        # The seed and how each episode ended.
        'extra_topics': '[sim_node/episode, sim_node/privileged]',
        'use_sim_time': True,
    }
    fleet.start('record_node', 'dp_ros.nodes.record_node', parameters('record_node', **values))


def _start(fleet: Fleet, args: argparse.Namespace, checkpoint: Path, tick_s: float, recording: Path) -> None:
    cores = os.cpu_count() or 1
    robot = {'checkpoint': str(checkpoint), 'binding': args.binding, 'autostart': True, 'use_sim_time': True}
    fleet.start(
        'sim_node',
        'dp_ros.nodes.sim_node',
        parameters(
            'sim_node',
            task=args.task or simulated_task(checkpoint),
            binding=args.binding,
            first_seed=args.seed,
            realtime=args.realtime,
            tick_s=tick_s,
        ),
        images=True,
    )
    # Each episode begins with a reset of robot and policy, which both take the next seed: the noise is that of the
    # direct rollout of the same seed.
    fleet.start(
        'policy_node',
        'dp_ros.nodes.policy_node',
        parameters('policy_node', seed=args.seed, frozen_camera_s=0.0, **robot),
        threads=min(2, cores),
    )
    fleet.start(
        'action_node',
        'dp_ros.nodes.action_node',
        parameters(
            'action_node',
            dry_run=False,
            start_jump_rad=START_JUMP_RAD['realtime' if args.realtime else 'lockstep'],
            max_tracking_error_rad=MAX_TRACKING_ERROR_RAD,
            clock_timeout_s=CLOCK_TIMEOUT_S,
            # Which start is refused must follow from the seed, not from how many previews an operator waited.
            check_preview=False,
            **robot,
        ),
    )
    operator = {
        'checkpoint': checkpoint,
        'binding': args.binding,
        'episodes': args.episodes,
        'seed': args.seed,
        'record': recording,
        'pace': 'real time' if args.realtime else 'lockstep',
    }
    options = [text for key, value in operator.items() for text in (f'--{key}', str(value))]
    options += ['--bag'] if args.record is not None else []
    fleet.start('operator', 'dp_ros.nodes.demo_operator', options, log=False)


def simulated_task(checkpoint: Path) -> str:
    """What a checkpoint's contract is named after; the cube where sim_node knows nothing of that name."""
    name = Contract.from_json(checkpoint / 'contract.json').name
    return name if name in TASKS else CHECKPOINT


def _stop(fleet: Fleet) -> dict[str, int]:
    """End all processes in order; a second Ctrl-C must not leave one behind, so it is not heard here."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        return fleet.stop(STOP_ORDER, at_once=len(STOP_ORDER) - 1)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)


def _report(out: Path, recording: Path, episodes: int, wall_s: float) -> int:
    record = RunRecord.load(recording)
    record.provenance['command'] = ' '.join(sys.argv)
    record.provenance['wall clock'] = f'{wall_s:.0f} s, start of the processes included'
    video, report = out / 'rollout.mp4', out / 'report.html'
    if record.episodes:
        write_video(video, record)
    write_report(report, record, video)
    print(
        f'strict success {record.strict_successes}/{episodes}, '
        f'{record.provenance.get("real-time factor", "no")} real-time factor, {wall_s:.0f} s'
    )
    print(video)
    print(report)
    print(f'demo: {record.successes}/{episodes} episodes succeeded')
    return 0 if record.successes >= SUCCESS_TARGET * episodes else 1


def _shown(codes: dict[str, int]) -> str:
    return ', '.join(f'{name} {code}' for name, code in codes.items())


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
