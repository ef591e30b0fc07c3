# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Heads that exist in training only (two are MDT's, arXiv 2407.05996): they shape the network and do not ship."""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dp_ros.policy.normalizer import Normalizer

# Pictures are resampled to _SIZE x _SIZE pixels and cut into patches of _PATCH x _PATCH.
_SIZE, _PATCH = 64, 8
PATCHES = (_SIZE // _PATCH) ** 2
_HIDDEN = 0.75


class AlignmentHead(nn.Module):
    """Contrastive latent alignment: the instruction and the goal image of one sample agree, those of others do not.

    MDT contrasts pooled contexts, of which both hold the same observation; other samples then differ by what they
    see, and the loss is solved without looking at the goals. Here the goal tokens themselves are contrasted.

    Args:
        width: D.
        dim: in which both are compared.
    """

    def __init__(self, width: int, dim: int = 128):
        super().__init__()
        self.text = nn.Linear(width, dim)
        self.image = nn.Linear(width, dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, text_BD: Tensor, image_BD: Tensor, task_B: Tensor) -> Tensor:
        """Mean of both directions' cross-entropies; 0 where there is nothing to tell apart.

        Args:
            text_BD: goal tokens of the instructions.
            image_BD: goal tokens of the images, of the same samples.
            task_B: samples with equal numbers have equal instructions: they are no negatives of each other.
        """
        z_text_BZ = F.normalize(self.text(text_BD).float(), dim=-1)
        z_image_BZ = F.normalize(self.image(image_BD).float(), dim=-1)
        scale = self.log_scale.clamp(0.0, math.log(100.0)).exp()
        own_B = torch.arange(len(task_B), device=task_B.device)
        duplicate_BB = (task_B[:, None] == task_B) & (own_B[:, None] != own_B)
        logits_BB = (scale * z_text_BZ @ z_image_BZ.T).masked_fill(duplicate_BB, -torch.inf)
        if not len(own_B):
            return logits_BB.sum()
        return 0.5 * (F.cross_entropy(logits_BB, own_B) + F.cross_entropy(logits_BB.T, own_B))


class ForesightHead(nn.Module):
    """Masked generative foresight: hidden patches of later pictures, from the context and the patches that are left.

    Args:
        context_width: D.
        cameras: whose pictures are predicted.
        width: of the head's own transformer.
        depth: its layers.
    """

    def __init__(
        self,
        context_width: int,
        cameras: Sequence[str],
        width: int = 128,
        depth: int = 2,
    ):
        super().__init__()
        self.context = nn.Linear(context_width, width)
        self.embed = nn.Linear(3 * _PATCH**2, width)
        self.mask_token = nn.Parameter(0.02 * torch.randn(width))
        self.position = nn.Parameter(0.02 * torch.randn(PATCHES, width))
        self.camera = nn.ParameterDict({name: nn.Parameter(0.02 * torch.randn(width)) for name in cameras})
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, 0.0, 'gelu', batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.pixels = nn.Linear(width, 3 * _PATCH**2)

    def forward(self, context_BND: Tensor, pictures: Mapping[str, Tensor], order_BM: Tensor) -> Tensor:
        """Mean squared error of the hidden patches' pixels in [-1, 1].

        Args:
            context_BND: the network's context tokens.
            pictures: camera name to (B, H, W, 3) uint8, later ones.
            order_BM: a random order of the patches of each sample; the first ones are hidden, on all cameras.
        """
        batch = len(context_BND)
        hidden_BM = torch.zeros(order_BM.shape, dtype=torch.bool, device=order_BM.device)
        hidden_BM.scatter_(1, order_BM[:, : round(_HIDDEN * PATCHES)], True)
        targets = {name: self._cut(pictures[name]) for name in self.camera}
        tokens = [self.context(context_BND)]
        for name, patch_BMV in targets.items():
            seen_BMD = self.embed(patch_BMV)
            mask_BMD = self.mask_token.to(seen_BMD.dtype).expand_as(seen_BMD)
            tokens.append(
                torch.where(hidden_BM[..., None], mask_BMD, seen_BMD) + self.position + self.camera[name]
            )
        tokens_BKD = self.layers(torch.cat(tokens, dim=1))[:, -PATCHES * len(targets) :]
        guess_BKV = self.pixels(self.norm(tokens_BKD)).float()
        target_BKV = torch.cat(list(targets.values()), dim=1)
        error_BK = (guess_BKV - target_BKV).square().mean(dim=-1)
        return error_BK[hidden_BM.repeat(1, len(targets))].view(batch, -1).mean()

    def _cut(self, picture_BHWC: Tensor) -> Tensor:
        x_BCHW = picture_BHWC.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        x_BCHW = F.interpolate(x_BCHW, size=(_SIZE, _SIZE), mode='area')
        return F.unfold(x_BCHW, _PATCH, stride=_PATCH).transpose(1, 2)


class PrivilegedHead(nn.Module):
    """What no sensor tells (``Episode.privileged``: where objects and goals are), linearly from the fusion token.

    Imitation alone leaves an encoder free to overlook what is small in the picture and decides little of the loss. A
    simulator knows where things are, and says so in training; the policy that ships still sees pictures alone. Told
    from all context tokens by an MLP of its own it was learnt and not used: the denoiser must find it in one place.

    Args:
        width: D.
        privileged_NP: samples of what is to be told, which standardise it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int, privileged_NP: Tensor):
        super().__init__()
        normalizer = Normalizer.fit_vector(privileged_NP)
        self.register_buffer('mean', normalizer.mean.float())
        self.register_buffer('std', normalizer.std.float())
        self.tell = nn.Linear(width, privileged_NP.shape[1])

    def forward(self, fused_BD: Tensor, privileged_BP: Tensor) -> Tensor:
        """Mean squared error of the standardised numbers."""
        standard_BP = (privileged_BP - self.mean) / self.std
        return (self.tell(fused_BD).float() - standard_BP).square().mean()
