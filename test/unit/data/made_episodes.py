# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Small episodes for the tests of the data room."""

import numpy as np

from dp_ros.contract import Contract
from dp_ros.data.episode import Episode


def regular_episode(contract: Contract, seed: int, frames: int = 6) -> Episode:
    """Random frames one period apart, as a simulator gives them."""
    rng = np.random.default_rng(seed)
    width = len(contract.joint_names)
    return Episode.regular(
        contract.timing,
        stamps_ns=np.arange(frames) * contract.timing.period_ns,
        proprio=rng.normal(size=(frames, width)).astype(np.float32),
        actions=rng.normal(size=(frames, width)).astype(np.float32),
        images={c.name: rng.integers(0, 256, (frames, *c.size, 3), dtype=np.uint8) for c in contract.cameras},
        privileged=rng.normal(size=(frames, 3)).astype(np.float32),
        metadata={'seed': str(seed), 'strict_success': 'True'},
    )


def irregular_episode(contract: Contract, seed: int, anchors: int = 20, points: int = 50) -> Episode:
    """Random anchors, frames and commands at random stamps of a real clock; some anchors lie beyond the commands."""
    rng = np.random.default_rng(seed)
    width, timing = len(contract.joint_names), contract.timing
    start_ns, span_ns = 1_764_000_000_000_000_000, anchors * timing.period_ns

    def stamps(count: int) -> np.ndarray:
        return start_ns + np.sort(rng.choice(span_ns, count, replace=False))

    frames = anchors // 2 + 1
    seen = (anchors, timing.obs_horizon)
    return Episode(
        stamps_ns=stamps(anchors),
        proprio=rng.normal(size=(*seen, width)).astype(np.float32),
        images={c.name: rng.integers(0, 256, (frames, *c.size, 3), dtype=np.uint8) for c in contract.cameras},
        image_index={c.name: rng.integers(0, frames, seen, dtype=np.int32) for c in contract.cameras},
        command_stamps_ns=stamps(points),
        commands=rng.normal(size=(points, width)).astype(np.float32),
        metadata={'instruction': 'stack the cups', 'outcome': 'success'},
    )
