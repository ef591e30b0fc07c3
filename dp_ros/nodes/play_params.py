# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The parameters of play_node and replay_evaluator."""

from dataclasses import dataclass

from dp_ros.nodes.params import param


@dataclass(frozen=True, kw_only=True)
class PlayParams:
    """Parameters of play_node; a namespace and remappings are those of any node."""

    bag: str = param('', 'The bag: its directory, or one storage file.')
    rate: float = param(1.0, 'Seconds of the bag a second; 0: as fast as it goes.', 0.0, 1000.0)
    paused: bool = param(False, 'Begin paused; ~/resume or the space key goes on.')
    loop: bool = param(False, 'Begin again at the end; the clock jumps back.')
    clock_hz: float = param(200.0, 'Times a second at which /clock is published, wall clock.', 1.0, 1000.0)
    topics: str = param(
        '',
        "Absolute topics to publish, separated by spaces; empty: the binding's, or all where there is none.",
    )
    start_s: float = param(0.0, 'Leave out so much of the beginning.', 0.0, 1e9)
    duration_s: float = param(0.0, 'Play so much of the bag; 0: all of it.', 0.0, 1e9)
    binding: str = param('', 'YAML file: which topics a robot has; a bare name means one in config/bindings.')
    lockstep: bool = param(
        False,
        'Wait after each message for the chunk that the policy owes for it; needs binding and checkpoint.',
    )
    checkpoint: str = param('', 'Lockstep: directory of the checkpoint that the policy runs.')
    policy: str = param('policy_node', 'Lockstep: name of the policy.')
    wait_s: float = param(30.0, 'Lockstep: longest wait for a chunk, wall clock.', 0.01, 600.0)
    frozen_camera_s: float = param(1.0, 'Lockstep: as the parameter of policy_node.', 0.0, 600.0)
    instruction: str = param(
        '', 'Lockstep, for a policy that takes instructions: of episodes for which the bag has none.'
    )
    discovery_s: float = param(
        1.0, 'Wall-clock time before the first message, in which subscribers find the publishers.', 0.0, 30.0
    )


@dataclass(frozen=True, kw_only=True)
class EvaluatorParams:
    """Parameters of replay_evaluator."""

    checkpoint: str = param(
        '', 'Directory of the checkpoint that the policy runs; a bare name means one that ships.'
    )
    binding: str = param('', 'YAML file: which topic carries what; a bare name means one that ships.')
    out: str = param('', 'Directory of the report.')
    bag: str = param('', 'The bag that is played, for the report.')
    title: str = param('', "Name of the policy in the report; empty: the contract's.")
    policy: str = param('policy_node', 'Name of the policy.')
    action: str = param(
        'action_node', 'Name of the action node that judges the chunks, in dry run; empty: none.'
    )
    player: str = param(
        '',
        'A paused player that goes on once policy and robot are ready: play_node, /rosbag2_player; empty: none.',
    )
    resets: bool = param(
        True,
        'Where an episode begins, instruct and reset the policy; false where the player does, in lockstep.',
    )
    instruction: str = param('', 'Of episodes for which the bag has none.')
    report: bool = param(True, 'Write page and JSON beside the record.')
    episode_topic: str = param('record_node/episode', 'Where the marks of episodes are.')
