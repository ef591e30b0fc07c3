# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""From how a policy is run to what runs it."""

from dp_ros.policy.config import ControlConfig
from dp_ros.policy.controller import Controller
from dp_ros.policy.policy import Policy
from dp_ros.policy.sampling import ChunkPolicy, TruncatedPolicy
from dp_ros.policy.streaming import StreamingPolicy


def make_controller(policy: Policy, seed: int = 0, control: ControlConfig | None = None) -> Controller:
    """The controller that a control configuration describes; the checkpoint's own by default."""
    control = control or policy.config.control
    if control.mode == 'chunk':
        return ChunkPolicy(policy, seed, control=control)
    if control.mode == 'truncated':
        return TruncatedPolicy(policy, seed, control=control)
    return StreamingPolicy(policy, seed, control=control)
