# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Demonstrations in memory, and the windows that training cuts out of them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.errors import StoreError


@dataclass(frozen=True)
class Windows:
    """A batch of observations and the actions that follow; SI units.

    Attributes:
        proprio: (B, To, S) float32.
        images: camera name to (B, To, H, W, 3) uint8.
        actions: (B, Tp, A) float32; beyond the episode's end the last action is repeated.
        valid: (B, Tp) bool; False beyond the episode's end, unless the last action is held there.
    """

    proprio: Tensor
    images: dict[str, Tensor]
    actions: Tensor
    valid: Tensor


class Demonstrations:
    """Episodes concatenated in memory; every frame is the observation of one window.

    Args:
        contract: gives horizons and period; frames must be one period apart.
        episodes: in order; their frames are copied.
        hold_after_end: the demonstrations end at rest with the task done, so that holding the last action is what
            follows. Without it the network never learns what comes after the end, and may begin anew.
    """

    def __init__(self, contract: Contract, episodes: Iterable[Episode], hold_after_end: bool = False):
        self.contract = contract
        self.hold_after_end = hold_after_end
        episodes = list(episodes)
        if not episodes:
            raise StoreError('no episodes: collect or import some first')
        period = contract.timing.period_ns
        for i, episode in enumerate(episodes):
            gaps = np.unique(np.diff(episode.stamps_ns))
            if gaps.size and (gaps.size > 1 or gaps[0] != period):
                raise StoreError(
                    f'episode {i}: frames must be {period} ns apart as the contract says, found gaps {gaps[:5]}'
                )
        lengths = np.array([len(e) for e in episodes])
        stops = np.cumsum(lengths)
        self.first = torch.as_tensor(np.repeat(stops - lengths, lengths))
        self.last = torch.as_tensor(np.repeat(stops - 1, lengths))
        self.proprio = torch.as_tensor(np.concatenate([e.proprio for e in episodes]))
        self.actions = torch.as_tensor(np.concatenate([e.actions for e in episodes]))
        self.images = {
            c.name: torch.as_tensor(np.concatenate([e.images[c.name] for e in episodes]))
            for c in contract.cameras
        }

    def __len__(self) -> int:
        return len(self.proprio)

    def windows(self, index_B: Tensor) -> Windows:
        """Windows whose observation is at the given frames; history before an episode repeats its first frame."""
        timing = self.contract.timing
        back_O = torch.arange(timing.obs_horizon - 1, -1, -1)
        seen_BO = torch.maximum(index_B[:, None] - back_O, self.first[index_B][:, None])
        ahead_BT = index_B[:, None] + torch.arange(timing.pred_horizon)
        last_B1 = self.last[index_B][:, None]
        return Windows(
            proprio=self.proprio[seen_BO],
            images={name: image[seen_BO] for name, image in self.images.items()},
            actions=self.actions[torch.minimum(ahead_BT, last_B1)],
            valid=(ahead_BT <= last_B1) | self.hold_after_end,
        )
