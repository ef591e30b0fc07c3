# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What OpenMP's threads do between two parallel regions."""

import os


def sleep_when_idle() -> None:
    """Let the threads of torch sleep rather than spin while they wait; to be called before torch is imported.

    By default they spin. Where another process has work for the same cores, a thread then spins through the time slice
    that the one it waits for would need: a training step with two threads takes six times as long
    (bench/results/train). On cores of its own, sleeping costs it 5 %. A setting of the user's (OMP_WAIT_POLICY) stays.
    """
    os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
