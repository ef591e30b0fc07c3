# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Chunks by a sampler: from pure noise each time, or from what is left of the last chunk."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dp_ros.diffusion.denoiser import Denoise
from dp_ros.errors import ConfigError
from dp_ros.model.network import Context
from dp_ros.observation.observation import Observation
from dp_ros.policy.backends import Runtime
from dp_ros.policy.config import ControlConfig
from dp_ros.policy.controller import Controller, sampled_levels
from dp_ros.policy.policy import Policy
from dp_ros.policy.tick_graph import ChunkGraph, TickGraph


class ChunkPolicy(Controller):
    """The usual way: a fresh chunk from pure noise each time, of which the first ``execute`` actions are used."""

    def __init__(
        self,
        policy: Policy,
        seed: int = 0,
        evaluations: int | None = None,
        execute: int | None = None,
        sampler: str | None = None,
        control: ControlConfig | None = None,
    ):
        control = control or policy.config.control
        super().__init__(
            policy,
            replace(
                control,
                mode='chunk',
                evaluations=control.evaluations if evaluations is None else evaluations,
                execute=control.execute if execute is None else execute,
                sampler=control.sampler if sampler is None else sampler,
            ),
            seed,
        )

    def _denoise(self, context: Context, observation: Observation) -> Tensor:
        return self._full_denoise(context)

    def graph(self) -> TickGraph:
        """A full denoise, from the observation on."""
        schedules = self._schedules()
        return ChunkGraph(self.policy, self.control, self.plan, self._full_sigmas(), schedules['full'])

    def _run(self, runtime: Runtime, inputs: dict[str, Tensor], observation: Observation) -> Tensor:
        (tokens_TP,) = runtime.run({**inputs, 'start': self._pure_noise()[0]})
        return tokens_TP[None]

    def _full_steps(self) -> int:
        return self.control.evaluations


class TruncatedPolicy(Controller):
    """Each tick noises what is left of the last chunk and denoises it with the newest observation.

    The start is DiffusionDrive's (arXiv 2411.15139), whose anchors are here the plan itself: so much noise that the
    observation may change it, too little for the network to choose another way of doing the same. The first chunk of
    an epoch, and one after a pause longer than a chunk, comes from pure noise.

    The network must have been trained with one noise level for all tokens in some of its chunks.
    """

    tick_schedule = 'tick'

    def __init__(self, policy: Policy, seed: int = 0, control: ControlConfig | None = None):
        control = replace(control or policy.config.control, mode='truncated')
        full = sampled_levels(policy.levels, control)
        low, high = full.sigma_min, policy.levels.sigma_max
        if not low < control.restart_sigma <= high:
            raise ConfigError(
                f'control.restart_sigma must lie within the trained range {low:g} to {high:g}, '
                f'got {control.restart_sigma:g}'
            )
        restart = replace(full, sigma_max=control.restart_sigma)
        self._restart_sigmas = restart.table(control.evaluations, control.schedule)
        super().__init__(policy, control, seed)

    def graph(self) -> TickGraph:
        """A tick from the noised plan on; the start of an epoch stays eager."""
        sigmas, schedules = self._restart_sigmas, self._schedules()
        return ChunkGraph(self.policy, self.control, self.plan, sigmas, schedules['tick'], 'tick')

    def _denoise(self, context: Context, observation: Observation) -> Tensor:
        start_BTP = self._noised_plan(observation)
        if start_BTP is None:
            return self._full_denoise(context)
        return self._resample(self.denoiser(context, 'tick'), start_BTP)

    def _run(self, runtime: Runtime, inputs: dict[str, Tensor], observation: Observation) -> Tensor:
        start_BTP = self._noised_plan(observation)
        if start_BTP is None:
            return self._full_denoise(self._encode(observation))
        (tokens_TP,) = runtime.run({**inputs, 'start': start_BTP[0]})
        return tokens_TP[None]

    def _resample(self, denoise: Denoise, start_BTP: Tensor) -> Tensor:
        return self._sample(denoise, start_BTP, self._restart_sigmas)

    def _schedules(self) -> dict[str, Tensor]:
        return {'tick': self._written_down(self._resample), **super()._schedules()}

    def _full_steps(self) -> int:
        return self.policy.levels.count

    def _noised_plan(self, observation: Observation) -> Tensor | None:
        """What the last chunk says from now on, its end held, with noise; None where there is nothing left of it."""
        last = self.chunk
        if last is None:
            return None
        # To the nearest row: half a period is little beside the noise.
        passed = round((observation.stamp_ns - last.stamp_ns) / last.period_ns)
        if not 0 <= passed < len(last.positions):
            return None
        rows = np.minimum(np.arange(len(last.positions)) + passed, len(last.positions) - 1)
        left_BTA = torch.from_numpy(last.positions[rows])[None]
        plan_BTP = self.policy.to_tokens(left_BTA, self._origin(observation))
        return (plan_BTP + self.control.restart_sigma * self._unit_noise()).to(self.policy.device)
