# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The clockwork of a policy: how much it sees, predicts and executes.

With To = 2 observations, Tp = 8 predicted and Ta = 4 executed actions, one column a period::

    observed    o o
    predicted     a a a a a a a a
    executed      a a a a
    next tick             o o ...

The observation at time t_obs and the first action a_0 share one column: a_0 is in force at t_obs.
"""

from dataclasses import dataclass

from dp_ros.errors import ContractError


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Horizons counted in periods, and the period in nanoseconds.

    Attributes:
        obs_horizon: To, observations that the policy sees, at t_obs - k * period.
        pred_horizon: Tp, actions in a chunk; action i is in force at t_obs + i * period.
        action_horizon: Ta, actions between two ticks of the policy.
        period_ns: time between two actions of a chunk.
    """

    obs_horizon: int
    pred_horizon: int
    action_horizon: int
    period_ns: int

    def __post_init__(self) -> None:
        for name in ('obs_horizon', 'pred_horizon', 'action_horizon', 'period_ns'):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ContractError(f'timing.{name} must be an integer of at least 1, got {value!r}')
        if self.pred_horizon % self.action_horizon:
            raise ContractError(
                f'timing.pred_horizon ({self.pred_horizon}) must be a multiple of '
                f'timing.action_horizon ({self.action_horizon})'
            )

    @property
    def tick_ns(self) -> int:
        """Time between two ticks of the policy: Ta * period."""
        return self.action_horizon * self.period_ns
