# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A scripted expert for the insertion task: both hands pick at once, meet, and the right one pushes, open loop.

It knows where peg and socket lie; the policy that learns from it does not. While a hand grasps, its roll undoes the yaw
that the waist gives it, so that the fingers close along the things' sides; where they meet the waists are straight and
so are the things. The pitch stays what it was at the grasp, and so what is held stays level.
"""

from dataclasses import dataclass

import numpy as np

from dp_ros.simulation.arm_path import Waypoint, arm_path
from dp_ros.simulation.viperx import LEFT_BASE, RIGHT_BASE, ArmBase, joints_from_tip

_ARM = 7
_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class InsertionSettings:
    """Geometry (m, rad) and timing (control steps of 20 ms) of the demonstrations.

    Attributes:
        tool: see viperx.py.
        peg_pitch, socket_pitch: of the hands, from the grasp on.
        peg_height, socket_height: of the tool point at the grasp, above the table.
        grasp_out: how far behind its middle, seen from the other thing, a thing is held.
        hover: height above the grasp at which a hand arrives.
        meet_height: of the socket's hand where the things meet.
        peg_lift: by how much the peg's hand is higher there, so that the peg is level with the socket.
        apart, together: distances of the things' middles before and after the insertion; they touch at 0.10.
    """

    tool: float = 0.119
    peg_pitch: float = 1.0
    socket_pitch: float = 1.25
    peg_height: float = 0.03
    socket_height: float = 0.03
    grasp_out: float = 0.01
    hover: float = 0.08
    meet_height: float = 0.22
    peg_lift: float = 0.014
    apart: float = 0.19
    together: float = 0.075
    gripper_open: float = 0.057
    gripper_closed: float = 0.021
    hover_step: int = 50
    grasp_step: int = 80
    lift_step: int = 98
    meet_step: int = 150
    insert_step: int = 172
    end_step: int = 240


class InsertionExpert:
    """Plans one episode."""

    def __init__(self, settings: InsertionSettings | None = None):
        self.settings = settings or InsertionSettings()

    def plan(self, things: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Joint targets of a whole episode.

        Args:
            things: positions of the middles of peg and socket, (6,) m.
            start: joint positions at the reset, (14,) rad and m.

        Returns:
            (300, 14) float64; row k is the command in force at step k, grippers in m; row 0 is ``start``.

        Raises:
            TaskError: something lies where an arm cannot reach.
        """
        s, peg, socket = self.settings, things[:3], things[3:]
        left = self._hand(LEFT_BASE, start[:_ARM], socket, s.socket_height, s.socket_pitch, s.meet_height)
        right = self._hand(
            RIGHT_BASE, start[_ARM:], peg, s.peg_height, s.peg_pitch, s.meet_height + s.peg_lift
        )
        return np.concatenate([left, right], axis=1)

    def _hand(
        self, base: ArmBase, start: np.ndarray, thing: np.ndarray, grasp_z: float, pitch: float, meet_z: float
    ) -> np.ndarray:
        s, out = self.settings, float(np.sign(base.x))
        grasp = np.array([thing[0] + out * s.grasp_out, thing[1], grasp_z])
        before, after = (
            np.array([out * (distance / 2 + s.grasp_out), base.y, meet_z])
            for distance in (s.apart, s.together)
        )
        places = (
            (s.hover_step, grasp + s.hover * _UP),
            (s.grasp_step, grasp),
            (s.lift_step, grasp),
            (s.meet_step, before),
            (s.insert_step, before),
            (s.end_step, after),
        )
        waypoints = [Waypoint(k, p, pitch, self._straight(base, p, pitch)) for k, p in places]
        gripper = [
            (0, 0.0),
            (s.hover_step - 5, s.gripper_open),
            (s.grasp_step, s.gripper_open),
            (s.lift_step - 3, s.gripper_closed),
        ]
        return arm_path(base, start, waypoints, gripper, s.tool)

    def _straight(self, base: ArmBase, position: np.ndarray, pitch: float) -> float:
        """The roll with which the fingers close along the world's y axis, but for the roll's own tilt."""
        waist = joints_from_tip(base, position, pitch, 0.0, self.settings.tool)[0]
        return float(np.arctan(np.tan(waist) / np.sin(pitch)))
