# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What each demonstration was for: its instructions, and its last picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dp_ros.contract import Contract
from dp_ros.contract.contract import GOAL_KINDS
from dp_ros.data.episode import Episode
from dp_ros.errors import StoreError

NO_GOAL = 0
_INSTRUCTION, _IMAGE = (1 + GOAL_KINDS.index(kind) for kind in ('instruction', 'image'))


@dataclass(frozen=True)
class DrawnGoals:
    """Goals of a batch.

    Attributes:
        kind_B: int64, 0 for none, else 1 + the place in GOAL_KINDS.
        text_B: int64, one of the episode's instructions as an index into ``EpisodeGoals.texts``; -1 where it has none.
        task_B: int64, equal for episodes with equal instructions; -1 where there are none.
    """

    kind_B: Tensor
    text_B: Tensor
    task_B: Tensor

    def __getitem__(self, rows: slice) -> 'DrawnGoals':
        return DrawnGoals(self.kind_B[rows], self.text_B[rows], self.task_B[rows])


class EpisodeGoals:
    """Instructions and last pictures of episodes.

    Args:
        contract: which kinds count, and whose first camera takes the picture.
        episodes: in order.
        labelled_share: that many episodes of each task keep their text, but at least one; the others have the picture
            alone. Which ones follows from the seed.
        seed: of that choice.

    Attributes:
        texts: every instruction that is left, once.

    Raises:
        StoreError: the contract takes instructions alone, and no episode has one.
    """

    def __init__(
        self, contract: Contract, episodes: Sequence[Episode], labelled_share: float = 1.0, seed: int = 0
    ):
        self._kinds = contract.goals
        given = [e.instructions if 'instruction' in self._kinds else () for e in episodes]
        kept = _labelled(given, labelled_share, seed)
        spoken = [texts if keeps else () for texts, keeps in zip(given, kept, strict=True)]
        self.texts = tuple(dict.fromkeys(text for texts in spoken for text in texts))
        if self._kinds == ('instruction',) and not self.texts:
            raise StoreError('the policy takes instructions, and no episode has one (metadata instruction)')
        number = {text: i for i, text in enumerate(self.texts)}
        tasks = {texts: i for i, texts in enumerate(dict.fromkeys(spoken)) if texts}
        self._texts = [torch.tensor([number[text] for text in texts]) for texts in spoken]
        self._task = torch.tensor([tasks.get(texts, -1) for texts in spoken])
        self._pictures = []
        if 'image' in self._kinds:
            camera = contract.cameras[0].name
            # Views into the store's files: a picture costs memory only where it is drawn.
            self._pictures = [e.images[camera][e.image_index[camera][-1, -1]] for e in episodes]

    @property
    def spoken(self) -> np.ndarray:
        """(E,) bool, episodes that keep an instruction."""
        found: np.ndarray = self._task.numpy() >= 0
        return found

    def draw(
        self, episode_B: np.ndarray, generator: torch.Generator, image_share: float, dropout: float
    ) -> DrawnGoals:
        """A kind for each sample among those that its episode has, and one of its texts.

        Args:
            episode_B: numbers of episodes.
            generator: is advanced by the same amount whatever comes out.
            image_share: probability of the picture where there is a text as well.
            dropout: probability of no goal, for each sample on its own.
        """
        which_B, dropped_B, word_B = torch.rand(3, len(episode_B), generator=generator).unbind()
        task_B = self._task[torch.from_numpy(episode_B)]
        text_B = torch.full((len(episode_B),), -1)
        for row, episode in enumerate(episode_B):
            if len(texts := self._texts[episode]):
                text_B[row] = texts[min(int(word_B[row] * len(texts)), len(texts) - 1)]
        kind_B = torch.where(text_B >= 0, _INSTRUCTION, NO_GOAL)
        if self._pictures:
            kind_B[(text_B < 0) | (which_B < image_share)] = _IMAGE
        kind_B[dropped_B < dropout] = NO_GOAL
        return DrawnGoals(kind_B, text_B, task_B)

    def pictures(self, episode_B: np.ndarray, wanted_B: Tensor) -> Tensor | None:
        """(B, H, W, 3) uint8, the last pictures of the wanted rows; what the others hold means nothing."""
        if not self._pictures:
            return None
        out = np.zeros((len(episode_B), *self._pictures[0].shape), np.uint8)
        for row in wanted_B.nonzero()[:, 0].tolist():
            out[row] = self._pictures[episode_B[row]]
        return torch.from_numpy(out)


def _labelled(given: Sequence[tuple[str, ...]], share: float, seed: int) -> list[bool]:
    """Which episodes keep their text: the share of each task's, rounded, but one at least."""
    kept = [False] * len(given)
    for position, texts in enumerate(dict.fromkeys(given)):
        mine = [i for i, other in enumerate(given) if other == texts]
        order = np.random.default_rng((seed, position)).permutation(len(mine))
        count = len(mine) if share >= 1 else max(1, math.floor(share * len(mine) + 0.5))
        for i in order[:count]:
            kept[mine[i]] = True
    return kept
