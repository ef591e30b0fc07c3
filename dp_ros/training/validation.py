# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Figures on held-out episodes, with the same windows and the same noise each time."""

import torch

from dp_ros.data.demonstrations import Demonstrations
from dp_ros.diffusion.densities import LevelDensity
from dp_ros.model.accounting import loads, mixture_weights
from dp_ros.policy.policy import Policy, fold, past_tokens, unfold
from dp_ros.training.goals import Aims, goal_batch


@torch.inference_mode()
def validate(policy: Policy, data: Demonstrations, windows: int = 256) -> dict[str, float]:
    """Denoising loss at the buffer's levels and at shared levels, and the error of a guess from pure noise."""
    generator = torch.Generator().manual_seed(0)
    index_B = torch.randint(len(data), (min(windows, len(data)),), generator=generator)
    batch = data.windows(index_B, policy.config.network.past_actions)
    per_token, device = policy.config.network.actions_per_token, policy.device
    clean_BTP = policy.to_tokens(batch.actions, policy.origin(batch.proprio[:, -1:])).to(device)
    valid_BTP = fold(batch.valid[..., None].expand(batch.actions.shape), per_token).to(device)
    goal_BD = None
    if policy.network.goals is not None and data.goals is not None:
        drawn = data.goals.draw(data.episode[index_B.numpy()], generator, image_share=0.5, dropout=0.0)
        goals = goal_batch(data, index_B, drawn, policy.instructions.rows(data.goals.texts))
        goal_BD = policy.network.goals(Aims(goals).to(device).goals)
    past = None
    if batch.past is not None and batch.past_valid is not None:
        config = policy.config
        past_BHA = batch.past - policy.origin(batch.proprio[:, -1:])
        past = past_tokens(config.network, config.diffusion, policy.action, past_BHA, batch.past_valid)
    context = policy.network.encode(
        policy.proprio.encode(batch.proprio).to(device),
        {k: v.to(device) for k, v in batch.images.items()},
        goal_BD,
        vectors={k: policy.vectors[k].encode(v).to(device) for k, v in batch.vectors.items()},
        past=None if past is None else past.to(device),
    )
    noise_BTP = torch.randn(clean_BTP.shape, generator=generator).to(device)
    figures = {}
    for name, share in (('loss_buffer', 1.0), ('loss_shared', 0.0)):
        density = LevelDensity(buffer_share=share)
        level_BT = density.levels(clean_BTP.shape[0], clean_BTP.shape[1], policy.levels, generator)
        sigma_BT = policy.levels.sigma(level_BT).to(device)
        rows = policy.denoiser.loss(policy.network, clean_BTP, sigma_BT, noise_BTP, valid_BTP, context)
        figures[name] = float(rows.mean())
    # From pure noise in one evaluation: how much of the future the observation alone explains.
    top_BT = torch.full(clean_BTP.shape[:2], policy.levels.sigma_max, device=device)
    guess_BTP = policy.denoise(context)(policy.levels.sigma_max * noise_BTP, top_BT)
    error = (unfold(guess_BTP - clean_BTP, per_token) ** 2)[batch.valid.to(device)]
    figures['rms_from_noise'] = float(error.mean().sqrt())
    if policy.network.experts():
        # Levels are drawn uniformly, so each counts the same.
        level_S = torch.linspace(0, policy.levels.count, 201)[1:]
        share_LE = loads(mixture_weights(policy.network, policy.levels.sigma(level_S).to(device)))
        figures |= {
            f'load/layer{layer}_expert{expert}': float(share)
            for layer, share_E in enumerate(share_LE)
            for expert, share in enumerate(share_E)
        }
    return figures
