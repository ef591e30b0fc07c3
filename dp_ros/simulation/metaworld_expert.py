# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Demonstrations of Meta-World's tasks by the scripted experts that come with the package.

An expert looks at the true state at every step. Where something holds the hand it would move its target on and on, to a
depth that nobody can see afterwards; here the target stays within reach of the hand, which costs no success.

Now and then the hand is pushed off its way for a few steps; what is executed then differs from the label. Since pushes
to come cannot be known, moments whose labels would reach into one are not observed: all labels are what the undisturbed
expert does next, also from where a push has left it.

With cameras every LOOK_EVERY-th such moment is observed. Drawing takes nine tenths of an episode's time, and pictures
50 ms apart are nearly the same: in the same time there are several times as many episodes, each with a goal of its own.
"""

import json
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from dp_ros.data.episode import Episode
from dp_ros.errors import TaskError
from dp_ros.simulation.metaworld import MetaWorldRobot
from dp_ros.simulation.metaworld_tasks import known_instructions
from dp_ros.simulation.recording import Recording
from dp_ros.simulation.robot import EpisodeResult, SimulatedRobot

# Steps of holding after success, so that coming to rest is in the data, but no tail of hundreds of steps.
HOLD_STEPS = 10
# How far the commanded target may lead the hand, along each axis, m. In free motion it leads by 3 to 5 cm.
REACH_M = 0.06
# Lengths of pushes and of the undisturbed stretches between them, steps of 12.5 ms, both ends included.
PUSH_STEPS = (4, 10)
CALM_STEPS = (20, 80)
# Steps from one observed moment to the next, where there are cameras.
LOOK_EVERY = 4
_NOISE_STREAM = 1


def pushes(seed: int, steps: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """What is added to the expert's actions, (steps, 3) in actions' units, and when a push goes on, (steps,) bool.

    Each push has one random direction and a strength uniform up to ``scale`` (1 is the fastest that the hand moves).
    """
    rng = np.random.default_rng([seed, _NOISE_STREAM])
    added, pushed = np.zeros((steps, 3)), np.zeros(steps, bool)
    start = int(rng.integers(0, CALM_STEPS[1] + 1))
    while start < steps and scale > 0:
        stop = start + int(rng.integers(PUSH_STEPS[0], PUSH_STEPS[1] + 1))
        direction = rng.normal(size=3)
        added[start:stop] = rng.uniform(0.0, scale) * direction / np.linalg.norm(direction)
        pushed[start:stop] = True
        start = stop + int(rng.integers(CALM_STEPS[0], CALM_STEPS[1] + 1))
    return added, pushed


def expert_target(robot: MetaWorldRobot, expert: Any) -> np.ndarray:
    """What the expert commands now, (4,), within reach of the hand."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # it warns of actions that the environment clips
        target = robot.target(expert.get_action(robot.observed))
    hand = robot.joint_positions()[:3]
    target[:3] = np.clip(target[:3], hand - REACH_M, hand + REACH_M)
    return target


def run_expert(robot: MetaWorldRobot, seed: int) -> EpisodeResult:
    """One undisturbed episode; the robot stays where it ends, HOLD_STEPS after success."""
    expert = robot.make_expert()
    robot.reset(seed)
    left = HOLD_STEPS
    for _ in range(robot.episode_steps):
        if robot.result().success:
            left -= 1
            if left < 0:
                break
        robot.step(expert_target(robot, expert))
    return robot.result()


class MetaWorldDemonstrator:
    """Demonstrations of any of the 50 tasks; the noise is the largest strength of a push, 1 being full speed."""

    default_noise = 0.8
    packages = ('metaworld', 'mujoco', 'numpy')

    def settings(self, noise: float) -> dict[str, Any]:
        """Pushes and how an episode ends."""
        return {
            'max_push': noise,
            'push_steps': list(PUSH_STEPS),
            'calm_steps': list(CALM_STEPS),
            'hold_steps': HOLD_STEPS,
            'reach_m': REACH_M,
            'look_every': LOOK_EVERY,
            'kept': 'successes',
        }

    def kept(self, result: EpisodeResult) -> bool:
        """Successes."""
        return result.success

    def demonstrate(self, robot: SimulatedRobot, seed: int, noise: float) -> tuple[Episode, EpisodeResult]:
        """Run until HOLD_STEPS after success, and observe where the labels reach into no push."""
        if not isinstance(robot, MetaWorldRobot):
            raise TaskError(f'not a robot of Meta-World: {type(robot).__name__}')
        expert = robot.make_expert()
        robot.reset(seed)
        added, pushed = pushes(seed, robot.episode_steps, noise)
        recording = Recording(robot)
        horizon, sees = robot.contract.timing.pred_horizon, bool(robot.contract.cameras)
        looked, left = np.zeros(len(pushed), bool), HOLD_STEPS
        for k in range(robot.episode_steps):
            label = expert_target(robot, expert)
            left -= robot.result().success
            if robot.result().success:
                pushed[k:], added[k:] = False, 0.0  # the end is shown as it shall be
            # Where a push is planned nothing is drawn, though success may call it off.
            looked[k] = not sees or left < 0 or (k % LOOK_EVERY == 0 and not pushed[k : k + horizon].any())
            recording.observe(label, bool(looked[k]))
            if left < 0:
                break
            # Added to the target: the environment cuts what is faster than the hand can be.
            robot.step(label + np.append(added[k] * robot.env.action_scale, 0.0))
        result = robot.result()
        episode = recording.episode(
            {
                'task': f'metaworld/{robot.task}',
                'seed': str(seed),
                'instruction': json.dumps(known_instructions(robot.task)),
                'success': str(result.success),
            }
        )
        calm = _undisturbed(pushed[: len(episode)], horizon)
        return _observed_at(episode, np.flatnonzero(calm & looked[: len(episode)])), result


def _undisturbed(pushed: np.ndarray, horizon: int) -> np.ndarray:
    """(N,) bool: steps from which the next ``horizon`` labels are free of pushes."""
    free: np.ndarray = np.convolve(pushed, np.ones(horizon))[horizon - 1 :] == 0
    return free


def _observed_at(episode: Episode, keep: np.ndarray) -> Episode:
    """Only these anchors; frames and commands stay whole."""
    return replace(
        episode,
        stamps_ns=episode.stamps_ns[keep],
        proprio=episode.proprio[keep],
        image_index={name: index[keep] for name, index in episode.image_index.items()},
        privileged=None if episode.privileged is None else episode.privileged[keep],
        vectors={name: values[keep] for name, values in episode.vectors.items()},
    )
