# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What training reads: the demonstrations of a store, some of them held out, and their statistics."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dp_ros.contract import Camera, Contract
from dp_ros.data.demonstrations import Demonstrations
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.errors import ConfigError
from dp_ros.policy.checkpoint import observation_tensors
from dp_ros.policy.config import DiffusionConfig
from dp_ros.policy.goal import Instructions
from dp_ros.policy.normalizer import Normalizer
from dp_ros.policy.policy import origin
from dp_ros.training.experiment import Experiment
from dp_ros.training.goals import check_aims


@dataclass(frozen=True)
class TrainingData:
    """What training and validation read, the statistics of the training part, and how much past a window has."""

    training: Demonstrations
    validation: Demonstrations
    proprio: Normalizer
    action: Normalizer
    vectors: dict[str, Normalizer]
    instructions: Instructions
    past_actions: int = 0

    def encode_vectors(self, vectors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Standardised."""
        return {name: self.vectors[name].encode(values) for name, values in vectors.items()}


def load_data(experiment: Experiment) -> TrainingData:
    """Read the store, hold out its last episodes, fit the normalisers on the rest."""
    with EpisodeStore.open(Path(experiment.store)) as store:
        held_out = experiment.training.validation_episodes
        if not 0 < held_out < len(store):
            raise ConfigError(
                f'training.validation_episodes must lie between 1 and {len(store) - 1} '
                f'(the store {experiment.store} holds {len(store)} episodes), got {held_out}'
            )
        episodes = list(store)
        config = experiment.training
        contract = replace(store.contract, timing=experiment.horizons.timing(store.contract.timing))
        if experiment.goals is not None:
            contract = replace(contract, goals=experiment.goals)
        if experiment.cameras is not None:
            contract = replace(contract, cameras=_chosen(contract, experiment.cameras))
        check_aims(contract, config)
        if experiment.network.goal_film and not contract.goals:
            raise ConfigError('network.goal_film needs goals, and the experiment names none')
        if config.privileged and not experiment.network.fusion_token:
            raise ConfigError('training.privileged needs network.fusion_token, from which it is told')
        hold = config.hold_after_end
        training = Demonstrations(contract, episodes[:-held_out], hold, config.labelled_share, config.seed)
        validation = Demonstrations(contract, episodes[-held_out:], hold)
    if config.privileged and training.privileged is None:
        raise ConfigError(
            'training.privileged needs the same privileged numbers in every episode, as a simulator gives them; '
            f'{experiment.store} lacks them'
        )
    texts = [text for part in (training, validation) if part.goals for text in part.goals.texts]
    return TrainingData(
        training,
        validation,
        Normalizer.fit(contract, training.proprio[:, -1]),
        Normalizer.fit(contract, action_samples(training, experiment.diffusion)),
        {name: Normalizer.fit_vector(values[:, -1]) for name, values in training.vectors.items()},
        Instructions.embed(texts),
        experiment.network.past_actions,
    )


def _chosen(contract: Contract, names: tuple[str, ...]) -> tuple[Camera, ...]:
    unknown = sorted(set(names) - {camera.name for camera in contract.cameras})
    if unknown:
        legal = [camera.name for camera in contract.cameras]
        raise ConfigError(f'cameras: the store has no {unknown}; legal: {legal}')
    return tuple(camera for camera in contract.cameras if camera.name in names)


def action_samples(data: Demonstrations, diffusion: DiffusionConfig) -> Tensor:
    """What the actions' normaliser is fitted to, (N, A): of relative actions those of whole chunks."""
    if not diffusion.relative_actions:
        return data.actions
    # Every few anchors: statistics need no more, and a chunk of each would fill the memory.
    index_B = torch.arange(0, len(data), max(1, len(data) // 20_000))
    actions_BTA = data.labels(index_B)
    poses_BA = data.proprio[index_B, -1]
    return (actions_BTA - origin(data.contract, diffusion, poses_BA)[:, None]).flatten(0, 1)


def golden_observation(data: TrainingData) -> dict[str, Tensor]:
    """The observation in the middle of the first held-out episode, as a checkpoint stores it."""
    middle = (data.validation.lengths[0] - 1) // 2
    window = data.validation.windows(torch.tensor([middle]), data.past_actions)
    golden = observation_tensors(
        window.proprio[0],
        {name: frames[0] for name, frames in window.images.items()},
        {name: values[0] for name, values in window.vectors.items()},
    )
    if window.past is not None and window.past_valid is not None:
        golden |= {'past.actions': window.past[0], 'past.valid': window.past_valid[0]}
    if 'instruction' in data.training.contract.goals:
        golden['goal.instruction'] = data.instructions.vectors_MG[0]
    if data.validation.goals is not None:
        pictures = data.validation.goals.pictures(np.zeros(1, np.int64), torch.ones(1, dtype=torch.bool))
        golden |= {} if pictures is None else {'goal.image': pictures[0]}
    return golden
