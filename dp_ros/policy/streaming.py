# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Streaming: a rolling buffer of action tokens, of which each tick cleans the front."""

from dataclasses import replace

import torch
from torch import Tensor

from dp_ros.diffusion.denoiser import Denoise
from dp_ros.diffusion.rolling_buffer import RollingBuffer, advance, fresh_tokens
from dp_ros.model.network import Context
from dp_ros.observation.observation import Observation
from dp_ros.policy.backends import Runtime
from dp_ros.policy.config import ControlConfig
from dp_ros.policy.controller import Controller
from dp_ros.policy.policy import Policy
from dp_ros.policy.tick_graph import StreamGraph, TickGraph


class StreamingPolicy(Controller):
    """Streaming denoising: one network evaluation a tick yields the next Ta clean actions.

    Args:
        policy: a loaded policy.
        seed: seed of the noise.
        evaluations: network evaluations a tick; None takes the checkpoint's.
        buffer_start: 'hold', 'denoise' or 'noise'; None takes the checkpoint's.
        control: in place of the checkpoint's.
    """

    tick_schedule = 'tick'

    def __init__(
        self,
        policy: Policy,
        seed: int = 0,
        evaluations: int | None = None,
        buffer_start: str | None = None,
        control: ControlConfig | None = None,
    ):
        control = control or policy.config.control
        control = replace(
            control,
            mode='streaming',
            execute=0,
            evaluations=control.evaluations if evaluations is None else evaluations,
            buffer_start=control.buffer_start if buffer_start is None else buffer_start,
        )
        self._buffer: RollingBuffer | None = None
        super().__init__(policy, control, seed)

    def reset(self, seed: int | None = None) -> None:
        """Begin a new epoch with an empty buffer."""
        super().reset(seed)
        self._buffer = None
        self._origin_A = torch.zeros(len(self.policy.contract.joint_names), dtype=torch.float64)

    def _denoise(self, context: Context, observation: Observation) -> Tensor:
        buffer, denoise = self._at(observation, context), self.denoiser(context, 'tick')
        clean_BTP, self._buffer = advance(buffer, denoise, self._generator, self.control.evaluations)
        return clean_BTP

    def _at(self, observation: Observation, context: Context | None = None) -> RollingBuffer:
        """The buffer of this tick: a new one at the start of an epoch, else counting from the pose as it is now."""
        origin_A, buffer = self._origin(observation), self._buffer
        if buffer is None:
            buffer = self._start(context or self._encode(observation), observation)
        elif self.policy.config.diffusion.relative_actions:
            # Exact whatever the noise: it is added to the clean tokens, and so is this.
            buffer = buffer.plus(self.policy.moved_tokens(origin_A - self._origin_A))
        self._origin_A = origin_A
        return buffer

    def graph(self) -> TickGraph:
        """One tick of the buffer; the start of an epoch stays eager."""
        return StreamGraph(self.policy, self.control, self.plan)

    def _run(self, runtime: Runtime, inputs: dict[str, Tensor], observation: Observation) -> Tensor:
        buffer = self._at(observation)
        fresh_TP = fresh_tokens(buffer, self._generator)[0]
        clean_TP, next_TP = runtime.run({**inputs, 'x': buffer.x_BTP[0], 'fresh': fresh_TP})
        self._buffer = RollingBuffer(next_TP[None], self.policy.levels)
        return clean_TP[None]

    def _schedules(self) -> dict[str, Tensor]:
        def tick(denoise: Denoise, x_BTP: Tensor) -> object:
            buffer = RollingBuffer(x_BTP, self.policy.levels)
            return advance(buffer, denoise, torch.Generator(), self.control.evaluations)

        # Only a start by a full denoise needs its steps.
        full = super()._schedules() if self.control.buffer_start == 'denoise' else {}
        return {'tick': self._written_down(tick), **full}

    def _full_steps(self) -> int:
        return self.policy.levels.count

    def _start(self, context: Context, observation: Observation) -> RollingBuffer:
        levels = self.policy.levels
        if self.control.buffer_start == 'denoise':
            guess_BTP = self._full_denoise(context)
        else:
            guess_BTP = self.policy.hold_tokens(observation.proprio)
            if self.control.buffer_start == 'noise':
                guess_BTP = torch.zeros_like(guess_BTP)
        return RollingBuffer.from_clean(guess_BTP, levels, self._generator)
