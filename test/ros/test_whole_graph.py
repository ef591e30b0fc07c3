# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""sim_node, policy_node and action_node together: lockstep, and what happens when one of them dies."""

import numpy as np
import pytest
import torch

pytest.importorskip('gym_aloha', reason='needs the extra sim')

from diagnostic_msgs.msg import DiagnosticStatus
from graph_under_test import LATCHED
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from dp_ros.evaluation.closed_loop import run_episode
from dp_ros.messages.stamps import header_ns
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.policy.modes import make_controller
from dp_ros.simulation.robot import make_task

pytestmark = pytest.mark.sim

STEPS = 60
ARM = slice(0, 6)


@pytest.fixture(scope='module')
def running(graph, checkpoint):
    """All three nodes, as `dp_ros demo` starts them."""
    graph.commanded, graph.seeds, graph.episode = {}, {}, {}

    def on_commanded(message):
        graph.commanded[header_ns(message)] = (np.array(message.position), np.array(message.velocity))

    def on_episode(message):
        graph.episode = {'state': message.message, **{v.key: v.value for v in message.values}}

    graph.listen(JointState, '/sim_node/commanded', on_commanded)
    graph.node.create_subscription(DiagnosticStatus, '/sim_node/episode', on_episode, LATCHED)
    graph.previews = graph.listen(JointTrajectory, '/policy_node/preview')
    graph.windows = graph.listen(JointTrajectory, '/left_arm_controller/joint_trajectory')
    robot = {'checkpoint': checkpoint, 'binding': 'aloha_sim', 'autostart': True, 'use_sim_time': True}
    graph.start('sim_node', discovery_s=0.3)
    graph.policy = graph.start('policy_node', frozen_camera_s=0.0, discovery_s=0.3, **robot)
    # An untrained policy wants what no gate should let pass, and the simulation's clock waits for it.
    gates = {
        'limit_tolerance_m': 1.0,
        'limit_tolerance_rad': 10.0,
        'clip_budget': 1.0,
        'max_speed_ratio': 100.0,
    }
    gates |= dict.fromkeys(('max_seam_rad', 'max_seam_rad_s', 'max_seam_m', 'max_seam_m_s'), 0.0)
    gates |= dict.fromkeys(('max_deviation_rad', 'max_deviation_m', 'max_tracking_error_rad'), 0.0)
    graph.start(
        'action_node',
        dry_run=False,
        discovery_s=0.3,
        clock_timeout_s=10.0,
        check_preview=False,
        **gates,
        **robot,
    )
    graph.active('action_node', 'policy_node')
    graph.until(lambda: len(graph.previews) > 1, 30.0, 'previews')
    return graph


@pytest.fixture(scope='module')
def direct(checkpoint):
    """Commands of the direct rollout, by seed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the fleet gives policy_node: sums in another order round differently
    robot = make_task('aloha_transfer_cube')
    controller = make_controller(load_checkpoint(checkpoint))

    def commands(seed):
        controller.seed = seed
        return run_episode(robot, controller, seed).commanded

    yield commands
    robot.close()
    torch.set_num_threads(threads)


def run(graph, steps):
    """Reset, engage, and let so many steps happen; returns the seed and the commands (steps, 14)."""
    assert graph.trigger('/policy_node/reset').success
    graph.until(lambda: graph.trigger('/sim_node/reset').success, what='the reset')
    graph.until(lambda: graph.episode.get('state') == 'standing', what='the reset to show')
    seed = int(graph.episode['seed'])
    answer = graph.engage()
    assert answer.success, answer.message
    graph.until(lambda: graph.episode['state'] == 'running', 30.0, 'the start')
    start_ns = int(graph.episode['start_ns'])
    stamps = [start_ns + 20_000_000 * step for step in range(steps)]
    graph.until(lambda: stamps[-1] in graph.commanded, 60.0, 'commands')
    return seed, np.array([graph.commanded[stamp][0] for stamp in stamps])


def assert_comes_to_rest(graph):
    """What is commanded changes its speed as the binding allows until it rests, as soon as it can.

    A joint that was gathering speed does so for a moment yet: its acceleration turns round with limited jerk.
    """
    begun_ns = max(graph.commanded)

    def resting():
        newest = [graph.commanded[stamp][1] for stamp in sorted(graph.commanded)[-10:]]
        return max(graph.commanded) > begun_ns + 500_000_000 and not np.any(newest)

    graph.until(resting, 20.0, 'the arms to rest')
    stamps = [stamp for stamp in sorted(graph.commanded) if stamp >= begun_ns]
    speeds = np.array([graph.commanded[stamp][1][ARM] for stamp in stamps])
    assert np.abs(np.diff(speeds, axis=0) / 0.02).max() <= 8.0 * 1.01
    moving = np.flatnonzero(np.abs(speeds).max(axis=1) > 1e-9)
    # From the fastest that the binding allows, plus what was frozen and how late we heard of the brake.
    assert moving[-1] * 0.02 <= 3.14 / 8.0 + 0.3


def test_disengaged_the_robot_stands_and_nothing_is_commanded(running):
    before = len(running.previews)
    running.until(lambda: len(running.previews) >= before + 3, what='previews')
    assert running.windows == []
    assert running.commanded == {}
    assert running.episode['state'] == 'standing'


@pytest.mark.parametrize('episode', [0, 1])
def test_lockstep_equals_the_direct_rollout(running, direct, episode):
    """So equal seeds give equal commands, however fast the machine is and in whatever order messages arrive."""
    seed, commands = run(running, STEPS)
    assert seed == episode
    refused = running.trigger('/sim_node/reset')
    assert not refused.success, 'a reset under engaged arms'
    assert running.engage(False).success
    np.testing.assert_array_equal(commands, direct(seed)[:STEPS])
    assert_comes_to_rest(running)


def test_no_wait_ended_in_a_time_out(running):
    # Whatever the runs before came to, since the start of sim_node.
    running.until(lambda: running.values('sim_node: counters'), what='counters')
    assert running.values('sim_node: counters') == {
        'chunk_timeouts': '0',
        'window_timeouts': '0',
        'late_starts': '0',
        'rejected_windows': '0',
        'overruns': '0',
    }


def test_kill_of_the_policy_leads_to_hold_with_a_brake(running):
    run(running, STEPS)
    running.policy.kill()
    running.policy.wait()
    running.until(lambda: running.state().startswith('HOLD: no chunk for'), 30.0, 'HOLD')
    assert_comes_to_rest(running)
    assert running.engaged[-1] is False


def test_sigint_ends_the_others_with_0(running):
    codes = running.fleet.stop(['action_node', 'sim_node'])
    assert codes['action_node'] == codes['sim_node'] == 0
