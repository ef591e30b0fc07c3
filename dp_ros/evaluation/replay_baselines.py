# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What needs no network: predictions that a policy must beat before its errors mean anything."""

from collections.abc import Iterable

import numpy as np

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.errors import StoreError
from dp_ros.evaluation.replay_metrics import Ticks
from dp_ros.evaluation.replay_record import Curves, Floats, Stamps


def hold(ticks: Ticks) -> Floats:
    """The measured pose over the whole horizon: (N, Tp, A)."""
    return np.repeat(ticks.measured[:, None], ticks.chunk.shape[1], axis=1)


def last_velocity(ticks: Ticks, curves: Curves) -> Floats:
    """The measured pose, moved on with the velocity of the last period: (N, Tp, A).

    The velocity is 0 where the joints were not measured a period earlier.
    """
    start = int(ticks.stamps_ns[0]) if len(ticks.stamps_ns) else 0
    wanted = (ticks.stamps_ns - start - ticks.period_ns).astype(np.float64)
    known = (curves.stamps_ns - start).astype(np.float64)
    step = np.zeros_like(ticks.measured)
    for j in range(step.shape[1]):
        if len(known):
            before = np.interp(wanted, known, curves.measured[:, j], left=np.nan)
            step[:, j] = np.nan_to_num(ticks.measured[:, j] - before, nan=0.0)
    rows = np.arange(ticks.chunk.shape[1])[None, :, None]
    return np.asarray(ticks.measured[:, None] + rows * step[:, None])


class NearestDemonstration:
    """What the demonstration did that was nearest in joint positions, in units of ``scale``.

    Args:
        contract: of the store, whose joints are looked up by name.
        episodes: of the store.
        leave_out: hash of the bag under test; its own episodes would be found again.

    Raises:
        StoreError: nothing is left to compare with.
    """

    def __init__(self, contract: Contract, episodes: Iterable[Episode], leave_out: str = ''):
        self.contract = contract
        self._curves: list[tuple[Stamps, Floats]] = []
        anchors, poses, owners = [], [], []
        for episode in episodes:
            if leave_out and episode.metadata.get('bag_sha256') == leave_out:
                continue
            anchors.append(np.asarray(episode.stamps_ns))
            poses.append(np.asarray(episode.proprio[:, -1], np.float64))
            owners.append(np.full(len(episode), len(self._curves)))
            self._curves.append(
                (np.asarray(episode.command_stamps_ns), np.asarray(episode.commands, np.float64))
            )
        if not self._curves:
            raise StoreError('nearest demonstration: the store holds no episodes of other bags')
        self._anchors, self._poses = np.concatenate(anchors), np.concatenate(poses)
        self._owners = np.concatenate(owners)

    def predict(self, ticks: Ticks, joint_names: tuple[str, ...], scale: Floats) -> Floats:
        """Commands (N, Tp, A) that followed the nearest pose.

        Raises:
            StoreError: the store lacks a joint.
        """
        missing = [name for name in joint_names if name not in self.contract.joint_names]
        if missing:
            raise StoreError(f'nearest demonstration: the store has no joints {missing}')
        columns = [self.contract.joint_names.index(name) for name in joint_names]
        known = self._poses[:, columns] / scale
        ahead = ticks.period_ns * np.arange(ticks.chunk.shape[1], dtype=np.int64)
        out = np.empty_like(ticks.chunk)
        for n, pose in enumerate(ticks.measured / scale):
            nearest = int(np.argmin(((known - pose) ** 2).sum(axis=1)))
            stamps, commands = self._curves[self._owners[nearest]]
            at = (self._anchors[nearest] + ahead - stamps[0]).astype(np.float64)
            grid = (stamps - stamps[0]).astype(np.float64)
            for k, column in enumerate(columns):
                out[n, :, k] = np.interp(at, grid, commands[:, column])
        return out
