# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A task of Meta-World (metaworld 3.1.1) as a simulated robot: one arm, commanded by absolute targets of its hand.

Physics, resets, goals and success are the package's own, through its goal-observable classes. What is added:

* **Commands.** The environment takes changes of the hand's target (its mocap body), at most 1 cm a step, and sums them
  up. Here a command is the target itself; :meth:`MetaWorldRobot.step` finds the change that leads there, to the
  last bit.
  What lies more than 1 cm away is approached at 1 cm a step.
* **Seeds.** The package draws object and goal from a generator of its own once ``seeded_rand_vec`` is set.
* **Pictures.** A fixed camera of our own and the package's at the hand, without shadows and multisampling. The goal's
  marker is drawn where the environment keeps it; after a step its own pictures show it elsewhere, since it places the
  marker too early.
* **Success.** As the package evaluates: reached at any step of at most 500. The episode is done then.
"""

from typing import Any

import numpy as np

from dp_ros.contract import Contract
from dp_ros.errors import TaskError
from dp_ros.share import share_path
from dp_ros.simulation.metaworld_disturbance import disturb_s, move
from dp_ros.simulation.metaworld_tasks import held_out_instructions, known_instructions
from dp_ros.simulation.rendering import SceneRenderer, choose_backend
from dp_ros.simulation.robot import ContractRobot, EpisodeResult

choose_backend()

from metaworld.env_dict import ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE  # noqa: E402
from metaworld.policies import ENV_POLICY_MAP  # noqa: E402

# The first one sees hand, object and goal of all tasks, the second one, of the package's model, what is below the hand.
CAMERAS: dict[str, dict[str, Any] | str] = {
    'corner': {'lookat': (-0.03, 0.62, 0.11), 'distance': 1.1, 'azimuth': 140.0, 'elevation': -36.0},
    'hand': 'gripperPOV',
}
# Places in the environment's observation: hand (m), gripper's opening (0 to 1), and the same one step before.
_HAND, _OPENING, _FRAME = slice(0, 3), 3, 18
# Enough to turn an error of rounding into none.
_CORRECTIONS = 8


class MetaWorldRobot(ContractRobot):
    """One task. Not thread-safe: step and render from one thread.

    Joints: hand_x, hand_y, hand_z in m, and gripper without unit: -1 open, 1 closed. Measured is where the hand is and
    how far the fingers are; commanded where the hand shall be and with which effort the fingers close.

    Args:
        task: name in the package, such as 'reach-v3'.
        state: no camera, but the environment's 39 numbers (hand, objects, the same one step before, goal) as the vector
            'state'. A policy without pictures cannot see the goal, so it is given.

    Attributes:
        phrasing: 'known' or 'held_out': which paraphrases of the instruction the next episodes carry.
        disturb_s: see :class:`~dp_ros.simulation.disturbance.Disturbable`; (0, 0) where nothing may be moved.
    """

    direct = True
    binding = ''

    def __init__(self, task: str, state: bool = False) -> None:
        name = 'metaworld_state' if state else 'metaworld'
        self.contract = Contract.from_json(share_path('config', 'contracts', f'{name}.json'))
        self.task, self._state = task, state
        self.disturb_s = disturb_s(task)
        self.phrasing = 'known'
        self.instruction: str | None = None
        # The seed only fixes what the constructor draws: without one it would draw from NumPy's global generator.
        classes: dict[str, Any] = ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE
        self.env: Any = classes[f'{task}-goal-observable'](seed=0)
        self.env._freeze_rand_vec = False
        self.env.seeded_rand_vec = True
        self.control_period_ns = round(self.env.dt * 1e9)
        self.episode_steps: int = self.env.max_path_length
        self._renderers: dict[str, SceneRenderer] = {}
        self._expert_view: tuple[int, np.ndarray] | None = None
        self._second: MetaWorldRobot | None = None
        self._seed: int | None = None
        self.observed = np.zeros(39)

    def reset(self, seed: int) -> None:
        """Start an episode; the seed places object and goal and chooses the instruction's words."""
        self.env.seed(seed)
        self.observed, _ = self.env.reset()
        texts = (held_out_instructions if self.phrasing == 'held_out' else known_instructions)(self.task)
        self.instruction = texts[seed % len(texts)]
        self._seed, self._steps, self._max_reward, self._success = seed, 0, 0.0, False

    def joint_positions(self) -> np.ndarray:
        """Where the hand is and how far the gripper is closed, (4,) float64; a copy."""
        return _positions(self.observed)

    def joint_velocities(self) -> np.ndarray:
        """Difference of the last two positions over the period, (4,) float64."""
        before = _positions(self.observed[_FRAME:])
        return (self.joint_positions() - before) / (self.control_period_ns * 1e-9)

    def vectors(self) -> dict[str, np.ndarray]:
        """The environment's observation, where the contract asks for it."""
        return {'state': self.observed.copy()} if self._state else {}

    def privileged(self) -> np.ndarray:
        """The environment's observation, (39,) float64: hand, objects, the same one step before, goal."""
        return self.observed.copy()

    def render(self, camera: str) -> np.ndarray:
        """The camera's picture now, (H, W, 3) uint8 RGB, a copy; :class:`TaskError` for unknown cameras."""
        size = self.source_size(camera)
        if camera not in self._renderers:
            self._renderers[camera] = SceneRenderer(self.env.model, size, CAMERAS[camera])
        return self._renderers[camera].render(self.env.data, dict(self.env._target_site_config))

    def target(self, action: np.ndarray) -> np.ndarray:
        """The command (4,) that does what an action of the environment (4,) would do now."""
        env = self.env
        # The environment's own arithmetic, in its own types and order.
        moved = env.data.mocap_pos + (np.clip(action[:3], -1, 1) * env.action_scale)[None]
        return np.append(np.clip(moved[0], env.mocap_low, env.mocap_high), action[3]).astype(np.float64)

    def step(self, command: np.ndarray) -> None:
        """Command a target (4,), m and -1 to 1, for 12.5 ms of physics."""
        if self._seed is None:
            raise TaskError('reset the robot before the first step')
        if self._steps >= self.episode_steps:
            raise TaskError(f'the episode has {self.episode_steps} steps: reset the robot')
        command = self.checked(command)
        action = np.append(self._change_to(command[:3]), np.clip(command[3], -1, 1))
        self.observed, reward, _, _, info = self.env.step(action)
        self._steps += 1
        if not self._success:
            self._max_reward = max(self._max_reward, float(reward))
            self._success = bool(info['success'])

    def disturb(self, rng: np.random.Generator) -> bool:
        """Move the object, or the goal of reach-v3; False where the hand is at the object already.

        A goal image is not made anew: it shows the end of the episode without the disturbance.
        """
        if not move(self.env, self.task, rng):
            return False
        now = self.env._get_curr_obs_combined_no_goal()
        self.observed = np.hstack([now, self.observed[len(now) : 2 * len(now)], self.env._get_pos_goal()])
        return True

    def result(self) -> EpisodeResult:
        """How the episode stands; the task has no stricter success than its own."""
        if self._seed is None:
            raise TaskError('reset the robot before asking for a result')
        done = self._success or self._steps >= self.episode_steps
        return EpisodeResult(self._seed, self._steps, self._max_reward, self._success, self._success, done)

    def goal_image(self, camera: str) -> np.ndarray | None:
        """The last picture of the expert's own run of this seed, made in a second environment when first asked for."""
        if self._seed is None:
            raise TaskError('reset the robot before asking for a goal')
        if camera not in self.camera_names:
            return None
        if self._expert_view is None or self._expert_view[0] != self._seed:
            from dp_ros.simulation.metaworld_expert import run_expert

            self._second = self._second or MetaWorldRobot(self.task, self._state)
            run_expert(self._second, self._seed)
            self._expert_view = (self._seed, self._second.render(camera))
        return self._expert_view[1].copy()

    def make_expert(self) -> Any:
        """The package's scripted expert of this task: ``get_action(observed)``."""
        classes: dict[str, Any] = ENV_POLICY_MAP
        return classes[self.task]()

    def close(self) -> None:
        """Free the simulator and its GL context."""
        for part in (*self._renderers.values(), self._second, self.env):
            if part is not None:
                part.close()
        self._renderers, self._second = {}, None

    def _change_to(self, target: np.ndarray) -> np.ndarray:
        """The environment's action (3,) after which the hand's target is this one, or as near as 1 cm allows."""
        at, scale = self.env.data.mocap_pos[0], self.env.action_scale
        target = np.clip(target, self.env.mocap_low, self.env.mocap_high)
        change = (target - at) / scale
        for _ in range(_CORRECTIONS):
            error = target - (at + change * scale)
            if not error.any():
                break
            change = change + error / scale
        return np.clip(change, -1.0, 1.0)


def _positions(frame: np.ndarray) -> np.ndarray:
    return np.append(frame[_HAND], 1.0 - 2.0 * frame[_OPENING]).astype(np.float64)
