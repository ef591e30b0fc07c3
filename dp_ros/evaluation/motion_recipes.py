# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The ways to drive a controller that ``dp_ros bench motion`` compares: ours, and those of other stacks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dp_ros.errors import ConfigError
from dp_ros.evaluation.motion_streams import (
    MS,
    Disturbance,
    Message,
    Setting,
    Stream,
    Transport,
    recipe_stream,
    window_stream,
)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recipe:
    """A way to drive a controller; ``make`` is None for our windows."""

    key: str
    words: str
    make: Callable[[Setting, Array, Array], Message] | None = None
    period_ns: int = 100 * MS
    velocities: bool = True
    from_desired: bool = False
    forward: bool = False

    def stream(
        self, setting: Setting, transport: Transport, arms: int, seed: int, fault: Disturbance
    ) -> Stream:
        """All messages of one run."""
        if self.make is None:
            return window_stream(setting, transport, arms, seed, fault, self.velocities)
        return recipe_stream(setting, transport, arms, seed, fault, self.period_ns, self.make)


def _one_point(ahead_ns: int, velocity: bool = False) -> Callable[[Setting, Array, Array], Message]:
    def make(setting: Setting, p: Array, v: Array) -> Message:
        row = ahead_ns // setting.row_ns
        times = np.array([ahead_ns])
        return Message(0, times, p[row : row + 1], 0.0 * v[:1] if velocity else None)

    return make


def _whole_chunk(velocity: bool) -> Callable[[Setting, Array, Array], Message]:
    def make(setting: Setting, p: Array, v: Array) -> Message:
        ends_at_rest = np.concatenate([v[1:-1], 0.0 * v[-1:]])
        times = np.arange(1, len(p), dtype=np.int64) * setting.row_ns
        return Message(0, times, p[1:], ends_at_rest if velocity else None)

    return make


# Other stacks send a stamp of zero: with a stamp of now and a first point at time 0, the message ends in the past.
RECIPES = (
    Recipe('window', 'ours: stamped window, brake tail'),
    Recipe('window-positions', 'the same without velocities', velocities=False),
    Recipe('point-now', 'one point, time 0', _one_point(0)),
    Recipe('point-next', 'one point, time 0.1 s', _one_point(100 * MS)),
    Recipe('point-rest', 'one point, time 0.1 s, velocity 0', _one_point(100 * MS, True)),
    Recipe('chunk', 'whole chunk, positions', _whole_chunk(False)),
    Recipe('chunk-velocities', 'whole chunk, pos + vel', _whole_chunk(True)),
    Recipe('chunk-desired', 'the same, from desired state', _whole_chunk(True), from_desired=True),
    Recipe('forward', 'forward controller, 50 Hz', _one_point(0), 20 * MS, forward=True),
)


def recipe(key: str) -> Recipe:
    """The recipe of a key.

    Raises:
        ConfigError: no such recipe.
    """
    found = [r for r in RECIPES if r.key == key]
    if not found:
        raise ConfigError(f'unknown recipe {key!r}; legal: {[r.key for r in RECIPES]}')
    return found[0]
