# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A bag through the real nodes: policy_node, action_node in dry run, the evaluator and the player, as processes.

What `launch/replay.launch.py` starts, on a ROS domain of its own, where there is no launch system. Several checkpoints
are played to one after the other.
"""

import importlib.util
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from dp_ros.cli.ros_processes import Fleet, ProcessError, free_domain, local_environment, parameters
from dp_ros.errors import ConfigError, MismatchError
from dp_ros.evaluation.replay_record import ReplayRecord

STOP_ORDER = ('player', 'replay_evaluator', 'policy_node', 'action_node')
ENGAGED_TOPIC = 'replay_evaluator/engaged'
# What the evaluator writes: the record of one policy.
_RECORD = 'replay.npz'
# The pictures of many minutes take their time.
_RECORD_S = 600.0


@dataclass(frozen=True, kw_only=True)
class LiveReplay:
    """What is replayed and how.

    Attributes:
        bag, checkpoint: paths.
        out: directory of the record and of the processes' logs.
        binding: YAML file, or name of a shipped one.
        title: name of the policy in the report; empty: the contract's.
        seed: of the policy's noise.
        rate: seconds of the bag a second.
        lockstep: the player waits for every chunk, so that they do not depend on the speed of this machine.
        start_s, duration_s: part of the bag; no duration: all of it.
        frozen_camera_s: see policy_node; 0 for bags of a simulation.
        instruction: of episodes for which the bag has none.
    """

    bag: Path
    checkpoint: Path
    binding: str
    out: Path
    title: str = ''
    seed: int = 0
    rate: float = 1.0
    lockstep: bool = False
    start_s: float = 0.0
    duration_s: float = 0.0
    frozen_camera_s: float = 1.0
    instruction: str = ''


def replay_live(asked: LiveReplay) -> tuple[ReplayRecord, bool]:
    """Play the bag through the nodes: what they made of it, and whether every process ended cleanly.

    Raises:
        ConfigError: there is no ROS here.
        MismatchError: no chunk was heard; the processes' last words stand on stderr.
    """
    if importlib.util.find_spec('rclpy') is None:
        raise ConfigError(
            'a live replay needs ROS 2: source a distribution, or pip install "dp_ros[ros-jazzy]"'
        )
    record = asked.out / _RECORD
    record.unlink(missing_ok=True)
    with Fleet(asked.out / 'logs', local_environment(free_domain())) as fleet:
        try:
            _start(fleet, asked)
            codes = {'player': fleet.wait_for('player')}
            # To be asked to end tells it that the bag is over.
            fleet.interrupt('replay_evaluator')
            codes['replay_evaluator'] = fleet.wait('replay_evaluator', _RECORD_S) or 0
        except ProcessError as error:
            print(f'dp_ros replay: {error}', file=sys.stderr)
            codes = {'a node': 1}
        tails = '\n'.join(fleet.tail(name) for name in STOP_ORDER)
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            codes |= fleet.stop(STOP_ORDER, at_once=3)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    unclean = {name: code for name, code in codes.items() if code}
    if unclean:
        print(f'{tails}\ndp_ros replay: not every process ended cleanly: {unclean}', file=sys.stderr)
    if not record.is_file():
        raise MismatchError(f'the nodes made no chunk of bag {str(asked.bag)!r}; logs: {asked.out / "logs"}')
    return ReplayRecord.load(record), not unclean


def _start(fleet: Fleet, asked: LiveReplay) -> None:
    policy = {'checkpoint': asked.checkpoint.resolve(), 'binding': asked.binding}
    common = {**policy, 'autostart': True, 'use_sim_time': True}
    fleet.start(
        'policy_node',
        'dp_ros.nodes.policy_node',
        parameters(
            'policy_node',
            **common,
            seed=asked.seed,
            engaged_topic=ENGAGED_TOPIC,
            frozen_camera_s=float(asked.frozen_camera_s),
        ),
        # As many as the offline replay takes in this shell: sums in another order differ in their last bits.
        threads=torch.get_num_threads(),
    )
    fleet.start(
        'action_node',
        'dp_ros.nodes.action_node',
        # The bag holds what commanded the robot, and its clock stands while the player waits.
        parameters(
            'action_node',
            **common,
            dry_run=True,
            publisher_conflict='warn',
            clock_timeout_s=0.0,
            check_preview=False,
        ),
    )
    fleet.start(
        'replay_evaluator',
        'dp_ros.nodes.replay_evaluator',
        parameters(
            'replay_evaluator',
            **policy,
            use_sim_time=True,
            out=asked.out.resolve(),
            bag=asked.bag.resolve(),
            title=asked.title,
            player='play_node',
            resets=not asked.lockstep,
            instruction=asked.instruction,
            report=False,
        ),
    )
    fleet.start(
        'player',
        'dp_ros.nodes.play_node',
        parameters(
            'play_node',
            **policy,
            bag=asked.bag.resolve(),
            paused=True,
            rate=float(asked.rate),
            lockstep=asked.lockstep,
            start_s=float(asked.start_s),
            duration_s=float(asked.duration_s),
            frozen_camera_s=float(asked.frozen_camera_s),
            instruction=asked.instruction,
        ),
        log=False,
        images=True,
    )
