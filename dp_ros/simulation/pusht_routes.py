# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Ways for Push-T's agent round the block, and how fast it goes along them."""

import numpy as np
import shapely
from scipy.sparse.csgraph import dijkstra

# The agent is a disc of this radius; its centre keeps this far from the arena's walls.
RADIUS = 15.0
_LOW, _HIGH = 22.0, 490.0
# Corners of ways stand on a line round the block, so far apart; its arcs bulge by less than _SLACK between them.
_CORNERS_APART, _SLACK = 12.0, 3.0


class Routes:
    """Shortest ways from anywhere to fixed places beside the block, in the block's frame.

    Args:
        block: outline of the block.
        places: (P, 2), where ways lead to.
        clearance: that the way keeps between agent and block, where neither its start nor its end is nearer.
    """

    def __init__(self, block: shapely.Polygon, places: np.ndarray, clearance: float) -> None:
        self._ring = block.buffer(RADIUS + clearance).exterior
        self._hazard = block.buffer(RADIUS + clearance - _SLACK)
        shapely.prepare(self._hazard)
        self._places = len(places)
        self._nodes = np.concatenate([places, np.array(self._ring.segmentize(_CORNERS_APART).coords)[:-1]])
        self._costs = np.array([self._lengths_from(node) for node in self._nodes])

    def from_here(self, here: np.ndarray, pose: np.ndarray) -> list[np.ndarray | None]:
        """For each place the corners (K, 2) of the way to it, in the world; None where there is none in the arena.

        Args:
            here: of the agent, in the world.
            pose: of the block: x, y, angle.
        """
        begin = to_block(pose, here)
        touching = shapely.contains_xy(self._hazard, *begin)
        if touching:  # away from the block first
            begin = np.array(self._ring.interpolate(self._ring.project(shapely.Point(begin))).coords[0])
        nodes = to_world(pose, np.concatenate([self._nodes, [begin]]))
        last = len(nodes) - 1
        costs = np.full((len(nodes), len(nodes)), np.inf)
        costs[:last, :last] = self._costs
        costs[last, :last] = self._lengths_from(begin)
        outside = ~in_arena(nodes)
        outside[last] = False
        costs[:, outside] = np.inf
        lengths, before = dijkstra(
            np.where(np.isfinite(costs), costs, 0.0), indices=last, return_predecessors=True
        )
        out: list[np.ndarray | None] = []
        for place in range(self._places):
            if not np.isfinite(lengths[place]):
                out.append(None)
                continue
            way = [place]
            while way[-1] != last:
                way.append(int(before[way[-1]]))
            corners = nodes[way[::-1]]
            out.append(np.concatenate([[here], corners]) if touching else corners)
        return out

    def _lengths_from(self, here: np.ndarray) -> np.ndarray:
        """Lengths of the straight ways to all nodes, (N,); inf where the block is in the way."""
        lines = shapely.linestrings(np.stack([np.broadcast_to(here, self._nodes.shape), self._nodes], axis=1))
        lengths = np.linalg.norm(self._nodes - here, axis=1)
        # The graph takes an edge of length 0 for none.
        return np.where(shapely.intersects(self._hazard, lines), np.inf, np.maximum(lengths, 1e-9))


def timed(corners: np.ndarray, speed: float, acceleration: float) -> np.ndarray:
    """Set points along a way, from rest to rest, one a step, without the first corner; (N, 2).

    The set points are at most ``speed`` apart, and that changes by at most ``acceleration`` a step.
    """
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    if lengths[-1] < 1e-6:
        return np.zeros((0, 2))
    count = 1
    while True:
        ramp = acceleration * np.minimum(np.arange(1, count + 1), np.arange(count, 0, -1))
        speeds = np.minimum(ramp, speed)
        if speeds.sum() >= lengths[-1]:
            break
        count += 1
    along = np.cumsum(speeds) * lengths[-1] / speeds.sum()
    return np.stack([np.interp(along, lengths, corners[:, axis]) for axis in range(2)], axis=1)


def in_arena(points: np.ndarray) -> np.ndarray:
    """Whether the agent may be at points (..., 2)."""
    return np.all((points > _LOW) & (points < _HIGH), axis=-1)


def rotated(points: np.ndarray, angle: float) -> np.ndarray:
    """Points (..., 2) turned about the origin."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def to_world(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) of the block's frame in the world."""
    return rotated(points, pose[2]) + pose[:2]


def to_block(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) of the world in the block's frame."""
    return rotated(points - pose[:2], -pose[2])
