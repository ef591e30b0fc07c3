# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Which push brings the block of Push-T nearest to its outline: every push of a fixed set is tried in a second space.

The set is the same for every state and nothing is drawn at random, so that the choice is a function of the state: one
mode for a policy to learn. A push begins beside the block and goes straight; one simulation of it tells where the
block is after any length, so that the length is chosen as well. The best push is the one by which the logarithm of
the error falls fastest, the time to get there included.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pymunk
import shapely
from gym_pusht.envs.pusht import PushTEnv

from dp_ros.simulation.pusht_routes import RADIUS, Routes, in_arena, rotated, timed

_STEP_S = 0.1
# Lengths that are judged within a step of a push.
_LENGTHS = 5
# A push that has lost so much of what it won will win no more: error > factor * least error + units.
_LOST = (1.3, 3.0)


@dataclass(frozen=True)
class PlannerSettings:
    """Lengths in the environment's unit, angles in rad, speeds in units a control step of 0.1 s.

    Attributes:
        spacing: between two points of contact along the block's outline.
        angles: directions of a push against the inward normal.
        gap: between agent and block where a push begins.
        clearance: between agent and block on the way there.
        longest: of a push, the gap included.
        push_speed, travel_speed, acceleration: largest ones, of what is commanded.
        settle: steps of holding where a push begins, since the agent follows what is commanded with a lag.
        rest: the same at its end.
        floor: error that is as good as none.
    """

    spacing: float = 12.0
    angles: tuple[float, ...] = (-0.4, 0.0, 0.4)
    gap: float = 8.0
    clearance: float = 10.0
    longest: float = 140.0
    push_speed: float = 9.0
    travel_speed: float = 24.0
    acceleration: float = 6.0
    settle: int = 1
    rest: int = 2
    floor: float = 1.5


@dataclass(frozen=True)
class Push:
    """A push from first to last.

    Attributes:
        commands: (N, 2), the way there, the push and a rest, one a step.
        error: of the block afterwards, as the planner expects it.
    """

    commands: np.ndarray
    error: float


class PushPlanner:
    """Plans pushes for a block at any pose."""

    def __init__(self, settings: PlannerSettings | None = None) -> None:
        self.settings = s = settings or PlannerSettings()
        shapes = self._fresh_space()
        parts = [np.array([tuple(vertex) for vertex in shape.get_vertices()]) for shape in shapes]
        corners = np.concatenate(parts)
        self._mean = tuple(corners.mean(axis=0).tolist())
        self._spread = float((corners**2).sum(axis=1).mean())
        self._goal = (256.0, 256.0, math.pi / 4)
        block = shapely.union_all([shapely.Polygon(part) for part in parts])
        self._starts, self._inward = self._places(block)
        self._routes = Routes(block, self._starts, s.clearance)

    def error(self, pose: np.ndarray) -> float:
        """Root mean square distance of the block's eight corners from where they belong."""
        return self._error(float(pose[0]), float(pose[1]), float(pose[2]))

    def plan(self, agent: np.ndarray, pose: np.ndarray) -> Push | None:
        """The best push from here; None where no push helps.

        Args:
            agent: its position, (2,).
            pose: of the block: x, y, angle.
        """
        s, now = self.settings, math.log(self.error(pose) + self.settings.floor)
        self._fresh_space()
        best, best_rate = None, 0.0
        for place, way in enumerate(self._routes.from_here(agent, pose)):
            if way is None:
                continue
            there = _resting(timed(way, s.travel_speed, s.acceleration), s.settle)
            for angle in s.angles:
                direction = rotated(self._inward[place], pose[2] + angle)
                for k, error in enumerate(self._errors(way[-1], direction, pose), start=1):
                    length = k * s.push_speed / _LENGTHS
                    steps = len(there) + length / s.push_speed + s.push_speed / s.acceleration + s.rest
                    rate = (now - math.log(error + s.floor)) / steps
                    if rate > best_rate:
                        best, best_rate = (there, way[-1], way[-1] + length * direction, error), rate
        if best is None:
            return None
        there, start, end, error = best
        push = _resting(timed(np.array([start, end]), s.push_speed, s.acceleration), s.rest)
        return Push(np.concatenate([there, push]), error)

    def _fresh_space(self) -> list[pymunk.Poly]:
        """Bodies as the environment makes them; gives the block's shapes.

        A space remembers contacts and the order of its shapes: an old one would let the plan depend on plans before.
        """
        self._space = space = pymunk.Space()
        space.damping = 0.0
        walls = ((5, 506), (5, 5)), ((5, 5), (506, 5)), ((506, 5), (506, 506)), ((5, 506), (506, 506))
        space.add(*(PushTEnv.add_segment(space, a, b, 2) for a, b in walls))
        self._agent = PushTEnv.add_circle(space, (0, 0), RADIUS)
        self._block, shapes = PushTEnv.add_tee(space, (256, 256), 0)
        return list(shapes)

    def _errors(self, start: np.ndarray, direction: np.ndarray, pose: np.ndarray) -> list[float]:
        """The error after each _LENGTHS-th of a step of a push; ends where the agent would leave the arena."""
        s, agent, block = self.settings, self._agent, self._block
        agent.position = tuple(start)
        agent.velocity = tuple(direction * s.push_speed / _STEP_S)
        # In this order: an angle turns the block about its centre of mass, which moves its origin.
        block.angle = float(pose[2])
        block.position = (float(pose[0]), float(pose[1]))
        block.velocity, block.angular_velocity = (0.0, 0.0), 0.0
        # No push goes beyond the arena: how many steps until it does is known before.
        reach = np.arange(1, int(s.longest / s.push_speed * _LENGTHS) + 1) * s.push_speed / _LENGTHS
        steps = int(in_arena(start + reach[:, None] * direction).sum())
        errors, least = [], math.inf
        for _ in range(steps):
            self._space.step(_STEP_S / _LENGTHS)
            x, y = block.position
            error = self._error(x, y, block.angle)
            errors.append(error)
            least = min(least, error)
            if error > _LOST[0] * least + _LOST[1]:
                break
        return errors

    def _error(self, x: float, y: float, angle: float) -> float:
        # |R p + d|^2 averaged over the corners p, R and d being differences, in closed form: the innermost loop.
        goal_x, goal_y, goal_angle = self._goal
        dx, dy = x - goal_x, y - goal_y
        cos, sin = math.cos(angle) - math.cos(goal_angle), math.sin(angle) - math.sin(goal_angle)
        mean_x, mean_y = self._mean
        turned = dx * (cos * mean_x - sin * mean_y) + dy * (sin * mean_x + cos * mean_y)
        turn = (1.0 - math.cos(angle - goal_angle)) * self._spread
        return math.sqrt(max(0.0, dx * dx + dy * dy + 2.0 * (turned + turn)))

    def _places(self, block: shapely.Polygon) -> tuple[np.ndarray, np.ndarray]:
        """Where pushes begin, in the block's frame, (P, 2), and the inward normals there, (P, 2)."""
        s = self.settings
        blocked = block.buffer(RADIUS + s.gap - 0.5)
        outline = np.array(shapely.geometry.polygon.orient(block.simplify(0.01)).exterior.coords)
        starts, normals = [], []
        for a, b in itertools.pairwise(outline):
            length = float(np.linalg.norm(b - a))
            along = (b - a) / length
            inward = np.array([-along[1], along[0]])  # the outline runs counter-clockwise
            for at in np.linspace(4.0, length - 4.0, max(2, round((length - 8.0) / s.spacing) + 1)):
                start = a + along * at - inward * (RADIUS + s.gap)
                if not shapely.contains_xy(blocked, *start):
                    starts.append(start)
                    normals.append(inward)
        return np.array(starts), np.array(normals)


def _resting(commands: np.ndarray, steps: int) -> np.ndarray:
    """Set points (N, 2), the last one held for so many more steps."""
    return np.concatenate([commands, np.repeat(commands[-1:], steps, axis=0)])
