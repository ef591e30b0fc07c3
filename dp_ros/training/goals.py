# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""From what demonstrations were for to what the network and the training-only heads are given."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dp_ros.contract import Contract
from dp_ros.data.demonstrations import Demonstrations
from dp_ros.data.goals import DrawnGoals
from dp_ros.errors import ConfigError
from dp_ros.model.goals import IMAGE, GoalBatch
from dp_ros.training.experiment import TrainingConfig
from dp_ros.training.heads import PATCHES


@dataclass(frozen=True)
class Aims:
    """What a batch is for, and what its heads predict.

    Attributes:
        goals: of each sample; None for a policy without goals.
        task_B: equal for equal instructions, -1 where there is none; None without goals.
        later: camera name to (B, H, W, 3) uint8, later pictures; empty without foresight.
        order_BM: a random order of each picture's patches; None without foresight.
        privileged_BP: what no sensor tells; None without its head.
    """

    goals: GoalBatch | None = None
    task_B: Tensor | None = None
    later: dict[str, Tensor] = field(default_factory=dict)
    order_BM: Tensor | None = None
    privileged_BP: Tensor | None = None

    def to(self, device: torch.device) -> 'Aims':
        """The same on another device."""

        def move(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.to(device, non_blocking=True)

        goals = self.goals
        if goals is not None:
            goals = GoalBatch(goals.kind_B.to(device), move(goals.text_BG), move(goals.image_BHWC))
        later = {name: picture.to(device, non_blocking=True) for name, picture in self.later.items()}
        return Aims(goals, move(self.task_B), later, move(self.order_BM), move(self.privileged_BP))


def check_aims(contract: Contract, config: TrainingConfig) -> None:
    """Raise ConfigError where a head has nothing to learn from."""
    if config.alignment and set(contract.goals) != {'instruction', 'image'}:
        raise ConfigError(
            f"training.alignment needs the goals 'instruction' and 'image', the policy takes {contract.goals}"
        )
    if config.labelled_batch_share and 'instruction' not in contract.goals:
        raise ConfigError(
            f"training.labelled_batch_share needs the goal 'instruction', the policy takes {contract.goals}"
        )
    if config.foresight and not contract.cameras:
        raise ConfigError('training.foresight needs a camera, and the contract has none')


def draw_aims(
    data: Demonstrations,
    vectors_MG: Tensor,
    config: TrainingConfig,
    index_B: Tensor,
    rows: slice,
    generator: torch.Generator,
) -> Aims:
    """Aims of this process's rows of a batch; the generator goes on by what the whole batch needs.

    Args:
        data: the demonstrations.
        vectors_MG: embeddings of ``data.goals.texts``.
        config: shares and weights.
        index_B: anchors of the whole batch.
        rows: of this process.
        generator: of the batch.
    """
    aims = Aims()
    if data.goals is not None:
        episode_B = data.episode[index_B.numpy()]
        drawn = data.goals.draw(episode_B, generator, config.goal_image_share, config.goal_dropout)[rows]
        goals = goal_batch(data, index_B[rows], drawn, vectors_MG, every_image=config.alignment > 0)
        aims = Aims(goals, drawn.task_B)
    if config.foresight:
        order_BM = torch.rand(len(index_B), PATCHES, generator=generator).argsort(dim=1)[rows]
        later = data.future(index_B[rows], config.foresight_steps)
        aims = replace(aims, later=later, order_BM=order_BM)
    if config.privileged:
        assert data.privileged is not None
        aims = replace(aims, privileged_BP=data.privileged[index_B[rows]])
    return aims


def goal_batch(
    data: Demonstrations, index_B: Tensor, drawn: DrawnGoals, vectors_MG: Tensor, every_image: bool = False
) -> GoalBatch:
    """Texts become embeddings, and pictures are read; those of samples with a text as well if ``every_image``."""
    assert data.goals is not None
    wanted_B = drawn.kind_B == IMAGE
    if every_image:
        wanted_B = wanted_B | (drawn.text_B >= 0)
    text_BG = vectors_MG[drawn.text_B.clamp(min=0)] if len(vectors_MG) else None
    return GoalBatch(drawn.kind_B, text_BG, data.goals.pictures(data.episode[index_B.numpy()], wanted_B))
