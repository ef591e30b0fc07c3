# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Which observation calls for a tick: the rule of the policy, and of whoever waits for its chunks. No torch."""

import json
from pathlib import Path
from typing import Any

from dp_ros.contract import Contract
from dp_ros.errors import CheckpointError

# An observation so much older than the last one means that the clock was set back.
_JUMP_NS = 500_000_000


class DueRule:
    """Ticks are one tick apart; stamps of a real camera jitter, so half a period early is this tick already.

    Args:
        tick_ns: time between two ticks.
        period_ns: time between two actions.
    """

    def __init__(self, tick_ns: int, period_ns: int):
        self._spacing_ns = tick_ns - period_ns // 2
        self._last_ns: int | None = None

    def spacing_ns(self, camera_ns: int) -> int:
        """Time between two ticks where pictures come every ``camera_ns``."""
        return camera_ns * max(1, -(-self._spacing_ns // camera_ns))

    def is_due(self, stamp_ns: int) -> bool:
        """Whether the observation of this time calls for a tick."""
        last = self._last_ns
        return last is None or stamp_ns >= last + self._spacing_ns or stamp_ns < last - _JUMP_NS

    def taken(self, stamp_ns: int) -> None:
        """The observation of this time is being worked on."""
        self._last_ns = stamp_ns

    def after(self, stamp_ns: int) -> None:
        """The next tick is that of the first observation newer than this one."""
        self._last_ns = stamp_ns + 1 - self._spacing_ns

    def forget(self) -> None:
        """The next observation is due, whichever it is."""
        self._last_ns = None


def checkpoint_tick_ns(directory: Path) -> int:
    """Time between two ticks of a checkpoint, without loading it.

    Raises:
        CheckpointError: there is no checkpoint, or its configuration cannot be read.
    """
    contract, control = _read(directory)
    try:
        execute = int(control['execute']) if control['mode'] != 'streaming' else 0
    except (ValueError, KeyError) as error:
        raise CheckpointError(f'{directory}/config.json: cannot be read: {error}') from error
    return (execute or contract.timing.action_horizon) * contract.timing.period_ns


def checkpoint_needs_goal(directory: Path) -> bool:
    """Whether nothing is due before a checkpoint has a goal (`Controller.needs_goal`), without loading it.

    Raises:
        CheckpointError: there is no checkpoint, or its configuration cannot be read.
    """
    contract, control = _read(directory)
    free = bool(control.get('goal_free', False)) or control.get('guidance', 1.0) == 0.0
    return bool(contract.goals) and not free


def _read(directory: Path) -> tuple[Contract, dict[str, Any]]:
    if not (directory / 'contract.json').is_file():
        raise CheckpointError(f'{directory}: no checkpoint here (contract.json is missing)')
    try:
        control = dict(json.loads((directory / 'config.json').read_text())['control'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f'{directory}/config.json: cannot be read: {error}') from error
    return Contract.from_json(directory / 'contract.json'), control
