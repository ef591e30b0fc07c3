# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One step of training, in the stages that a run goes through and that a bench times."""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dp_ros.diffusion.densities import LevelDensity
from dp_ros.errors import ConfigError
from dp_ros.model.past import Past
from dp_ros.policy.config import PolicyConfig
from dp_ros.policy.policy import Policy, build_network, fold, noise_levels, origin
from dp_ros.training.data import TrainingData
from dp_ros.training.distributed import World
from dp_ros.training.experiment import Experiment
from dp_ros.training.goals import Aims, draw_aims
from dp_ros.training.loss import Terms, TrainingLoss, draw_batch
from dp_ros.training.optimiser import learning_rate, make_optimiser, update_average
from dp_ros.training.past import draw_past


@dataclass(frozen=True)
class Batch:
    """This process's share of one batch, normalised, on the device: the arguments of :class:`TrainingLoss`."""

    proprio_BOS: Tensor
    images: dict[str, Tensor]
    vectors: dict[str, Tensor]
    clean_BTP: Tensor
    valid_BTP: Tensor
    sigma_RT: Tensor
    noise_RTP: Tensor
    aims: Aims
    past: Past | None


class Trainee:
    """A network in training: its weights, their moving average, its loss and its optimiser.

    A step is :meth:`batch`, :meth:`terms`, :meth:`backward`, :meth:`optimise` and :meth:`follow`, in this order.

    Attributes:
        network: what is trained; its weights follow from the experiment's seed.
        average: the moving average of its weights by name, float32.
        loss: the loss with its heads.
        optimiser: of network and heads.
    """

    def __init__(self, experiment: Experiment, data: TrainingData, place: World):
        self.experiment, self.data, self.place = experiment, data, place
        config, contract = experiment.training, data.training.contract
        torch.manual_seed(config.seed)
        self._policy_config = PolicyConfig(
            network=experiment.network,
            diffusion=experiment.diffusion,
            control=experiment.control,
            null_goal=bool(contract.goals) and config.goal_dropout > 0,
            provenance={'experiment': experiment.to_dict()},
        )
        self.network = build_network(contract, self._policy_config).to(place.device)
        self.average = {k: v.detach().clone().float() for k, v in self.network.state_dict().items()}
        self.loss = TrainingLoss(self.network, config, data.training.privileged).to(place.device)
        self.optimiser = make_optimiser(self.loss, config)
        self._module: nn.Module = self.loss
        self._autocast = autocast_for(config.precision, place.device)
        self._levels = noise_levels(contract, self._policy_config)
        goals = data.training.goals
        self._text_MG = data.instructions.rows(goals.texts) if goals else torch.zeros(0, 0)

    def compile(self) -> None:
        """Compile the cameras' encoders, which joins what lies between their convolutions.

        The next steps take a minute, and what is computed from here on rounds otherwise. Names of weights stay.
        """
        if shutil.which(os.environ.get('CXX', 'g++')) is None:
            raise ConfigError(
                '--compile needs a C++ compiler (apt install g++, or CXX set to one); run without it'
            )
        # Not the goal picture's: their number varies, and graphs of any size cost more than they save.
        for encoder in self.network.camera_encoders.values():
            encoder.compile(dynamic=False)

    def distribute(self) -> None:
        """Train together with the other processes, if there are any; once the weights are those to start from."""
        if self.place.size > 1:
            # A batch without a goal of some kind does not use its encoder.
            unused = bool(self.data.training.contract.goals)
            self._module = nn.parallel.DistributedDataParallel(self.loss, find_unused_parameters=unused)

    def policy(self) -> Policy:
        """With the averaged weights, copied."""
        data, contract = self.data, self.data.training.contract
        copy = build_network(contract, self._policy_config).to(self.place.device)
        copy.load_state_dict(self.average)
        return Policy(
            contract,
            self._policy_config,
            copy.eval(),
            data.proprio,
            data.action,
            self.place.device,
            data.vectors,
            data.instructions,
        )

    def batch(self, step: int) -> Batch:
        """Cut and normalise windows, draw noise; all of it depends on the experiment and the step alone."""
        experiment, data = self.experiment, self.data
        config, per_token = experiment.training, experiment.network.actions_per_token
        index_B, generator = draw_batch(
            config.seed,
            step,
            len(data.training),
            config.batch_size,
            data.training.labelled,
            config.labelled_batch_share,
        )
        rows = self.place.slice(config.batch_size)
        chunks = slice(rows.start * config.noise_draws, rows.stop * config.noise_draws)
        windows = data.training.windows(index_B[rows], data.past_actions)
        origin_BA = origin(data.training.contract, experiment.diffusion, windows.proprio[:, -1])
        clean_BTP = fold(data.action.encode(windows.actions - origin_BA[:, None]), per_token)
        valid_BTP = fold(windows.valid[..., None].expand(windows.actions.shape), per_token)
        total, (tokens, values) = config.batch_size * config.noise_draws, clean_BTP.shape[1:]
        density = LevelDensity(buffer_share=config.buffer_share, independent_share=config.independent_share)
        level_RT = density.levels(total, tokens, self._levels, generator)
        noise_RTP = torch.randn(total, tokens, values, generator=generator)
        aims = draw_aims(data.training, self._text_MG, config, index_B, rows, generator)
        past = draw_past(experiment, data.action, windows, origin_BA, rows, generator)
        device = self.place.device

        def move(x: Tensor) -> Tensor:
            return x.to(device, non_blocking=True)

        return Batch(
            move(data.proprio.encode(windows.proprio)),
            {name: move(image) for name, image in windows.images.items()},
            {name: move(values) for name, values in data.encode_vectors(windows.vectors).items()},
            move(clean_BTP),
            move(valid_BTP),
            move(self._levels.sigma(level_RT[chunks])),
            move(noise_RTP[chunks]),
            aims.to(device),
            None if past is None else past.to(device),
        )

    def terms(self, batch: Batch) -> Terms:
        """The forward pass: the loss's terms."""
        with self._autocast():
            terms: Terms = self._module(
                batch.proprio_BOS,
                batch.images,
                batch.vectors,
                batch.clean_BTP,
                batch.valid_BTP,
                batch.sigma_RT,
                batch.noise_RTP,
                batch.aims,
                batch.past,
            )
        return terms

    def backward(self, terms: Terms) -> None:
        """Gradients of the weighted sum."""
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack([weight * value for weight, value in terms.values()]).sum().backward()

    def optimise(self, step: int) -> None:
        """Clip the gradients and move the weights."""
        config = self.experiment.training
        for group in self.optimiser.param_groups:
            group['lr'] = learning_rate(step, config)
        nn.utils.clip_grad_norm_(self._module.parameters(), config.gradient_clip)
        self.optimiser.step()

    def follow(self, step: int) -> None:
        """Let the average follow the weights."""
        update_average(self.average, self.network, step, self.experiment.training.ema_decay)

    def step(self, step: int) -> dict[str, float]:
        """All stages; the value of every term, as a mean over processes."""
        terms = self.terms(self.batch(step))
        self.backward(terms)
        self.optimise(step)
        self.follow(step)
        return {name: float(self.place.mean(value.detach())) for name, (_, value) in terms.items()}


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
