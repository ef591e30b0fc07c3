# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The network as it runs, with everything folded that is constant between two ticks.

The same function as :class:`Network`, exact to rounding, in about half as many operations: at batch 1 each of them
costs more than its arithmetic. Noise levels are known, so their embeddings are; products of one input are one; the
weights of both QK-norms and the scale of attention meet in the query's; pictures are scaled by the first convolution.

Further shape suffixes: R rows (1, or 2 where goals are guided), O observation steps, d width of a head.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dp_ros.model.attention import Attention
from dp_ros.model.blocks import Block
from dp_ros.model.encoders import CameraEncoder
from dp_ros.model.experts import FeedForward
from dp_ros.model.network import Network
from dp_ros.model.past import Past
from dp_ros.model.route_plan import RoutePlan

_EPS = 1e-6
_HIDDEN = -1e9


@dataclass(frozen=True)
class FoldedContext:
    """One observation, encoded.

    Attributes:
        summary_RD: what modulates the blocks beside the noise level.
        keys: (R, H, d, N) of each layer, normalised and turned.
        values: (R, H, N, d) of each layer.
        past: what was commanded before, one row; None for a network without past tokens.
    """

    summary_RD: Tensor
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    past: Past | None


class FoldedNetwork(nn.Module):
    """A network at known noise levels. Parts that need no folding are the network's own, not copies.

    Args:
        network: in its final state.
        sigma_ST: noise level of every token at every evaluation to come.
        sizes: (H, W) of each camera's pictures.
        plan: of the same evaluations, for a network with experts.
        schedule: their name in the plan.
    """

    context_weight: Tensor
    offset_LM: Tensor
    modulation_weight: Tensor
    unit_d: Tensor

    def __init__(
        self,
        network: Network,
        sigma_ST: Tensor,
        sizes: Mapping[str, tuple[int, int]],
        plan: RoutePlan | None = None,
        schedule: str = '',
    ):
        super().__init__()
        self.network, self.plan, self.schedule = network, plan, schedule
        width, self.heads = network.config.width, network.config.heads
        blocks = [block for block in network.blocks if isinstance(block, Block)]
        self.layers = nn.ModuleList(_FoldedBlock(block) for block in blocks)
        self.cameras = nn.ModuleDict(
            {name: _FoldedCamera(network.camera_encoders[name], sizes[name]) for name in network.cameras}
        )
        self.evaluations = len(sigma_ST)
        with torch.no_grad():
            for number, sigma_T in enumerate(sigma_ST):
                sigma_T = network.sequence_noise(sigma_T[None])[0]
                # Where all tokens share a level, one row serves them all.
                shared = bool((sigma_T == sigma_T[0]).all())
                embedding_TD = network.sigma_embedding((sigma_T[:1] if shared else sigma_T)[None])[0]
                self.register_buffer(f'embedding_{number}', embedding_TD.clone(), persistent=False)
            offset_LCD = torch.stack([block.modulation_offset for block in blocks]) + network.modulation.bias
            offset_LCD = offset_LCD.unflatten(1, (Block.CHUNKS, width)).clone()
            offset_LCD[:, [1, 5]] += 1.0  # the scales of the two modulated norms
            for name, value in (
                ('offset_LM', offset_LCD.flatten(1)),
                ('modulation_weight', network.modulation.weight.t()),
                (
                    'context_weight',
                    torch.cat(
                        [
                            block.cross_attention.key_value.weight.chunk(2)[part]
                            for part in (0, 1)
                            for block in blocks
                        ]
                    ).t(),
                ),
                ('unit_d', torch.ones(width // self.heads, device=sigma_ST.device)),
            ):
                self.register_buffer(name, value.detach().contiguous().clone(), persistent=False)

    def encode(
        self,
        proprio_OS: Tensor,
        images: Mapping[str, Tensor],
        vectors: Mapping[str, Tensor],
        goal_RD: Tensor | None,
        past: Past | None = None,
    ) -> FoldedContext:
        """As :meth:`Network.encode`, of one observation; pictures are (O, H, W, 3)."""
        network = self.network
        steps = len(proprio_OS)
        rows = 1 if goal_RD is None or not network.goal_films else len(goal_RD)
        groups = []  # per observation step: (rows * O, tokens, D)
        for name in network.cameras:
            film_BM, image_BHWC = None, images[name]
            if rows > 1 or (goal_RD is not None and name in network.goal_films):
                assert goal_RD is not None
                film_BM = network.goal_films[name](goal_RD).repeat_interleave(steps, dim=0)
                image_BHWC = image_BHWC.repeat(rows, 1, 1, 1)
            groups.append(self.cameras[name](image_BHWC, film_BM))
        measured = [network.proprio_encoder(proprio_OS)]
        measured += [encoder(vectors[name]) for name, encoder in network.vector_encoders.items()]
        groups += [_repeated(token_OD[:, None], rows) for token_OD in measured]
        tokens_RND = torch.cat(groups, dim=1).unflatten(0, (rows, steps)).flatten(1, 2)
        if goal_RD is not None:
            tokens_RND = tokens_RND.expand(len(goal_RD), -1, -1)
            tokens_RND = torch.cat([tokens_RND, goal_RD[:, None].to(tokens_RND.dtype)], dim=1)
        tokens_RND = network.context_norm(tokens_RND + network.context_position)
        summary_RD = network.summary(tokens_RND.mean(dim=1))
        if network.goal_summary is not None:
            assert goal_RD is not None
            summary_RD = summary_RD + network.goal_summary(goal_RD)
        tokens_RND, _, summary_RD = network.fused(tokens_RND, None, summary_RD)
        count, length = tokens_RND.shape[:2]
        # Keys of all layers, then their values: (R, 2 * L * H, N, d).
        both = (tokens_RND.flatten(0, 1) @ self.context_weight).view(
            count, length, 2 * len(self.layers) * self.heads, -1
        )
        keys, values = both.transpose(1, 2).chunk(2, dim=1)
        keys = _rms(keys, self.unit_d).transpose(-1, -2)
        layer_keys, layer_values = keys.chunk(len(self.layers), dim=1), values.chunk(len(self.layers), dim=1)
        return FoldedContext(summary_RD, layer_keys, layer_values, past)

    def evaluate(self, number: int, x_TP: Tensor, context: FoldedContext) -> Tensor:
        """F at evaluation ``number`` for c_in * x, which all rows share: (R * T, P)."""
        network, rows, count = self.network, len(context.summary_RD), len(x_TP)
        h_TD = network.embed(x_TP) + network.action_position[:count]
        hidden_T = None
        if network.past is not None:
            assert context.past is not None
            h_TD = network.past.join(network.embed(context.past.x_BKP), h_TD[None])[0]
            seen_1T = network.past.valid(context.past, None, count)
            # What is added to the logits of a token that is hidden; finite, as some exporters want it.
            hidden_T = _HIDDEN * (1.0 - seen_1T[0].float())
        # X = R * T, so that every product has two axes; where one noise level serves all tokens the condition has R.
        h_XD = _repeated(h_TD, rows)
        condition_XD = F.silu(self._conditions(number, context.summary_RD, len(h_TD)))
        modulation_XM = condition_XD @ self.modulation_weight
        planned = None if self.plan is None else self.plan.feed_forwards(self.schedule, number)
        for layer, block in enumerate(self.layers):
            h_XD = block(
                h_XD,
                modulation_XM + self.offset_LM[layer],
                (context.keys[layer], context.values[layer]),
                rows,
                hidden_T,
                None if planned is None else planned[layer],
            )
        if network.past is not None:  # nothing is predicted for past tokens
            h_XD, condition_XD = (
                x_XD.unflatten(0, (rows, -1))[:, -count:].flatten(0, 1) for x_XD in (h_XD, condition_XD)
            )
        shift_XD, scale_XD = network.head.modulation(condition_XD).chunk(2, dim=-1)
        h_XD = F.layer_norm(h_XD, h_XD.shape[-1:], eps=_EPS) * (1 + scale_XD) + shift_XD
        out_XP: Tensor = network.head.project(h_XD)
        return out_XP

    def _conditions(self, number: int, summary_RD: Tensor, tokens: int) -> Tensor:
        embedding_TD, rows = self.get_buffer(f'embedding_{number}'), len(summary_RD)
        if rows == 1:
            return embedding_TD + summary_RD
        return (embedding_TD + summary_RD[:, None]).expand(rows, tokens, -1).flatten(0, 1)


def _repeated(x: Tensor, times: int) -> Tensor:
    return x if times == 1 else x.repeat(times, *[1] * (x.ndim - 1))


class _FoldedBlock(nn.Module):
    """One layer on rows of tokens."""

    def __init__(self, block: Block):
        super().__init__()
        self.block = block
        own = block.self_attention
        with torch.no_grad():
            weight = torch.cat([own.query.weight, own.key_value.weight]).t().contiguous()
            self.register_buffer('query_key_value', weight, persistent=False)
            self.register_buffer('own_norm', _query_norm(own), persistent=False)
            self.register_buffer('context_norm', _query_norm(block.cross_attention), persistent=False)
            self.register_buffer('unit_d', torch.ones_like(own.key_norm.weight), persistent=False)

    query_key_value: Tensor
    own_norm: Tensor
    context_norm: Tensor
    unit_d: Tensor

    def forward(
        self,
        h_XD: Tensor,
        modulation_XM: Tensor,
        context: tuple[Tensor, Tensor],
        rows: int,
        hidden_T: Tensor | None,
        feed_forward: FeedForward | None,
    ) -> Tensor:
        block = self.block
        shift_a, scale_a, gate_a, gate_c, shift_m, scale_m, gate_m = modulation_XM.chunk(Block.CHUNKS, dim=-1)
        heads = block.self_attention.heads

        def split(x_XD: Tensor, groups: int) -> Tensor:  # (R, groups * H, T, d)
            return x_XD.view(rows, len(x_XD) // rows, groups * heads, -1).transpose(1, 2)

        def join(y_RHTd: Tensor) -> Tensor:
            return y_RHTd.transpose(1, 2).flatten(2).flatten(0, 1)

        x_XD = block.norm(h_XD) * scale_a + shift_a
        query, key, value = split(x_XD @ self.query_key_value, 3).chunk(3, dim=1)
        logits = _rms(query, self.own_norm) @ _rms(key, self.unit_d).transpose(-1, -2)
        if hidden_T is not None:
            logits = logits + hidden_T
        h_XD = h_XD + gate_a * block.self_attention.out(join(logits.softmax(dim=-1) @ value))
        query = split(block.cross_attention.query(block.norm(h_XD)), 1)
        keys_RHdN, values_RHNd = context
        logits = _rms(query, self.context_norm) @ keys_RHdN
        h_XD = h_XD + gate_c * block.cross_attention.out(join(logits.softmax(dim=-1) @ values_RHNd))
        x_XD = block.norm(h_XD) * scale_m + shift_m
        if feed_forward is None:
            return h_XD + gate_m * block.mlp(x_XD)
        return h_XD + gate_m * feed_forward(x_XD.unflatten(0, (rows, -1))).flatten(0, 1)


class _FoldedCamera(nn.Module):
    """A camera's encoder for pictures of one size."""

    first: Tensor
    coordinates_M2: Tensor
    projection_GvD: Tensor
    bias_GD: Tensor

    def __init__(self, encoder: nn.Module, size: tuple[int, int]):
        super().__init__()
        assert isinstance(encoder, CameraEncoder)
        self.encoder = encoder
        device = encoder.project.weight.device
        height, width = (-(-side // 4) for side in size)  # two convolutions of stride 2
        ys = torch.linspace(-1, 1, height, device=device).repeat_interleave(width)
        xs = torch.linspace(-1, 1, width, device=device).repeat(height)
        first = encoder.trunk[0]
        assert isinstance(first, nn.Conv2d)
        with torch.no_grad():
            for name, value in (
                ('first', first.weight / 127.5),
                ('coordinates_M2', torch.stack([xs, ys], dim=-1)),
                (
                    'projection_GvD',
                    encoder.project.weight.unflatten(0, (encoder.tokens, -1)).transpose(1, 2).contiguous(),
                ),
                ('bias_GD', encoder.project.bias.unflatten(0, (encoder.tokens, -1)).clone()),
            ):
                self.register_buffer(name, value, persistent=False)

    def forward(self, image_BHWC: Tensor, film_BM: Tensor | None) -> Tensor:
        """(B, H, W, 3) uint8 to (B, G, D)."""
        encoder = self.encoder
        # The padding of a scaled picture is 0, which is 127.5 of 255: the shift stays outside of the convolution.
        x_BCHW = image_BHWC.permute(0, 3, 1, 2).float() - 127.5
        x_BCHW = F.conv2d(x_BCHW, self.first, stride=2, padding=2)
        if film_BM is None:
            x_BCHW = encoder.trunk[1:](x_BCHW)
        else:
            scale, shift, scale_after, shift_after = film_BM[..., None, None].chunk(4, dim=1)
            x_BCHW = encoder.trunk[1:-1](x_BCHW) * (1 + scale) + shift
            x_BCHW = encoder.trunk[-1](x_BCHW) * (1 + scale_after) + shift_after
        pool = encoder.pool
        logits_BKM = pool.maps(x_BCHW).flatten(2).float()
        xy_BK2 = (logits_BKM * pool.temperature).softmax(dim=-1) @ self.coordinates_M2
        points_BKv = torch.cat([xy_BK2, logits_BKM.amax(dim=-1, keepdim=True).tanh()], dim=-1)
        groups_BG1v = points_BKv.unflatten(1, (encoder.tokens, -1)).flatten(2)[:, :, None]
        return (groups_BG1v @ self.projection_GvD).flatten(2) + self.bias_GD


def _query_norm(attention: Attention) -> Tensor:
    # The weights of both norms and the scale: what multiplies a product of query and key, whichever side it stands on.
    weight_d = attention.query_norm.weight * attention.key_norm.weight
    return weight_d / len(weight_d) ** 0.5


def _rms(x: Tensor, weight_d: Tensor) -> Tensor:
    # Spelled out: exporters and optimisers of graphs know these operations in this order as one.
    return x / (x.pow(2).mean(dim=-1, keepdim=True) + _EPS).sqrt() * weight_d
