# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""A policy: contract, normalisers and network, joined."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dp_ros.contract import Contract
from dp_ros.diffusion.denoiser import Denoise, Denoiser
from dp_ros.diffusion.guidance import guided
from dp_ros.diffusion.levels import NoiseLevels
from dp_ros.errors import ConfigError, ContractError, GoalError
from dp_ros.model.experts import FeedForward
from dp_ros.model.goals import IMAGE, INSTRUCTION, GoalBatch
from dp_ros.model.network import Context, Network, NetworkConfig
from dp_ros.model.past import Past
from dp_ros.policy.commanded_past import PastActions
from dp_ros.policy.config import DiffusionConfig, PolicyConfig
from dp_ros.policy.goal import Goal, Instructions
from dp_ros.policy.normalizer import Normalizer


@dataclass(frozen=True)
class Policy:
    """Everything that a checkpoint holds, ready to run.

    Attributes:
        contract: fields, units, timing.
        config: sizes, noise range, default control.
        network: F, in eval mode.
        proprio: normaliser of measured joint positions.
        action: normaliser of commanded joint positions.
        device: where the network lives.
        vectors: normalisers of the contract's further vectors, by name.
        instructions: whose embeddings are known.
        digests: SHA-256 of the files that it was loaded from, by name; empty for one that was not.
    """

    contract: Contract
    config: PolicyConfig
    network: Network
    proprio: Normalizer
    action: Normalizer
    device: torch.device
    vectors: Mapping[str, Normalizer] = field(default_factory=dict)
    instructions: Instructions = field(default_factory=Instructions)
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def denoiser(self) -> Denoiser:
        """Preconditioning; actions are standardised, so sigma_data is 1."""
        return Denoiser(1.0)

    @property
    def levels(self) -> NoiseLevels:
        """One level per tick that an action waits in the buffer: L = Tp / Ta."""
        return noise_levels(self.contract, self.config)

    @torch.inference_mode()
    def encode(
        self,
        proprio: np.ndarray,
        images: Mapping[str, np.ndarray],
        vectors: Mapping[str, np.ndarray] | None = None,
        goal_RD: Tensor | None = None,
        past: PastActions | None = None,
    ) -> Context:
        """Encode one observation.

        Args:
            proprio: (To, S) joint positions, SI units, the contract's joint order.
            images: camera name to (To, H, W, 3) uint8.
            vectors: name to (To, dim), SI units; needed where the contract has some.
            goal_RD: from :meth:`goal_tokens`; the context has its rows.
            past: what was commanded before, for a policy with past tokens; None where nothing was.

        Raises:
            ContractError: a field is missing or has another shape.
        """
        return self.encode_inputs(self.inputs(proprio, images, vectors, past), goal_RD)

    def encode_inputs(self, inputs: Mapping[str, Tensor], goal_RD: Tensor | None) -> Context:
        """Encode what :meth:`inputs` returned."""
        past = Past(inputs['past'][None], inputs['past_valid'][None]) if 'past' in inputs else None
        return self.network.encode(
            inputs['proprio'][None],
            {c.name: inputs[f'image.{c.name}'][None] for c in self.contract.cameras},
            goal_RD,
            vectors={name: inputs[f'vector.{name}'][None] for name in self.vectors},
            past=past,
        )

    def inputs(
        self,
        proprio: np.ndarray,
        images: Mapping[str, np.ndarray],
        vectors: Mapping[str, np.ndarray] | None = None,
        past: PastActions | None = None,
    ) -> dict[str, Tensor]:
        """What the network sees of one observation, by the names of tick_graph.py, on the policy's device.

        On the CPU pictures are not copied.

        Raises:
            ContractError: a field is missing or has another shape.
        """
        vectors = vectors or {}
        self._check(proprio, images, vectors)
        inputs = {'proprio': self.proprio.encode(_shared(proprio)).to(self.device)}
        for camera in self.contract.cameras:
            inputs[f'image.{camera.name}'] = _shared(images[camera.name]).to(self.device)
        for name, normalizer in self.vectors.items():
            inputs[f'vector.{name}'] = normalizer.encode(_shared(vectors[name])).to(self.device)
        if self.network.past is not None:
            tokens = self._past(past, inputs['proprio'][None], proprio)
            inputs |= {'past': tokens.x_BKP[0], 'past_valid': tokens.valid_BK[0]}
        return inputs

    def _past(self, past: PastActions | None, like_BX: Tensor, proprio: np.ndarray) -> Past:
        assert self.network.past is not None
        if past is None:
            return self.network.past.none(like_BX)
        actions_1HA, valid_1H = (torch.from_numpy(part)[None] for part in past)
        actions_1HA = actions_1HA - self.origin(torch.tensor(proprio[-1]))
        tokens = past_tokens(self.config.network, self.config.diffusion, self.action, actions_1HA, valid_1H)
        return tokens.to(self.device)

    def denoise(
        self,
        context: Context,
        guidance: float = 1.0,
        evaluations: Iterator[Sequence[FeedForward]] | None = None,
    ) -> Denoise:
        """D(x; sigma) for one encoded observation.

        Args:
            context: from :meth:`encode`.
            guidance: as given to :meth:`goal_tokens`.
            evaluations: what the layers do at each call to come (route_plan.py); by default it follows from sigma.
        """

        def planned(x_BTP: Tensor, sigma_BT: Tensor, context: Context) -> Tensor:
            assert evaluations is not None
            output_BTP: Tensor = self.network(x_BTP, sigma_BT, context, feed_forwards=next(evaluations))
            return output_BTP

        bound = self.denoiser.bind(self.network if evaluations is None else planned, context)
        return bound if guidance in (0.0, 1.0) else guided(bound, guidance)

    @torch.inference_mode()
    def goal_tokens(self, goal: Goal | None, guidance: float = 1.0) -> Tensor | None:
        """The goal encoded, once for all ticks that follow it: (R, D), or None for a policy without goals.

        R is 1 where one branch is enough, which for guidance 1 is the goal's and for 0 the unconditional one, else 2.

        Args:
            goal: None for the unconditional branch alone.
            guidance: lambda of classifier-free guidance.

        Raises:
            GoalError: the policy does not take this goal, or was not trained to do without one.
        """
        encoder = self.network.goals
        if goal is not None:
            batch = self._goal_batch(goal)
        if encoder is None:
            return None
        if (goal is None or guidance != 1.0) and not self.config.null_goal:
            raise GoalError(
                f'policy {self.contract.name!r} was trained with a goal in every sample (goal_dropout 0): it can '
                'neither run without one nor be guided'
            )
        null_1D = encoder.null_tokens(1)
        if goal is None or guidance == 0.0:
            return null_1D
        goal_1D = encoder(batch)
        return goal_1D if guidance == 1.0 else torch.cat([goal_1D, null_1D])

    def _goal_batch(self, goal: Goal) -> GoalBatch:
        legal = self.contract.goals
        if goal.kind not in legal:
            raise GoalError(
                f'policy {self.contract.name!r} takes goals of kinds {legal or "none"}, got {goal}'
            )
        if goal.instruction is not None:
            text_BG = self.instructions.vector(goal.instruction)[None].to(self.device)
            return GoalBatch(torch.tensor([INSTRUCTION], device=self.device), text_BG=text_BG)
        assert goal.image is not None
        size = (*self.contract.cameras[0].size, 3)
        if goal.image.shape != size or goal.image.dtype != np.uint8:
            raise GoalError(f'a goal image must be {size} uint8, got {goal.image.shape} {goal.image.dtype}')
        image_BHWC = torch.tensor(goal.image)[None].to(self.device)
        return GoalBatch(torch.tensor([IMAGE], device=self.device), image_BHWC=image_BHWC)

    def origin(self, pose_XA: Tensor) -> Tensor:
        """Where action tokens count from, (..., A) float64: see :func:`origin`."""
        return origin(self.contract, self.config.diffusion, pose_XA)

    def to_tokens(self, actions: Tensor, origin_A: Tensor) -> Tensor:
        """(..., Tp, A) in SI units to standardised action tokens (..., T, P) that count from ``origin_A``."""
        return fold(self.action.encode(actions - origin_A), self.config.network.actions_per_token)

    def to_actions(self, tokens_BTP: Tensor, origin_A: Tensor) -> Tensor:
        """Standardised action tokens (..., T, P) that count from ``origin_A`` to (..., Tp, A) in SI units, float64."""
        return origin_A + self.action.decode(unfold(tokens_BTP.cpu(), self.config.network.actions_per_token))

    def hold_tokens(self, proprio: np.ndarray) -> Tensor:
        """Action tokens (1, T, P) that hold the newest measured pose over the whole horizon."""
        pose_A = torch.tensor(proprio[-1]).double()
        held_BTA = pose_A.expand(1, self.contract.timing.pred_horizon, -1)
        return self.to_tokens(held_BTA, self.origin(pose_A)).to(self.device)

    def moved_tokens(self, by_A: Tensor) -> Tensor:
        """What to add to action tokens (..., T, P), noisy ones too, whose origin moves by ``by_A``: (P,)."""
        return -(by_A / self.action.std).float().repeat(self.config.network.actions_per_token).to(self.device)

    def _check(
        self,
        proprio: np.ndarray,
        images: Mapping[str, np.ndarray],
        vectors: Mapping[str, np.ndarray],
    ) -> None:
        steps = self.contract.timing.obs_horizon
        wanted: dict[str, tuple[int, ...]] = {'proprio': (steps, len(self.contract.joint_names))}
        wanted |= {f'image {c.name!r}': (steps, *c.size, 3) for c in self.contract.cameras}
        wanted |= {f'vector {v.name!r}': (steps, v.dim) for v in self.contract.vectors}
        got = {'proprio': proprio.shape} | {f'image {name!r}': i.shape for name, i in images.items()}
        got |= {f'vector {name!r}': v.shape for name, v in vectors.items()}
        wrong = [f'{k}: expected {v}, got {got.get(k)}' for k, v in wanted.items() if got.get(k) != v]
        if wrong:
            raise ContractError('observation does not fit the contract: ' + '; '.join(wrong))


def _shared(array: np.ndarray) -> Tensor:
    # A tensor on the array's own memory; arrays that must not be written to, which torch cannot promise, are copied.
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def fold(actions: Tensor, per_token: int) -> Tensor:
    """(..., Tp, A) to (..., Tp / per_token, per_token * A)."""
    return actions.unflatten(-2, (-1, per_token)).flatten(-2)


def unfold(tokens: Tensor, per_token: int) -> Tensor:
    """The inverse of :func:`fold`."""
    return tokens.unflatten(-1, (per_token, -1)).flatten(-3, -2)


def origin(contract: Contract, diffusion: DiffusionConfig, pose_XA: Tensor) -> Tensor:
    """Where action tokens count from when the measured pose is (..., A): (..., A) float64.

    The pose itself for the joints of arms where the policy has relative actions, else 0.
    """
    if not diffusion.relative_actions:
        return torch.zeros(pose_XA.shape, dtype=torch.float64)
    return pose_XA.double() * torch.tensor(contract.embodiment.displaceable, dtype=torch.float64)


def past_tokens(
    network: NetworkConfig,
    diffusion: DiffusionConfig,
    action: Normalizer,
    actions_BHA: Tensor,
    valid_BH: Tensor,
) -> Past:
    """Commanded positions, from where tokens count, as past tokens; one counts if all of its actions were commanded."""
    clean_BKP = fold(action.encode(actions_BHA), network.actions_per_token)
    x_BKP = Denoiser(1.0).known(clean_BKP, diffusion.sigma_min)
    return Past(x_BKP, valid_BH.unflatten(-1, (-1, network.actions_per_token)).all(dim=-1))


def noise_levels(contract: Contract, config: PolicyConfig) -> NoiseLevels:
    """The levels that follow from a contract's horizons and a configured noise range.

    Raises:
        ConfigError: the actions of a tick are no whole number of tokens.
    """
    timing, per_token = contract.timing, config.network.actions_per_token
    if timing.action_horizon % per_token:
        raise ConfigError(
            f'action_horizon ({timing.action_horizon}) must be a multiple of network.actions_per_token ({per_token})'
        )
    return NoiseLevels(
        count=timing.pred_horizon // timing.action_horizon,
        sigma_min=config.diffusion.sigma_min,
        sigma_max=config.diffusion.sigma_max,
    )


def build_network(contract: Contract, config: PolicyConfig) -> Network:
    """A fresh network with the shapes that the contract asks for."""
    return Network(
        config.network,
        cameras=tuple(c.name for c in contract.cameras),
        proprio_dim=len(contract.joint_names),
        action_dim=len(contract.joint_names),
        pred_horizon=contract.timing.pred_horizon,
        obs_horizon=contract.timing.obs_horizon,
        goals=contract.goals,
        vectors={v.name: v.dim for v in contract.vectors},
        past_sigma=config.diffusion.sigma_min,
    )
