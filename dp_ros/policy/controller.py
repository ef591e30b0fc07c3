# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Policies in motion: an observation in, an action chunk out. What all modes of denoising share."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from dp_ros.action.chunk import ActionChunk
from dp_ros.diffusion.denoiser import Denoise
from dp_ros.diffusion.levels import NoiseLevels
from dp_ros.diffusion.samplers import SAMPLERS
from dp_ros.errors import ConfigError, GoalError
from dp_ros.model.network import Context
from dp_ros.model.route_plan import RoutePlan
from dp_ros.observation.observation import Observation
from dp_ros.policy.backends import Runtime
from dp_ros.policy.commanded_past import CommandedPast
from dp_ros.policy.config import ControlConfig
from dp_ros.policy.goal import Goal
from dp_ros.policy.policy import Policy
from dp_ros.policy.tick_graph import TickGraph


class Controller(ABC):
    """What the nodes and the rollout drive: :meth:`reset` starts an epoch, :meth:`tick` makes a chunk.

    Attributes:
        policy: the policy.
        tick_schedule: name of the tick's evaluations in the plan.
        chunk: the last one of the present epoch; None before its first.
        epoch: counts resets; every chunk carries it, so that what was predicted before a reset can be dropped.
        goal: what to do; None where nothing was asked for.
        plan: routes and fused experts of every evaluation to come; None for a network without experts.
        sampled: noise levels of a full denoise.
        runtime: what computes the ticks (runtime.py); None for the eager network.
        stage_ms: milliseconds that the last tick spent in 'encode', 'network' and 'decode'; a runtime encodes inside
            its one graph, and 'encode' is then what prepares its inputs.
    """

    tick_schedule = 'full'

    def __init__(self, policy: Policy, control: ControlConfig, seed: int = 0):
        self.policy = policy
        self.control = control
        self.seed = seed
        self.epoch = 0
        self.seq = 0
        self.stage_ms: dict[str, float] = {}
        self.runtime: Runtime | None = None
        self.chunk: ActionChunk | None = None
        self._generator = torch.Generator()
        self.sampled = sampled_levels(policy.levels, control)
        self._past = CommandedPast(policy.config.network.past_actions, policy.contract.timing.period_ns)
        self.plan = RoutePlan(policy.network, self._schedules()) if policy.network.experts() else None
        if control.guidance != 1.0 or control.goal_free:
            if not policy.contract.goals:
                raise GoalError(f'policy {policy.contract.name!r} takes no goals: there is nothing to guide')
            policy.goal_tokens(None)  # whether it can is asked here rather than in motion
        self.goal: Goal | None = None
        self._goal_RD: Tensor | None = None
        self.set_goal(None)

    @property
    def tick_ns(self) -> int:
        """Time between two ticks."""
        timing = self.policy.contract.timing
        return (self.control.execute or timing.action_horizon) * timing.period_ns

    def reset(self, seed: int | None = None) -> None:
        """Begin a new epoch: forget the past, and draw noise that depends on the seed and the epoch alone."""
        if seed is not None:
            self.seed, self.epoch = seed, 0
        self.epoch += 1
        self.seq = 0
        self.chunk = None
        self._past.forget()
        # Not the built-in hash(): it differs between processes for some types and this must not.
        self._generator.manual_seed((self.seed * 1_000_003 + self.epoch) % (1 << 63))

    @property
    def needs_goal(self) -> bool:
        """Whether it does nothing without a goal."""
        free = self.control.goal_free or self.control.guidance == 0.0
        return bool(self.policy.contract.goals) and not free

    @property
    def waits_for_goal(self) -> bool:
        """Whether a tick would fail because nothing was asked for."""
        return self.needs_goal and self.goal is None

    def goal_tokens(self, goal: Goal) -> Tensor | None:
        """What :meth:`set_goal` takes of a goal; changes nothing, so that any thread may ask whether it is legal.

        Raises:
            GoalError: the policy does not take this goal.
        """
        return self.policy.goal_tokens(goal, self.control.guidance)

    def no_goal(self) -> GoalError:
        """What to say where a goal is needed and there is none."""
        kinds = ' or '.join(self.policy.contract.goals)
        return GoalError(f'policy {self.policy.contract.name!r} needs a goal ({kinds}) and has none')

    def set_goal(self, goal: Goal | None) -> None:
        """Take another goal and begin a new epoch; on an error everything stays as it was.

        Raises:
            GoalError: the policy does not take this goal.
        """
        tokens_RD = None if goal is None else self.goal_tokens(goal)
        self.goal, self._goal_RD = goal, tokens_RD
        if goal is None and not self.waits_for_goal:
            self._goal_RD = self.policy.goal_tokens(None)
        self.reset()

    @torch.inference_mode()
    def tick(self, observation: Observation) -> ActionChunk:
        """Predict the chunk that starts at the observation's stamp.

        Raises:
            ContractError: the observation does not fit the contract.
            GoalError: the policy needs a goal and has none.
        """
        if self.waits_for_goal:
            raise self.no_goal()
        start = time.perf_counter()
        if self.runtime is None:
            context = self._encode(observation)
            self._synchronise()
            encoded = time.perf_counter()
            tokens_BTP = self._denoise(context, observation)
        else:
            inputs = self._inputs(observation)
            encoded = time.perf_counter()
            tokens_BTP = self._run(self.runtime, inputs, observation)
        self._synchronise()
        denoised = time.perf_counter()
        positions = self.policy.to_actions(tokens_BTP, self._origin(observation))[0].numpy()
        contract = self.policy.contract
        chunk = ActionChunk(
            stamp_ns=observation.stamp_ns,
            period_ns=contract.timing.period_ns,
            joint_names=contract.joint_names,
            positions=positions,
            contract_hash=contract.hash,
            epoch=self.epoch,
            seq=self.seq,
        )
        self.seq += 1
        self.chunk = chunk
        self._past.follow(chunk)
        self.stage_ms = {
            'encode': 1e3 * (encoded - start),
            'network': 1e3 * (denoised - encoded),
            'decode': 1e3 * (time.perf_counter() - denoised),
        }
        return chunk

    def _origin(self, observation: Observation) -> Tensor:
        return self.policy.origin(torch.tensor(observation.proprio[-1]))

    @abstractmethod
    def graph(self) -> TickGraph:
        """What a backend computes in place of the eager tick."""

    @abstractmethod
    def _denoise(self, context: Context, observation: Observation) -> Tensor:
        """Denoised action tokens (1, T, P) for an encoded observation."""

    @abstractmethod
    def _run(self, runtime: Runtime, inputs: dict[str, Tensor], observation: Observation) -> Tensor:
        """The same by a runtime, for the inputs that an observation gives."""

    def _encode(self, observation: Observation) -> Context:
        return self.policy.encode(
            observation.proprio,
            observation.images,
            observation.vectors,
            self._goal_RD,
            self._past.before(observation.stamp_ns),
        )

    def _inputs(self, observation: Observation) -> dict[str, Tensor]:
        inputs = self.policy.inputs(
            observation.proprio,
            observation.images,
            observation.vectors,
            self._past.before(observation.stamp_ns),
        )
        if self._goal_RD is not None:
            # Without a goal there is one branch; a graph for two computes it twice.
            rows = 1 if self.control.guidance in (0.0, 1.0) else 2
            inputs['goal'] = self._goal_RD.expand(rows, -1).contiguous()
        return inputs

    def _synchronise(self) -> None:
        if self.policy.device.type == 'cuda':
            torch.cuda.synchronize(self.policy.device)

    def denoiser(self, context: Context, schedule: str) -> Denoise:
        """D(x; sigma) for one pass through 'tick' or 'full', whose routes are known; for any calls without experts."""
        # Without a goal there is one branch only, whatever the guidance.
        guidance = 0.0 if self.goal is None else self.control.guidance
        evaluations = None if self.plan is None else self.plan.evaluations(schedule)
        return self.policy.denoise(context, guidance, evaluations)

    def _schedules(self) -> dict[str, Tensor]:
        """Noise levels (S, T) of the evaluations to come, by running them with a denoiser that writes them down."""
        return {'full': self._written_down(self._sample)}

    def _written_down(self, run: Callable[[Denoise, Tensor], object]) -> Tensor:
        rows: list[Tensor] = []

        def denoise(x_BTP: Tensor, sigma_BT: Tensor) -> Tensor:
            rows.append(sigma_BT[0])
            return torch.zeros_like(x_BTP)

        run(denoise, torch.zeros(1, self.policy.network.num_tokens, 1))
        return torch.stack(rows)

    @abstractmethod
    def _full_steps(self) -> int:
        """Evaluations of a full denoise."""

    def _full_sigmas(self) -> Tensor:
        return self.sampled.table(self._full_steps(), self.control.schedule)

    def _sample(self, denoise: Denoise, start_BTP: Tensor, sigmas: Tensor | None = None) -> Tensor:
        """By the control's sampler, along the levels of a full denoise unless others are given."""
        sigmas = self._full_sigmas() if sigmas is None else sigmas
        return SAMPLERS[self.control.sampler](denoise, start_BTP, sigmas.to(start_BTP.device))

    def _full_denoise(self, context: Context) -> Tensor:
        return self._sample(self.denoiser(context, 'full'), self._pure_noise())

    def _pure_noise(self) -> Tensor:
        return (self.sampled.sigma_max * self._unit_noise()).to(self.policy.device)

    def _unit_noise(self) -> Tensor:
        network = self.policy.network
        return torch.randn(1, network.num_tokens, network.token_dim, generator=self._generator)


def sampled_levels(trained: NoiseLevels, control: ControlConfig) -> NoiseLevels:
    """The noise range of a full denoise: the trained one, or a part of it.

    Raises:
        ConfigError: it reaches beyond what the network was trained for.
    """
    low, high = control.sigma_min or trained.sigma_min, control.sigma_max or trained.sigma_max
    if not trained.sigma_min <= low < high <= trained.sigma_max:
        raise ConfigError(
            f'control.sigma_min and control.sigma_max must lie within the trained range '
            f'{trained.sigma_min:g} to {trained.sigma_max:g}, one below the other; got {low:g} and {high:g}'
        )
    return replace(trained, sigma_min=low, sigma_max=high)
