# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A scripted expert for the transfer task: finger-tip waypoints, minimum-jerk timing, open loop.

It knows where the cube lies; the policy that learns from it does not. All joint targets of an episode are
planned before its first step, so labels are smooth functions of the cube's position and of time alone.
"""

from dataclasses import dataclass

import numpy as np

from dp_ros.simulation.arm_path import Waypoint, arm_path
from dp_ros.simulation.viperx import LEFT_BASE, RIGHT_BASE

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
        tool = self.settings.tool
        left = arm_path(LEFT_BASE, start[:_ARM], self._left_waypoints(), self._left_gripper(), tool)
        right = arm_path(RIGHT_BASE, start[_ARM:], self._right_waypoints(cube), self._right_gripper(), tool)
        return np.concatenate([left, right], axis=1)

    def _right_waypoints(self, cube: np.ndarray) -> list[Waypoint]:
        s = self.settings
        grasp = np.array([cube[0], cube[1], s.grasp_height])
        meet = np.array([s.meet_x, 0.5, s.meet_z])
        away = meet + s.retreat * np.array([np.cos(s.retreat_pitch), 0.0, np.sin(s.retreat_pitch)])
        return [
            Waypoint(s.hover_step, grasp + np.array([0.0, 0.0, s.hover]), s.pick_pitch, 0.0),
            Waypoint(s.grasp_step, grasp, s.pick_pitch, 0.0),
            Waypoint(s.lift_step, grasp, s.pick_pitch, 0.0),
            Waypoint(s.meet_step, meet, s.meet_pitch, 0.0),
            Waypoint(s.release_step, meet, s.meet_pitch, 0.0),
            Waypoint(s.end_step, away, s.meet_pitch, 0.0),
        ]

    def _left_waypoints(self) -> list[Waypoint]:
        s = self.settings
        take = np.array([s.meet_x + s.left_dx, 0.5, s.meet_z + s.left_dz])
        direction = np.array([np.cos(s.left_pitch), 0.0, -np.sin(s.left_pitch)])
        return [
            Waypoint(s.meet_step - 20, take - s.stand_off * direction, s.left_pitch, s.left_rotate),
            Waypoint(s.reach_step, take, s.left_pitch, s.left_rotate),
            Waypoint(s.end_step, take, s.left_pitch, s.left_rotate),
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
