# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What is said of disturbed episodes."""

import numpy as np
import pytest

from dp_ros.evaluation.record import EpisodeRecord
from dp_ros.evaluation.rollout import recovery
from dp_ros.evaluation.statistics import wilson_interval


def episode(disturbed_s, success_s):
    nothing = np.zeros((0, 2))
    return EpisodeRecord(
        seed=0,
        success=success_s is not None,
        strict_success=False,
        max_reward=0.0,
        steps=0,
        times_ns=np.zeros(0, np.int64),
        measured=nothing,
        commanded=nothing,
        success_s=success_s,
        disturbed_s=disturbed_s,
    )


def test_recovery_counts_episodes_whose_object_moved_and_from_that_moment_on():
    found = recovery([episode(0.5, 2.0), episode(1.0, 3.5), episode(0.25, None), episode(None, 1.0)])
    assert (found['moved'], found['recovered']) == (3, 2)
    assert found['interval'] == list(wilson_interval(2, 3))
    assert found['seconds']['p50'] == pytest.approx(2.0) and found['seconds']['largest'] == pytest.approx(2.5)


def test_without_any_the_interval_says_nothing():
    found = recovery([episode(None, 1.0)])
    assert (found['moved'], found['interval']) == (0, [0.0, 1.0])
