# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Policies in motion: an observation in, an action chunk out."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from dp_ros.action.chunk import ActionChunk
from dp_ros.diffusion.denoiser import Denoise
from dp_ros.diffusion.levels import NoiseLevels
from dp_ros.diffusion.rolling_buffer import RollingBuffer, advance, fresh_tokens
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
from dp_ros.policy.tick_graph import ChunkGraph, StreamGraph, TickGraph


class Controller(ABC):
    """What the nodes and the rollout drive: :meth:`reset` starts an epoch, :meth:`tick` makes a chunk.

    Attributes:
        policy: the policy.
        epoch: counts resets; every chunk carries it, so that what was predicted before a reset can be dropped.
        goal: what to do; None where nothing was asked for.
        plan: routes and fused experts of every evaluation to come; None for a network without experts.
        sampled: noise levels of a full denoise.
        runtime: what computes the ticks (runtime.py); None for the eager network.
        stage_ms: milliseconds that the last tick spent in 'encode', 'network' and 'decode'; a runtime encodes inside
            its one graph, and 'encode' is then what prepares its inputs.
    """

    def __init__(self, policy: Policy, control: ControlConfig, seed: int = 0):
        self.policy = policy
        self.control = control
        self.seed = seed
        self.epoch = 0
        self.seq = 0
        self.stage_ms: dict[str, float] = {}
        self.runtime: Runtime | None = None
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

    def _sample(self, denoise: Denoise, start_BTP: Tensor) -> Tensor:
        sigmas = self.sampled.table(self._full_steps(), self.control.schedule).to(start_BTP.device)
        return SAMPLERS[self.control.sampler](denoise, start_BTP, sigmas)

    def _full_denoise(self, context: Context) -> Tensor:
        return self._sample(self.denoiser(context, 'full'), self._pure_noise())

    def _pure_noise(self) -> Tensor:
        network = self.policy.network
        noise_BTP = torch.randn(1, network.num_tokens, network.token_dim, generator=self._generator)
        return (self.sampled.sigma_max * noise_BTP).to(self.policy.device)


class StreamingPolicy(Controller):
    """Streaming denoising: one network evaluation a tick yields the next Ta clean actions.

    Args:
        policy: a loaded policy.
        seed: seed of the noise.
        evaluations: network evaluations a tick; None takes the checkpoint's.
        buffer_start: 'hold', 'denoise' or 'noise'; None takes the checkpoint's.
        control: in place of the checkpoint's.
    """

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
        sigmas = self.sampled.table(self._full_steps(), self.control.schedule)
        return ChunkGraph(self.policy, self.control, self.plan, sigmas, self._schedules()['full'])

    def _run(self, runtime: Runtime, inputs: dict[str, Tensor], observation: Observation) -> Tensor:
        (tokens_TP,) = runtime.run({**inputs, 'start': self._pure_noise()[0]})
        return tokens_TP[None]

    def _full_steps(self) -> int:
        return self.control.evaluations


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


def make_controller(policy: Policy, seed: int = 0, control: ControlConfig | None = None) -> Controller:
    """The controller that a control configuration describes; the checkpoint's own by default."""
    control = control or policy.config.control
    if control.mode == 'chunk':
        return ChunkPolicy(policy, seed, control=control)
    return StreamingPolicy(policy, seed, control=control)
