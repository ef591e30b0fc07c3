# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""action_node as a process, how to drive it, and what every stop must look like."""

import numpy as np

# The joints of an arm brake with 8 rad/s^2 in the binding; its gripper, the last column, in other units.
ARM = slice(0, 6)
MAX_ACCELERATION = 8.0
SPEED = 0.2


def start(graph, checkpoint, **parameters):
    settings = {'checkpoint': checkpoint, 'binding': 'aloha_sim', 'autostart': True, 'use_sim_time': True}
    settings |= {'soft_start_s': 0.1, 'max_tracking_error_rad': 0.0, 'clock_timeout_s': 30.0}
    process = graph.start('action_node', **{**settings, 'dry_run': False, 'discovery_s': 0.3, **parameters})
    graph.active('action_node')
    return process


def drive(graph, robot, steps=25):
    """Engage and follow chunks for so many control steps."""
    answer = graph.engage()
    assert answer.success, answer.message
    robot.drive(SPEED)
    robot.step(steps, windows=True)
    assert graph.state() == 'RUN: following chunks'


def assert_brakes(robot, arm='left'):
    """What the controllers command goes on at the chunks' speed, then brakes as the binding allows, to rest."""
    positions, velocities = robot.commands(arm)
    cruising = np.flatnonzero(velocities[:, 0] > 0.999 * SPEED)
    assert len(cruising), 'the arm never came to speed'
    ending = slice(cruising[-1], None)
    np.testing.assert_array_equal(velocities[-50:], 0.0)
    decelerations = np.diff(velocities[ending, ARM], axis=0) / 0.005
    assert np.abs(decelerations).max() < MAX_ACCELERATION * 1.01
    assert np.diff(positions[ending, ARM], axis=0).min() >= -1e-12, 'it goes back instead of braking'
