# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Demonstrations, and the windows that training cuts out of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode
from dp_ros.data.goals import EpisodeGoals
from dp_ros.errors import StoreError


@dataclass(frozen=True)
class Windows:
    """A batch of observations and the actions that follow; SI units.

    Attributes:
        proprio: (B, To, S) float32.
        images: camera name to (B, To, H, W, 3) uint8.
        actions: (B, Tp, A) float32; beyond the episode's end the last command is repeated.
        valid: (B, Tp) bool; False beyond the episode's end, unless the last command is held there.
        vectors: name to (B, To, dim) float32.
        past: (B, H, A) float32, what was commanded H periods down to one period before; None where not asked for.
        past_valid: (B, H) bool; False before the episode's first command.
    """

    proprio: Tensor
    images: dict[str, Tensor]
    actions: Tensor
    valid: Tensor
    vectors: dict[str, Tensor] = field(default_factory=dict)
    past: Tensor | None = None
    past_valid: Tensor | None = None


class Demonstrations:
    """Episodes side by side; every anchor is the observation of one window.

    Joints, vectors and commands are copied; images stay where the episodes have them: on disk, for those of a store.

    Args:
        contract: gives horizons and period.
        episodes: in order, of this contract.
        hold_after_end: the demonstrations end at rest with the task done, so that holding the last action is what
            follows. Without it the network never learns what comes after the end, and may begin anew.
        labelled_share, seed: which episodes keep their instructions (goals.py).

    Attributes:
        lengths: anchors of each episode.
        proprio: (N, To, S) float32, of all anchors.
        vectors: name to (N, To, dim) float32, of all anchors.
        actions: (N, A) float32, the labels at the anchors themselves.
        episode: (N,) number of each anchor's episode.
        goals: what the episodes were for; None where the contract has no goals.
        labelled: (M,) int64, anchors of the episodes that have an instruction; None where none has.
        privileged: (N, P) float32, what no sensor tells, of all anchors; None where an episode lacks it.
    """

    def __init__(
        self,
        contract: Contract,
        episodes: Iterable[Episode],
        hold_after_end: bool = False,
        labelled_share: float = 1.0,
        seed: int = 0,
    ):
        self.contract = contract
        self.hold_after_end = hold_after_end
        episodes = list(episodes)
        if not episodes:
            raise StoreError('no episodes: collect or import some first')
        self.lengths = [len(e) for e in episodes]
        # The newest ones, where the store holds more observations than the contract wants.
        newest = slice(-contract.timing.obs_horizon, None)
        self.proprio = torch.from_numpy(np.concatenate([e.proprio[:, newest] for e in episodes]))
        self.vectors = {
            v.name: torch.from_numpy(np.concatenate([e.vectors[v.name][:, newest] for e in episodes]))
            for v in contract.vectors
        }
        self.episode = np.repeat(np.arange(len(episodes)), self.lengths)
        self._last = np.cumsum(self.lengths) - 1
        self.goals = EpisodeGoals(contract, episodes, labelled_share, seed) if contract.goals else None
        spoken = self.goals.spoken[self.episode] if self.goals else np.zeros(0, bool)
        self.labelled = torch.from_numpy(np.flatnonzero(spoken)) if spoken.any() else None
        told = [e.privileged for e in episodes if e.privileged is not None]
        same = len(told) == len(episodes) and len({values.shape[1] for values in told}) == 1
        self.privileged = torch.from_numpy(np.concatenate(told)) if same else None
        self._images = {c.name: [e.images[c.name] for e in episodes] for c in contract.cameras}
        self._seen = {
            c.name: np.concatenate([e.image_index[c.name][:, newest] for e in episodes])
            for c in contract.cameras
        }
        # All curves lie on one axis of time, one after the other, so that one search serves every window of a batch.
        spans_ns = np.array([e.command_stamps_ns[-1] - e.command_stamps_ns[0] for e in episodes])
        starts_ns = np.cumsum(spans_ns + 1) - (spans_ns + 1)
        shifts_ns = starts_ns - [e.command_stamps_ns[0] for e in episodes]
        moved = list(zip(episodes, shifts_ns, strict=True))
        self._command_ns = torch.from_numpy(np.concatenate([e.command_stamps_ns + by for e, by in moved]))
        self._commands = torch.from_numpy(np.concatenate([e.commands for e in episodes]))
        self._anchor_ns = torch.from_numpy(np.concatenate([e.stamps_ns + by for e, by in moved]))
        self._first_ns = torch.from_numpy(np.repeat(starts_ns, self.lengths))
        self._last_ns = torch.from_numpy(np.repeat(starts_ns + spans_ns, self.lengths))
        self.actions = self._labels(torch.arange(len(self)), 1)[0][:, 0]

    def __len__(self) -> int:
        return len(self.proprio)

    def windows(self, index_B: Tensor, past: int = 0) -> Windows:
        """Windows whose observation is at the given anchors, with so many actions of the past."""
        actions_BTA, reached_BT = self._labels(index_B, self.contract.timing.pred_horizon)
        past_BHA, past_BH = self._labels(index_B, past, -past) if past else (None, None)
        return Windows(
            proprio=self.proprio[index_B],
            images={name: self._frames(name, index_B.numpy()) for name in self._images},
            actions=actions_BTA,
            valid=reached_BT | self.hold_after_end,
            vectors={name: values[index_B] for name, values in self.vectors.items()},
            past=past_BHA,
            past_valid=past_BH,
        )

    def labels(self, index_B: Tensor) -> Tensor:
        """The actions of :meth:`windows` alone, (B, Tp, A) float32."""
        return self._labels(index_B, self.contract.timing.pred_horizon)[0]

    def future(self, index_B: Tensor, steps: int) -> dict[str, Tensor]:
        """What each camera shows ``steps`` anchors later, or at the end of the episode: (B, H, W, 3) uint8."""
        index = index_B.numpy()
        later = np.minimum(index + steps, self._last[self.episode[index]])
        return {name: self._frames(name, later)[:, -1] for name in self._images}

    def _frames(self, camera: str, index_B: np.ndarray) -> Tensor:
        images, seen_BO = self._images[camera], self._seen[camera][index_B]
        out = np.empty((*seen_BO.shape, *images[0].shape[1:]), np.uint8)
        for row, episode, seen_O in zip(out, self.episode[index_B], seen_BO, strict=True):
            # The store has checked the indices; 'clip' only spares np.take a copy.
            np.take(images[episode], seen_O, axis=0, out=row, mode='clip')
        return torch.from_numpy(out)

    def _labels(self, index_B: Tensor, count: int, first: int = 0) -> tuple[Tensor, Tensor]:
        """The commands' curve (B, count, A) from the anchors on, one period apart, and where there is a curve.

        ``first`` periods from the anchors on, which are negative for the past. An anchor may lie before the first
        command, and its label counts; a past before it was never commanded.
        """
        steps_T = torch.arange(first, first + count)
        wanted_BT = self._anchor_ns[index_B][:, None] + steps_T * self.contract.timing.period_ns
        first_B1, last_B1 = self._first_ns[index_B][:, None], self._last_ns[index_B][:, None]
        at_BT = wanted_BT.clamp(first_B1, last_B1)
        before_BT = torch.searchsorted(self._command_ns, at_BT, right=True) - 1
        after_BT = (before_BT + 1).clamp(max=len(self._command_ns) - 1)
        before_ns, after_ns = self._command_ns[before_BT], self._command_ns[after_BT]
        share_BT1 = ((at_BT - before_ns) / (after_ns - before_ns).double())[..., None]
        before_BTA, after_BTA = self._commands[before_BT], self._commands[after_BT]
        between_BTA = before_BTA.double() + share_BT1 * (after_BTA.double() - before_BTA.double())
        # On a point the value is the point's own, bit for bit; at the very last one the share is 0 / 0.
        there_BT = (wanted_BT <= last_B1) & ((wanted_BT >= first_B1) | (steps_T >= 0))
        return torch.where(share_BT1 > 0, between_BTA.float(), before_BTA), there_BT
