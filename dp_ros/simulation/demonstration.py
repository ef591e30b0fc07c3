# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Recording one demonstration: the expert's plan, executed with noise, labelled without."""

from dataclasses import asdict
from typing import Any, Protocol

import numpy as np

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.simulation.expert import ExpertSettings, TransferCubeExpert
from dp_ros.simulation.insertion_expert import InsertionExpert, InsertionSettings
from dp_ros.simulation.recording import Recording
from dp_ros.simulation.robot import EpisodeResult, SimulatedRobot

# The noise forgets itself in about 0.2 s: long enough to push the arms off their path, short against a phase.
NOISE_MEMORY_STEPS = 10
_NOISE_STREAM = 1


class OpenLoopExpert(Protocol):
    """An expert that plans a whole episode before its first step."""

    def plan(self, things: np.ndarray, start: np.ndarray, /) -> np.ndarray:
        """Joint targets (steps, A) from the objects' positions (what ``privileged`` tells) and the joints' (A,)."""
        ...


def ornstein_uhlenbeck(rng: np.random.Generator, steps: int, width: int, scale: float) -> np.ndarray:
    """Noise (steps, width) that starts at zero and settles to standard deviation ``scale``."""
    keep = np.exp(-1.0 / NOISE_MEMORY_STEPS)
    kicks = rng.normal(0.0, scale * np.sqrt(1.0 - keep * keep), (steps, width))
    out = np.zeros((steps, width))
    for k in range(1, steps):
        out[k] = keep * out[k - 1] + kicks[k]
    return out


def disturbed(plan: np.ndarray, contract: Contract, seed: int, max_noise: float) -> tuple[np.ndarray, float]:
    """A plan (steps, A) with noise on the joints in rad, none on grippers in m; and the noise's scale in rad."""
    rng = np.random.default_rng([seed, _NOISE_STREAM])
    scale = float(rng.uniform(0.0, max_noise))
    noise = ornstein_uhlenbeck(rng, plan.shape[0], plan.shape[1], scale)
    noise[:, [j.unit != 'rad' for j in contract.embodiment.joints]] = 0.0
    return plan + noise, scale


def demonstrate(
    robot: SimulatedRobot, expert: OpenLoopExpert, seed: int, max_noise: float
) -> tuple[Episode, EpisodeResult]:
    """Run one episode and record it at the policy's period.

    The arm joints (not the grippers) execute the plan plus Ornstein-Uhlenbeck noise, whose scale is drawn anew for
    each episode from 0 to ``max_noise`` rad: the robot is seen off the expert's path, with labels that lead back.

    Args:
        robot: the robot, whose contract says which frames are kept.
        expert: the planner of the noise-free commands.
        seed: seed of the reset and of the noise.
        max_noise: largest scale of the noise, rad.

    Returns:
        the episode (frames before the command of their step is applied) and how it ended.
    """
    contract = robot.contract
    stride, rest = divmod(contract.timing.period_ns, robot.control_period_ns)
    assert rest == 0, 'the policy period of a simulated task is a multiple of the control period'
    robot.reset(seed)
    plan = expert.plan(robot.privileged(), robot.joint_positions())
    commands, scale = disturbed(plan, contract, seed, max_noise)
    recording = Recording(robot)
    for k, (label, command) in enumerate(zip(plan, commands, strict=True)):
        if k % stride == 0:
            recording.observe(label)
        robot.step(command)
    result = robot.result()
    metadata = {
        'seed': str(seed),
        'noise_rad': f'{scale:.6f}',
        'success': str(result.success),
        'strict_success': str(result.strict_success),
    }
    return recording.episode(metadata), result


class TransferCubeDemonstrator:
    """Demonstrations of ``aloha_transfer_cube``; the noise is in rad. See :func:`demonstrate`."""

    default_noise = 0.03
    packages = ('gym-aloha', 'mujoco', 'dm_control', 'numpy')

    def settings(self, noise: float) -> dict[str, Any]:
        """Noise and the expert's numbers."""
        return {'max_noise_rad': noise, 'expert': asdict(ExpertSettings()), 'kept': 'strict successes'}

    def kept(self, result: EpisodeResult) -> bool:
        """Strict successes."""
        return result.strict_success

    def demonstrate(self, robot: SimulatedRobot, seed: int, noise: float) -> tuple[Episode, EpisodeResult]:
        """One episode of 300 steps."""
        return demonstrate(robot, TransferCubeExpert(), seed, noise)


class InsertionDemonstrator:
    """Demonstrations of ``aloha_insertion``; the noise is in rad. See :func:`demonstrate`."""

    # A sixth of the cube's: the things are held by narrow faces, and only millimetres of play are left to meet.
    default_noise = 0.005
    packages = TransferCubeDemonstrator.packages

    def settings(self, noise: float) -> dict[str, Any]:
        """Noise and the expert's numbers."""
        return {'max_noise_rad': noise, 'expert': asdict(InsertionSettings()), 'kept': 'strict successes'}

    def kept(self, result: EpisodeResult) -> bool:
        """Strict successes: noise may pull apart again what was inserted."""
        return result.strict_success

    def demonstrate(self, robot: SimulatedRobot, seed: int, noise: float) -> tuple[Episode, EpisodeResult]:
        """One episode of 300 steps."""
        return demonstrate(robot, InsertionExpert(), seed, noise)
