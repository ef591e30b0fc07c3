# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""An experiment file: everything that decides a training run, resolved in full into the checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dp_ros.contract import Timing
from dp_ros.contract.contract import GOAL_KINDS
from dp_ros.contract.strict_yaml import load_strict_yaml
from dp_ros.errors import ConfigError, ContractError
from dp_ros.model.network import NetworkConfig
from dp_ros.policy.config import ControlConfig, DiffusionConfig, build, check_keys

PRECISIONS = ('auto', 'fp32', 'bf16')


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The optimisation.

    Attributes:
        steps: optimiser steps.
        batch_size: observations per step, over all processes.
        noise_draws: noised chunks per observation; the encoder's work is shared among them.
        buffer_share: share of chunks noised like the streaming buffer (densities.py).
        independent_share: share of chunks with a level of its own for every token; the rest has one level.
        learning_rate: peak of the cosine; weight decay acts on matrices only.
        warmup_steps: linear warm-up.
        ema_decay: of the weights that ship.
        goal_dropout: share of samples whose goal is the learned null, each drawn on its own; with 0 the policy can
            neither run without a goal nor be guided.
        goal_image_share: share of the goal image among samples whose episode has an instruction as well.
        past_dropout: share of samples that know only a part of their past, or nothing (past.py); without past tokens
            there is none.
        labelled_share: share of the episodes of each task that keep their instruction, at least one.
        labelled_batch_share: share of a batch that is drawn from those episodes alone, the rest from all; with 0 they
            come as often as others. MDT's batches hold as many samples with words as without, however few have them.
        alignment: weight of the contrastive alignment of instructions and goal images (heads.py).
        foresight: weight of predicting hidden patches of a later picture (heads.py).
        foresight_steps: how many anchors later.
        privileged: weight of telling what no sensor does, such as where objects are, from the context (heads.py).
        load_balance: weight of the load-balancing loss; without experts there is none.
        validation_episodes: held out, the last ones of the store.
        hold_after_end: holding the last action is the label beyond an episode's end (demonstrations.py).
        precision: 'auto' is bfloat16 autocast where the hardware multiplies it natively, else float32.
        validate_every, snapshot_every: in steps.
        seed: of weights, batches and noise; the whole run follows from it.
    """

    steps: int
    batch_size: int = 64
    noise_draws: int = 2
    buffer_share: float = 0.5
    independent_share: float = 0.0
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    warmup_steps: int = 100
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    goal_dropout: float = 0.1
    goal_image_share: float = 0.5
    past_dropout: float = 0.2
    labelled_share: float = 1.0
    labelled_batch_share: float = 0.0
    alignment: float = 0.0
    foresight: float = 0.0
    foresight_steps: int = 3
    privileged: float = 0.0
    load_balance: float = 0.01
    validation_episodes: int = 10
    hold_after_end: bool = False
    precision: str = 'auto'
    validate_every: int = 250
    snapshot_every: int = 250
    seed: int = 0

    def __post_init__(self) -> None:
        for key in (
            'steps',
            'batch_size',
            'noise_draws',
            'validate_every',
            'snapshot_every',
            'foresight_steps',
        ):
            if getattr(self, key) < 1:
                raise ConfigError(f'training.{key} must be at least 1, got {getattr(self, key)}')
        if self.precision not in PRECISIONS:
            raise ConfigError(f'training.precision must be one of {PRECISIONS}, got {self.precision!r}')
        for key in ('load_balance', 'alignment', 'foresight', 'privileged'):
            if getattr(self, key) < 0:
                raise ConfigError(f'training.{key} must not be negative, got {getattr(self, key)}')
        for key in (
            'buffer_share',
            'independent_share',
            'goal_dropout',
            'goal_image_share',
            'past_dropout',
            'labelled_share',
            'labelled_batch_share',
        ):
            if not 0.0 <= getattr(self, key) <= 1.0:
                raise ConfigError(f'training.{key} must lie in [0, 1], got {getattr(self, key)}')
        if self.buffer_share + self.independent_share > 1.0:
            raise ConfigError(
                'training.buffer_share and training.independent_share must not add up to more than 1, '
                f'got {self.buffer_share} and {self.independent_share}'
            )


@dataclass(frozen=True, kw_only=True)
class HorizonConfig:
    """Horizons in place of the store's, which holds commands as a curve and so fits any of them.

    Attributes:
        obs_horizon: To, at most the store's; 0 takes the contract's.
        pred_horizon: Tp; 0 takes the contract's.
        action_horizon: Ta, and with it the number of noise levels of the buffer, Tp / Ta; 0 takes the contract's.
    """

    obs_horizon: int = 0
    pred_horizon: int = 0
    action_horizon: int = 0

    def timing(self, timing: Timing) -> Timing:
        """The contract's timing with these horizons; illegal ones are ContractErrors."""
        if self.obs_horizon > timing.obs_horizon:
            raise ContractError(
                f'horizons.obs_horizon must be at most {timing.obs_horizon}, of which the store has observations, '
                f'got {self.obs_horizon}'
            )
        return replace(
            timing,
            obs_horizon=self.obs_horizon or timing.obs_horizon,
            pred_horizon=self.pred_horizon or timing.pred_horizon,
            action_horizon=self.action_horizon or timing.action_horizon,
        )


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One training run.

    Attributes:
        name: of the run; names the checkpoint directory.
        store: the episode store; relative paths start where the command runs.
        network, diffusion, control, training, horizons: see the classes.
        goals: kinds of goals that the policy takes; where it is left out, those of the store's contract.
        cameras: names of those that the policy sees; where it is left out, all of the store's contract.
    """

    name: str
    store: str
    network: NetworkConfig
    diffusion: DiffusionConfig
    control: ControlConfig
    training: TrainingConfig
    description: str = field(default='')
    goals: tuple[str, ...] | None = None
    horizons: HorizonConfig = HorizonConfig()
    cameras: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, with every default written out."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any, where: str = 'experiment') -> 'Experiment':
        """Strictly from plain data."""
        sections: dict[str, type[Any]] = {
            'network': NetworkConfig,
            'diffusion': DiffusionConfig,
            'control': ControlConfig,
            'training': TrainingConfig,
            'horizons': HorizonConfig,
        }
        data = check_keys(data, {'name', 'store', 'description', 'goals', 'cameras', *sections}, where)
        missing = sorted({'name', 'store', 'training'} - set(data))
        if missing:
            raise ConfigError(f'{where}: missing keys {missing}')
        built = {key: build(kind, data.get(key, {}), f'{where}.{key}') for key, kind in sections.items()}
        texts = {key: data.get(key, '') for key in ('name', 'store', 'description')}
        wrong = [key for key, value in texts.items() if not isinstance(value, str)]
        if wrong:
            raise ConfigError(f'{where}: {wrong} must be text')
        return cls(
            **texts,
            **built,
            goals=_listed(data, 'goals', str(GOAL_KINDS), where),
            cameras=_listed(data, 'cameras', 'names', where),
        )

    @classmethod
    def from_yaml(cls, path: Path, store: str | None = None) -> 'Experiment':
        """Read an experiment file, with another store if given; problems are ConfigErrors with the key path."""
        data = load_strict_yaml(path)
        experiment = cls.from_dict(data, where=str(path))
        return experiment if store is None else replace(experiment, store=store)


def _listed(data: Mapping[str, Any], key: str, what: str, where: str) -> tuple[str, ...] | None:
    """The texts that stand under a key; None where it is left out."""
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ConfigError(f'{where}.{key}: expected a list of {what}, got {value!r}')
    return tuple(value)
