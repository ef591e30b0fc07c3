# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A tick's work on tensors as one graph of fixed shapes: what the backends compile, capture or export.

Inputs, in this order (without a batch axis; O observation steps, R rows of goals, P values of a token):

    proprio (O, S), vector.NAME (O, dim)    normalised
    image.NAME (O, H, W, 3)                 uint8
    past (K, P), past_valid (K,)            what was commanded before, for a policy with past tokens; the second bool
    goal (R, D)                             encoded goals, for a policy that takes goals
    x (T, P), fresh (T / L, P)              streaming: the buffer, and the noise to append
    start (T, P)                            chunks: the noise, or the plan with noise on it, to begin with

Outputs: ``clean`` (T, P), and for streaming ``next`` (T, P), the buffer of the next tick.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from dp_ros.diffusion.denoiser import Denoise
from dp_ros.diffusion.rolling_buffer import RollingBuffer, level_steps, lower
from dp_ros.diffusion.samplers import SAMPLERS
from dp_ros.model.folded import FoldedContext, FoldedNetwork
from dp_ros.model.past import Past
from dp_ros.model.route_plan import RoutePlan
from dp_ros.policy.config import ControlConfig
from dp_ros.policy.policy import Policy

Inputs = Mapping[str, Tensor]
LAYOUT = 1
"""Number of this layout of inputs, outputs and arithmetic; an artefact of another one is foreign."""


class TickGraph(nn.Module, ABC):
    """See the module; ``forward`` takes the inputs in order and returns the outputs in order.

    Args:
        policy: loaded.
        control: what shapes the graph: mode, evaluations, sampler, schedule, guidance.
        plan: the controller's, for a network with experts.
        sigma_ST: noise levels of the evaluations.
        schedule: their name in the plan.
    """

    outputs: tuple[str, ...]

    def __init__(
        self,
        policy: Policy,
        control: ControlConfig,
        plan: RoutePlan | None,
        sigma_ST: Tensor,
        schedule: str,
    ):
        super().__init__()
        self.policy, self.control, self.schedule = policy, control, schedule
        sizes = {camera.name: camera.size for camera in policy.contract.cameras}
        self.folded = FoldedNetwork(policy.network, sigma_ST.to(policy.device), sizes, plan, schedule)
        self.rows = 1 if control.guidance in (0.0, 1.0) else 2
        for name, value in zip(
            ('skip', 'out', 'in'), policy.denoiser.scales(sigma_ST.to(policy.device)), strict=True
        ):
            self.register_buffer(f'scale_{name}_ST1', value, persistent=False)
        self.shapes = self._observed_shapes() | self._noise_shapes()

    scale_skip_ST1: Tensor
    scale_out_ST1: Tensor
    scale_in_ST1: Tensor

    @property
    def key(self) -> dict[str, Any]:
        """What, besides the weights, an artefact of this graph depends on; plain data for JSON."""
        control = asdict(self.control)
        names = ['mode', 'evaluations', 'guidance']
        sampled = ['sampler', 'schedule', 'sigma_min']
        names += {
            'streaming': [],
            'chunk': [*sampled, 'sigma_max'],
            'truncated': [*sampled, 'restart_sigma'],
        }[self.control.mode]
        return {'layout': LAYOUT, **{name: control[name] for name in names}}

    def example(self, seed: int = 0) -> dict[str, Tensor]:
        """Legal, meaningless inputs on the policy's device."""
        generator = torch.Generator().manual_seed(seed)
        out = {}
        for name, shape in self.shapes.items():
            if name.startswith('image.'):
                value = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
            elif name == 'past_valid':
                value = torch.arange(shape[0]) > 0
            else:
                value = torch.randn(shape, generator=generator)
            out[name] = value.to(self.policy.device)
        return out

    def run(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """The graph on named inputs."""
        outputs: tuple[Tensor, ...] = self(*(inputs[name] for name in self.shapes))
        return outputs

    @abstractmethod
    def reference(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """The same outputs by the network as it was trained, nothing folded."""

    @abstractmethod
    def _noise_shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the inputs that are not the observation."""

    def _observed_shapes(self) -> dict[str, tuple[int, ...]]:
        contract, steps = self.policy.contract, self.policy.contract.timing.obs_horizon
        shapes: dict[str, tuple[int, ...]] = {'proprio': (steps, len(contract.joint_names))}
        shapes |= {f'vector.{v.name}': (steps, v.dim) for v in contract.vectors}
        shapes |= {f'image.{c.name}': (steps, *c.size, 3) for c in contract.cameras}
        past = self.policy.network.past
        if past is not None:
            shapes |= {'past': (past.count, past.token_dim), 'past_valid': (past.count,)}
        if contract.goals:
            shapes['goal'] = (self.rows, self.policy.config.network.width)
        return shapes

    def _named(self, values: tuple[Tensor, ...]) -> dict[str, Tensor]:
        return dict(zip(self.shapes, values, strict=True))

    def _encode(self, inputs: Inputs) -> FoldedContext:
        past = Past(inputs['past'][None], inputs['past_valid'][None]) if 'past' in inputs else None
        return self.folded.encode(
            inputs['proprio'], _fields(inputs, 'image.'), _fields(inputs, 'vector.'), inputs.get('goal'), past
        )

    def _estimate(self, number: int, x_TP: Tensor, context: FoldedContext) -> Tensor:
        """D at an evaluation, both branches joined (guidance.py)."""
        raw_TP = self.folded.evaluate(number, self.scale_in_ST1[number] * x_TP, context)
        if self.rows > 1:
            goal_TP, null_TP = raw_TP.chunk(2)
            raw_TP = null_TP + self.control.guidance * (goal_TP - null_TP)
        return self.scale_skip_ST1[number] * x_TP + self.scale_out_ST1[number] * raw_TP

    def _denoise(self, inputs: Inputs) -> Denoise:
        context = self.policy.encode_inputs(inputs, inputs.get('goal'))
        plan = self.folded.plan
        evaluations = None if plan is None else plan.evaluations(self.schedule)
        return self.policy.denoise(context, self.control.guidance, evaluations)


class StreamGraph(TickGraph):
    """A tick of the rolling buffer."""

    outputs = ('clean', 'next')

    def __init__(self, policy: Policy, control: ControlConfig, plan: RoutePlan | None):
        network = policy.network
        self._tokens = network.num_tokens, network.token_dim
        self.pop = network.num_tokens // policy.levels.count
        resting = RollingBuffer(torch.zeros(1, *self._tokens), policy.levels)
        steps = list(level_steps(resting, control.evaluations))
        super().__init__(policy, control, plan, torch.cat([sigma for sigma, _ in steps]), 'tick')
        ratio_ST1 = torch.cat([following / sigma for sigma, following in steps])[..., None]
        self.register_buffer('ratio_ST1', ratio_ST1.to(policy.device), persistent=False)
        self.resting_sigma_T1 = steps[0][0][0, :, None]

    ratio_ST1: Tensor

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        inputs = self._named(values)
        context = self._encode(inputs)
        x_TP = clean_TP = inputs['x']
        for number in range(self.folded.evaluations):
            clean_TP = self._estimate(number, x_TP, context)
            x_TP = clean_TP + self.ratio_ST1[number] * (x_TP - clean_TP)
        return clean_TP, torch.cat([x_TP[self.pop :], inputs['fresh']])

    def reference(self, inputs: Inputs) -> tuple[Tensor, ...]:
        buffer = RollingBuffer(inputs['x'][None], self.policy.levels)
        clean_1TP, x_1TP = lower(buffer, self._denoise(inputs), self.control.evaluations)
        return clean_1TP[0], torch.cat([x_1TP[0, self.pop :], inputs['fresh']])

    def _noise_shapes(self) -> dict[str, tuple[int, ...]]:
        tokens, values = self._tokens
        return {'x': (tokens, values), 'fresh': (self.pop, values)}


class ChunkGraph(TickGraph):
    """A chunk from noise, or from a plan with noise on it, all evaluations of the sampler unrolled.

    Args:
        sigmas: (S + 1,) of the sampler, ending in 0.
        sigma_ET: noise levels of its evaluations, of which there may be more than steps.
        schedule: their name in the plan.
    """

    outputs = ('clean',)

    def __init__(
        self,
        policy: Policy,
        control: ControlConfig,
        plan: RoutePlan | None,
        sigmas: Tensor,
        sigma_ET: Tensor,
        schedule: str = 'full',
    ):
        super().__init__(policy, control, plan, sigma_ET, schedule)
        self.sigmas: list[float] = sigmas.tolist()

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        inputs = self._named(values)
        context = self._encode(inputs)
        numbers = iter(range(self.folded.evaluations))

        def denoise(x_1TP: Tensor, _: Tensor) -> Tensor:
            return self._estimate(next(numbers), x_1TP[0], context)[None]

        return (SAMPLERS[self.control.sampler](denoise, inputs['start'][None], self.sigmas)[0],)

    def reference(self, inputs: Inputs) -> tuple[Tensor, ...]:
        denoise = self._denoise(inputs)
        return (SAMPLERS[self.control.sampler](denoise, inputs['start'][None], self.sigmas)[0],)

    def _noise_shapes(self) -> dict[str, tuple[int, ...]]:
        network = self.policy.network
        return {'start': (network.num_tokens, network.token_dim)}


def _fields(inputs: Inputs, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in inputs.items() if name.startswith(prefix)}
