# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What the policy sees at one moment."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Observation:
    """To aligned steps, the oldest first; the last one stands at ``stamp_ns``, step -1-k at k periods before.

    Attributes:
        stamp_ns: t_obs.
        proprio: (To, S) float32, joint positions in the contract's order, rad or m.
        images: camera name to (To, H, W, 3) uint8 RGB.
        ages_ns: how old the used samples were when the observation was made: ``'joints'``, each camera and each
            vector for the last step, ``'<stream>[k]'`` for the step k periods before. At the start of an epoch, where
            the first sample is repeated, ``'<stream>[k]'`` is less than k periods older than ``'<stream>'``.
        vectors: name to (To, dim) float32, the newest sample at or before each step.
    """

    stamp_ns: int
    proprio: npt.NDArray[np.float32]
    images: dict[str, npt.NDArray[np.uint8]]
    ages_ns: dict[str, int]
    vectors: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
