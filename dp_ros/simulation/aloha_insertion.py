# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The insertion task of gym_aloha: each hand lifts one of two things, and one goes into the other."""

import numpy as np

from dp_ros.simulation.aloha import AlohaRobot

# Positions of peg and socket in qpos.
_PEG, _SOCKET = slice(16, 19), slice(23, 26)


class AlohaInsertion(AlohaRobot):
    """``gym_aloha/AlohaInsertion-v0``: the right hand's peg goes into the left hand's socket until it touches the pin.

    Strict success: at the last step the peg touches the pin, the right hand holds the peg and the left one the socket,
    and nothing lies on the table.
    """

    environment_id = 'gym_aloha/AlohaInsertion-v0'
    contract_file = 'contracts/aloha_insertion.json'

    def __init__(self) -> None:
        super().__init__()

        def geoms(*names: str) -> set[int]:
            return {self.physics.model.name2id(name, 'geom') for name in names}

        self._peg, self._pin = geoms('red_peg'), geoms('pin')
        self._socket = geoms('socket-1', 'socket-2', 'socket-3', 'socket-4')

    def privileged(self) -> np.ndarray:
        """Positions of the centres of peg and socket in the world, (6,) float64, m."""
        return self.physics.data.qpos[np.r_[_PEG, _SOCKET]].astype(np.float64)

    def _strict(self) -> bool:
        peg, socket = self._touching(self._peg), self._touching(self._socket)
        left, right = self._geoms
        held = bool(peg & right) and bool(socket & left)
        return held and bool(peg & self._pin) and self._table not in peg | socket
