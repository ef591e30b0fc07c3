# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Classifier-free guidance (Ho and Salimans, arXiv 2207.12598) on denoised estimates, as in BESO (arXiv 2304.02532)."""

from torch import Tensor

from dp_ros.diffusion.denoiser import Denoise


def guided(denoise: Denoise, guidance: float) -> Denoise:
    """D = D_null + guidance (D_goal - D_null), both branches in one batch.

    The same combination of scores, because the score is (D - x) / sigma^2. 1 gives the conditional branch and 0 the
    unconditional one; whoever needs only one of them takes that one and pays for one.

    Args:
        denoise: of 2 B rows, the first B with the goal and the others without.
        guidance: lambda.
    """

    def both(x_BTP: Tensor, sigma_BT: Tensor) -> Tensor:
        estimate_RTP = denoise(x_BTP.repeat(2, 1, 1), sigma_BT.repeat(2, 1))
        goal_BTP, null_BTP = estimate_RTP.chunk(2)
        return null_BTP + guidance * (goal_BTP - null_BTP)

    return both
