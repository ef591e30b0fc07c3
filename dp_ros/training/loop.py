# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The one training loop."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from dp_ros.data.demonstrations import Demonstrations
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.diffusion.densities import LevelDensity
from dp_ros.diffusion.levels import NoiseLevels
from dp_ros.errors import ConfigError
from dp_ros.policy.checkpoint import observation_tensors
from dp_ros.policy.config import DiffusionConfig, PolicyConfig
from dp_ros.policy.goal import Instructions
from dp_ros.policy.normalizer import Normalizer
from dp_ros.policy.policy import Policy, build_network, fold, noise_levels, origin
from dp_ros.training.distributed import World, world
from dp_ros.training.experiment import Experiment
from dp_ros.training.goals import check_aims, draw_aims
from dp_ros.training.loss import Terms, TrainingLoss, draw_batch
from dp_ros.training.optimiser import learning_rate, make_optimiser, update_average
from dp_ros.training.past import draw_past
from dp_ros.training.snapshot import load_snapshot, save_snapshot
from dp_ros.training.validation import validate


@dataclass(frozen=True)
class TrainingResult:
    """The policy with averaged weights, its last validation figures, its data, and whether to write files."""

    policy: Policy
    figures: dict[str, float]
    data: 'TrainingData'
    is_main: bool


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


def train(
    experiment: Experiment, out: Path, device: str = 'cpu', stop_after: int | None = None
) -> TrainingResult:
    """Train, or go on from ``out/snapshot.safetensors``; the result depends on the experiment alone.

    Args:
        experiment: the resolved experiment.
        out: directory of snapshot and TensorBoard files.
        device: of the network.
        stop_after: stop (with a snapshot) after this many steps in total, as a kill would.

    Returns:
        The policy with averaged weights, and what belongs to it.

    Raises:
        ConfigError: the experiment cannot be run on this store or machine, or its run went beyond ``stop_after``.
        CheckpointError: no space for a snapshot; the older one is kept.
    """
    with world(device) as place:
        return _train(experiment, out, place, stop_after)


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
        check_aims(contract, config)
        if experiment.network.goal_film and not contract.goals:
            raise ConfigError('network.goal_film needs goals, and the experiment names none')
        hold = config.hold_after_end
        training = Demonstrations(contract, episodes[:-held_out], hold, config.labelled_share, config.seed)
        validation = Demonstrations(contract, episodes[-held_out:], hold)
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


def _train(experiment: Experiment, out: Path, place: World, stop_after: int | None) -> TrainingResult:
    config = experiment.training
    data = load_data(experiment)
    contract = data.training.contract
    if config.batch_size < place.size:
        raise ConfigError(f'training.batch_size ({config.batch_size}) is less than one per process')
    torch.manual_seed(config.seed)
    policy_config = PolicyConfig(
        network=experiment.network,
        diffusion=experiment.diffusion,
        control=experiment.control,
        null_goal=bool(contract.goals) and config.goal_dropout > 0,
        provenance={'experiment': experiment.to_dict()},
    )
    network = build_network(contract, policy_config).to(place.device)
    average = {k: v.detach().clone().float() for k, v in network.state_dict().items()}
    loss = TrainingLoss(network, config).to(place.device)
    optimiser = make_optimiser(loss, config)
    out.mkdir(parents=True, exist_ok=True)
    snapshot = out / 'snapshot.safetensors'
    identity = json.dumps(experiment.to_dict(), sort_keys=True)
    done = 0
    if snapshot.exists():
        done = load_snapshot(snapshot, network, average, optimiser, identity, loss.heads)
        if stop_after is not None and stop_after < done:
            raise ConfigError(
                f'{snapshot}: this run is at step {done} already, its weights of step {stop_after} are gone; choose '
                'another folder for the run to have them'
            )
    loss_module: nn.Module = loss
    if place.size > 1:
        # A batch without a goal of some kind does not use its encoder.
        unused = bool(contract.goals)
        loss_module = nn.parallel.DistributedDataParallel(loss, find_unused_parameters=unused)
    text_MG = data.instructions.rows(data.training.goals.texts) if data.training.goals else torch.zeros(0, 0)
    autocast = autocast_for(config.precision, place.device)
    levels = noise_levels(contract, policy_config)
    last = config.steps if stop_after is None else min(stop_after, config.steps)

    def averaged() -> Policy:
        copy = build_network(contract, policy_config).to(place.device)
        copy.load_state_dict(average)
        return Policy(
            contract,
            policy_config,
            copy.eval(),
            data.proprio,
            data.action,
            place.device,
            data.vectors,
            data.instructions,
        )

    writer = SummaryWriter(str(out), purge_step=done) if place.is_main else None
    progress = tqdm(
        total=config.steps,
        initial=done,
        desc=experiment.name,
        unit='step',
        disable=not place.is_main,
        mininterval=1.0 if sys.stderr.isatty() else 20.0,
    )
    running: dict[str, float] = {}
    since = time.perf_counter()
    figures: dict[str, float] = {}
    try:
        for step in range(done, last):
            values = _step(step, experiment, data, levels, loss_module, optimiser, place, autocast, text_MG)
            update_average(average, network, step, config.ema_decay)
            running = {name: running.get(name, 0.0) + value for name, value in values.items()}
            progress.update()
            if (step + 1) % 50 == 0 and writer is not None:
                progress.set_postfix({name: f'{total / 50:.4f}' for name, total in running.items()})
                for name, total in running.items():
                    writer.add_scalar(f'loss/{name}', total / 50, step + 1)
                writer.add_scalar('seconds_per_step', (time.perf_counter() - since) / 50, step + 1)
                running, since = {}, time.perf_counter()
            if ((step + 1) % config.validate_every == 0 or step + 1 == config.steps) and writer is not None:
                figures = validate(averaged(), data.validation)
                for name, value in figures.items():
                    writer.add_scalar(f'validation/{name}', value, step + 1)
                tqdm.write(f'step {step + 1}: ' + ', '.join(f'{k} {v:.4g}' for k, v in figures.items()))
            if ((step + 1) % config.snapshot_every == 0 or step + 1 == last) and place.is_main:
                save_snapshot(snapshot, step + 1, network, average, optimiser, identity, loss.heads)
    finally:
        progress.close()
        if writer is not None:
            writer.close()
    if place.is_main and not figures:
        figures = validate(averaged(), data.validation)
    return TrainingResult(averaged(), figures, data, place.is_main)


def _step(
    step: int,
    experiment: Experiment,
    data: TrainingData,
    levels: NoiseLevels,
    loss_module: nn.Module,
    optimiser: torch.optim.Optimizer,
    place: World,
    autocast: Callable[[], AbstractContextManager[object]],
    text_MG: Tensor,
) -> dict[str, float]:
    config = experiment.training
    per_token = experiment.network.actions_per_token
    index_B, generator = draw_batch(config.seed, step, len(data.training), config.batch_size)
    rows = place.slice(config.batch_size)
    chunks = slice(rows.start * config.noise_draws, rows.stop * config.noise_draws)
    windows = data.training.windows(index_B[rows], data.past_actions)
    origin_BA = origin(data.training.contract, experiment.diffusion, windows.proprio[:, -1])
    clean_BTP = fold(data.action.encode(windows.actions - origin_BA[:, None]), per_token)
    valid_BTP = fold(windows.valid[..., None].expand(windows.actions.shape), per_token)
    total, (tokens, values) = config.batch_size * config.noise_draws, clean_BTP.shape[1:]
    density = LevelDensity(buffer_share=config.buffer_share, independent_share=config.independent_share)
    level_RT = density.levels(total, tokens, levels, generator)
    noise_RTP = torch.randn(total, tokens, values, generator=generator)
    aims = draw_aims(data.training, text_MG, config, index_B, rows, generator)
    past = draw_past(experiment, data.action, windows, origin_BA, rows, generator)
    for group in optimiser.param_groups:
        group['lr'] = learning_rate(step, config)

    def move(x: Tensor) -> Tensor:
        return x.to(place.device, non_blocking=True)

    with autocast():
        terms: Terms = loss_module(
            move(data.proprio.encode(windows.proprio)),
            {name: move(image) for name, image in windows.images.items()},
            {name: move(values) for name, values in data.encode_vectors(windows.vectors).items()},
            move(clean_BTP),
            move(valid_BTP),
            move(levels.sigma(level_RT[chunks])),
            move(noise_RTP[chunks]),
            aims.to(place.device),
            None if past is None else past.to(place.device),
        )
    loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(loss_module.parameters(), config.gradient_clip)
    optimiser.step()
    return {name: float(place.mean(value.detach())) for name, (_, value) in terms.items()}


def autocast_for(precision: str, device: torch.device) -> Callable[[], AbstractContextManager[object]]:
    """Bfloat16 autocast, or nothing; 'auto' asks the hardware (emulated bfloat16 is a hundred times slower)."""
    if precision == 'auto':
        if device.type == 'cuda':
            precision = 'bf16' if torch.cuda.is_bf16_supported(including_emulation=False) else 'fp32'
        else:
            precision = 'bf16' if torch.cpu._is_avx512_bf16_supported() else 'fp32'
    if precision == 'bf16':
        return lambda: torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext
