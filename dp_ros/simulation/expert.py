# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A scripted expert for the transfer task: finger-tip waypoints, minimum-jerk timing, open loop.

It knows where the cube lies; the policy that learns from it does not. All joint targets of an episode are
planned before its first step, so labels are smooth functions of the cube's position and of time alone.
"""

from dataclasses import dataclass

import numpy as np

from dp_ros.simulation.viperx import LEFT_BASE, RIGHT_BASE, ArmBase, joints_from_tip, tip_from_joints

STEPS = 300
_ARM = 7


@dataclass(frozen=True)
class ExpertSettings:
    """Geometry (m, rad) and timing (control steps of 20 ms) of the demonstrations.

    The values of heights, offsets and pitches were found by a random search on seeds that no test uses.
    """

    tool: float = 0.119
    pick_pitch: float = 1.25
    grasp_height: float = 0.034
    hover: float = 0.10
    meet_x: float = 0.016
    meet_z: float = 0.274
    meet_pitch: float = 1.29
    left_pitch: float = -0.15
    left_rotate: float = 1.5708
    left_dx: float = -0.0131
    left_dz: float = -0.0225
    stand_off: float = 0.12
    retreat: float = 0.10
    retreat_pitch: float = 1.29
    gripper_open: float = 0.057
    gripper_closed: float = 0.021
    hover_step: int = 55
    grasp_step: int = 85
    lift_step: int = 100
    meet_step: int = 155
    reach_step: int = 195
    take_step: int = 220
    release_step: int = 240
    end_step: int = 275


@dataclass(frozen=True)
class _Waypoint:
    step: int
    position: np.ndarray
    pitch: float
    rotate: float


class TransferCubeExpert:
    """Plans one episode: the right hand picks the cube, the left hand takes it, the right hand retreats."""

    def __init__(self, settings: ExpertSettings | None = None):
        self.settings = settings or ExpertSettings()

    def plan(self, cube: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Joint targets of a whole episode.

        Args:
            cube: position of the cube's centre, (3,) m.
            start: joint positions at the reset, (14,) rad and m.

        Returns:
            (300, 14) float64; row k is the command in force at step k, grippers in m; row 0 is ``start``.

        Raises:
            TaskError: the cube lies where an arm cannot reach.
        """
        left = self._arm(LEFT_BASE, start[:_ARM], self._left_waypoints(), self._left_gripper())
        right = self._arm(RIGHT_BASE, start[_ARM:], self._right_waypoints(cube), self._right_gripper())
        return np.concatenate([left, right], axis=1)

    def _right_waypoints(self, cube: np.ndarray) -> list[_Waypoint]:
        s = self.settings
        grasp = np.array([cube[0], cube[1], s.grasp_height])
        meet = np.array([s.meet_x, 0.5, s.meet_z])
        away = meet + s.retreat * np.array([np.cos(s.retreat_pitch), 0.0, np.sin(s.retreat_pitch)])
        return [
            _Waypoint(s.hover_step, grasp + np.array([0.0, 0.0, s.hover]), s.pick_pitch, 0.0),
            _Waypoint(s.grasp_step, grasp, s.pick_pitch, 0.0),
            _Waypoint(s.lift_step, grasp, s.pick_pitch, 0.0),
            _Waypoint(s.meet_step, meet, s.meet_pitch, 0.0),
            _Waypoint(s.release_step, meet, s.meet_pitch, 0.0),
            _Waypoint(s.end_step, away, s.meet_pitch, 0.0),
        ]

    def _left_waypoints(self) -> list[_Waypoint]:
        s = self.settings
        take = np.array([s.meet_x + s.left_dx, 0.5, s.meet_z + s.left_dz])
        direction = np.array([np.cos(s.left_pitch), 0.0, -np.sin(s.left_pitch)])
        return [
            _Waypoint(s.meet_step - 20, take - s.stand_off * direction, s.left_pitch, s.left_rotate),
            _Waypoint(s.reach_step, take, s.left_pitch, s.left_rotate),
            _Waypoint(s.end_step, take, s.left_pitch, s.left_rotate),
        ]

    def _right_gripper(self) -> list[tuple[int, float]]:
        s = self.settings
        return [
            (0, 0.0),
            (s.hover_step, s.gripper_open),
            (s.grasp_step, s.gripper_open),
            (s.lift_step, s.gripper_closed),
            (s.take_step, s.gripper_closed),
            (s.release_step, s.gripper_open),
        ]

    def _left_gripper(self) -> list[tuple[int, float]]:
        s = self.settings
        return [
            (s.hover_step, 0.0),
            (s.meet_step - 20, s.gripper_open),
            (s.reach_step, s.gripper_open),
            (s.take_step, s.gripper_closed),
        ]

    def _arm(
        self, base: ArmBase, start: np.ndarray, waypoints: list[_Waypoint], gripper: list[tuple[int, float]]
    ) -> np.ndarray:
        tool = self.settings.tool
        position, pitch = tip_from_joints(base, start[:6], tool)
        poses = [np.array([*position, pitch, start[5]])]
        steps = [0]
        for w in waypoints:
            poses.append(np.array([*w.position, w.pitch, w.rotate]))
            steps.append(w.step)
        path = _min_jerk(np.array(steps), np.array(poses))
        out = np.empty((STEPS, _ARM))
        for k, pose in enumerate(path):
            out[k, :6] = joints_from_tip(base, pose[:3], pose[3], pose[4], tool)
        # The gripper holds its start until the first of its steps.
        values = [start[6], *(v for _, v in gripper[1:])]
        out[:, 6] = _min_jerk(np.array([k for k, _ in gripper]), np.array(values)[:, None])[:, 0]
        return out


def _min_jerk(steps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Rest-to-rest quintic segments through values (K, D) at steps (K,); constant outside; (STEPS, D)."""
    k = np.arange(STEPS)
    i = np.clip(np.searchsorted(steps, k, side='right') - 1, 0, len(steps) - 2)
    u = np.clip((k - steps[i]) / (steps[i + 1] - steps[i]), 0.0, 1.0)[:, None]
    blend = u * u * u * (10.0 + u * (6.0 * u - 15.0))
    return values[i] + blend * (values[i + 1] - values[i])
