# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The past tokens of a batch: what the demonstrator commanded before each observation, sometimes forgotten."""

import torch
from torch import Tensor

from dp_ros.data.demonstrations import Windows
from dp_ros.model.past import Past
from dp_ros.policy.normalizer import Normalizer
from dp_ros.policy.policy import past_tokens
from dp_ros.training.experiment import Experiment


def draw_past(
    experiment: Experiment,
    action: Normalizer,
    windows: Windows,
    origin_BA: Tensor,
    rows: slice,
    generator: torch.Generator,
) -> Past | None:
    """Past tokens of this process's rows of a batch; the generator goes on by what the whole batch needs.

    An epoch begins anywhere on a robot, and knows only what it has commanded itself: so ``training.past_dropout`` of
    the samples keep the newest tokens alone, any number from none to all but one.

    Args:
        experiment: sizes and shares.
        action: of commanded joint positions.
        windows: of this process.
        origin_BA: where their action tokens count from.
        rows: of this process in the batch.
        generator: of the batch.
    """
    network, training = experiment.network, experiment.training
    if windows.past is None or windows.past_valid is None:
        return None
    past_BHA = windows.past - origin_BA[:, None]
    past = past_tokens(network, experiment.diffusion, action, past_BHA, windows.past_valid)
    keep_B = torch.randint(network.past_tokens, (training.batch_size,), generator=generator)
    whole_B = torch.rand(training.batch_size, generator=generator) >= training.past_dropout
    age_K = torch.arange(network.past_tokens, 0, -1)
    kept_BK = whole_B[:, None] | (age_K <= keep_B[:, None])
    return Past(past.x_BKP, past.valid_BK & kept_BK[rows])
