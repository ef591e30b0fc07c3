# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One bag, and three that look at it: a real policy_node to which it is played, the import, and the offline replay.

What they see and what the policy makes of it is the same, bit for bit: cameras that jitter at 30 Hz, one of them silent
for a while, joints at 200 Hz, two episodes with instructions of their own.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from bag_maker import START_NS, Command, MadeCamera, Plan, example_binding_data, example_contract, make_bag
from bag_messages import SECOND_NS, TEXT, text_message

from dp_ros.bags.marks import Mark
from dp_ros.bags.reader import open_bag
from dp_ros.contract import Contract
from dp_ros.contract.binding import Binding
from dp_ros.data.episode_file import read_episode
from dp_ros.data.importer import ImportSettings, import_bag
from dp_ros.evaluation.replay import ReplaySettings, Stretch, replay
from dp_ros.evaluation.replay_record import ReplayRecord
from dp_ros.observation.observation_file import load_observation
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.streaming import StreamingPolicy
from dp_ros.policy.testing import tiny_checkpoint

CAMERAS = {
    'top': MadeCamera('/top/image_raw'),
    'wrist': MadeCamera('/wrist/image_raw', dropout=(0.7, 1.1)),
}
EPISODES_S = ((0.2, 1.5), (1.6, 2.7))
INSTRUCTIONS = ('push the button', 'open the drawer')
SEED = 5


class Witness(StreamingPolicy):
    """Keeps what it is shown."""

    def __init__(self, *args, **keywords):
        self.seen = {}
        super().__init__(*args, **keywords)

    def tick(self, observation):
        self.seen[observation.stamp_ns] = observation
        return super().tick(observation)


@pytest.fixture(scope='module')
def spans():
    return [tuple(START_NS + round(at * SECOND_NS) for at in episode) for episode in EPISODES_S]


@pytest.fixture(scope='module')
def bag(spans, tmp_path_factory):
    marks = []
    for number, (start_ns, stop_ns) in enumerate(spans):
        for event, at_ns, outcome in (('start', start_ns, 'unmarked'), ('stop', stop_ns, 'success')):
            mark = Mark(
                event=event, episode=number, stamp_ns=at_ns, outcome=outcome, instruction=INSTRUCTIONS[number]
            )
            marks.append(('/record_node/episode', TEXT, at_ns, text_message(mark.to_json())))
    path = tmp_path_factory.mktemp('bags') / 'two_episodes'
    plan = Plan(
        duration_s=2.9,
        cameras=tuple(CAMERAS.values()),
        commands=(Command('/arm_controller/joint_trajectory'),),
        extra=tuple(marks),
    )
    make_bag(path, plan)
    return path


@pytest.fixture(scope='module')
def binding(tmp_path_factory):
    data = example_binding_data(made=CAMERAS)
    for source in (*data['joint_states'], *data['cameras'].values()):
        source['qos'] = 'reliable'
    path = tmp_path_factory.mktemp('bindings') / 'made.yaml'
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.fixture(scope='module')
def policy(tmp_path_factory):
    contract = example_contract(cameras={name: camera.size for name, camera in CAMERAS.items()})
    contract = replace(contract, goals=('instruction',))
    return tiny_checkpoint(tmp_path_factory.mktemp('checkpoints') / 'made', contract)


@pytest.fixture(scope='module')
def offline(bag, binding, policy, spans):
    """The record of an offline replay, and what its policy was shown."""
    # As many as the node's process has: sums in another order differ in their last bits.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    witness = Witness(load_checkpoint(policy), SEED)
    episodes = [Stretch(*span, text) for span, text in zip(spans, INSTRUCTIONS, strict=True)]
    settings = ReplaySettings(seed=SEED, full_sampling=False, stretches=episodes)
    with open_bag(bag) as opened:
        record = replay(opened, Binding.from_yaml(binding), witness, settings)
    torch.set_num_threads(threads)
    return record, witness.seen


@pytest.fixture(scope='module')
def live(graph, bag, binding, policy, tmp_path_factory):
    """The record of a live replay through the graph, and what policy_node was shown."""
    out = tmp_path_factory.mktemp('live')
    common = {'checkpoint': policy, 'binding': binding}
    graph.start(
        'policy_node', **common, seed=SEED, autostart=True, use_sim_time=True, discovery_s=0.0,
        engaged_topic='/replay_evaluator/engaged', record_observations=out / 'seen',
    )  # fmt: skip
    graph.start(
        'replay_evaluator',
        **common,
        out=out,
        action='""',
        player='play_node',
        resets=False,
        use_sim_time=True,
    )
    player = graph.start(
        'play_node', **common, bag=bag, lockstep=True, paused=True, rate=3.0, discovery_s=0.0
    )
    graph.until(lambda: player.poll() is not None, 60.0, 'the end of the bag')
    assert player.returncode == 0, graph.fleet.tail('play_node')
    graph.fleet.interrupt('replay_evaluator')
    assert graph.fleet.wait('replay_evaluator', 20.0) == 0, graph.fleet.tail('replay_evaluator')
    assert (out / 'replay.html').is_file()
    seen = [load_observation(path) for path in (out / 'seen').iterdir()]
    return ReplayRecord.load(out / 'replay.npz'), {o.stamp_ns: o for o in seen}


def test_the_bag_makes_it_hard(offline):
    record, _ = offline
    assert {tick.episode for tick in record.ticks} == {0, 1}
    gaps = np.diff([tick.stamp_ns for tick in record.ticks])
    assert len(set(gaps)) > 4, 'cameras jitter'
    assert gaps.max() > 300_000_000, 'a camera was silent'


def test_policy_node_sees_what_the_offline_replay_sees(offline, live):
    record, expected = offline
    _, seen = live
    for tick in record.ticks:
        assert_same_observation(seen[tick.stamp_ns], expected[tick.stamp_ns])


def test_the_import_stores_what_policy_node_saw(bag, binding, policy, live, tmp_path):
    contract = Contract.from_json(policy / 'contract.json')
    imported = import_bag(bag, contract, Binding.from_yaml(binding), ImportSettings(), tmp_path)
    assert imported.skipped == []
    record, seen = live
    episodes = [read_episode(file, contract) for file in imported.files]
    anchors = {int(stamp): (e, i) for e in episodes for i, stamp in enumerate(e.stamps_ns)}
    compared = 0
    for tick in record.ticks:
        if tick.stamp_ns not in anchors:
            # An anchor needs a label, and no command is known before the first one of an episode.
            assert not any(e.stamps_ns[0] <= tick.stamp_ns <= e.stamps_ns[-1] for e in episodes)
            continue
        ours = seen[tick.stamp_ns]
        episode, i = anchors[tick.stamp_ns]
        np.testing.assert_array_equal(episode.proprio[i], ours.proprio)
        for name, pixels in ours.images.items():
            np.testing.assert_array_equal(episode.images[name][episode.image_index[name][i]], pixels)
        compared += 1
    assert compared >= len(record.ticks) - len(EPISODES_S)


def test_its_chunks_are_those_of_the_offline_replay(offline, live):
    expected, got = offline[0].ticks, live[0].ticks
    assert [t.stamp_ns for t in got] == [t.stamp_ns for t in expected]
    assert [t.episode for t in got] == [t.episode for t in expected]
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours.chunk, theirs.chunk)
    assert all(t.stage_ms for t in got)


def assert_same_observation(ours, theirs):
    np.testing.assert_array_equal(ours.proprio, theirs.proprio)
    assert ours.images.keys() == theirs.images.keys()
    for name, pixels in ours.images.items():
        np.testing.assert_array_equal(pixels, theirs.images[name])
