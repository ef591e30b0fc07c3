# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Which experts a policy uses at which noise level, and what they cost beside an MLP."""

from dataclasses import replace
from html import escape

import torch

from dp_ros.model.accounting import dense_like, evaluation_operations, loads, mixture_weights
from dp_ros.model.route_plan import RoutePlan
from dp_ros.policy.modes import make_controller
from dp_ros.policy.policy import Policy, build_network

COLUMNS = 96
CELL, ROW, LEFT, GAP = 4, 14, 120, 22


def expert_report(policy: Policy) -> str:
    """Lines for people: sizes, operations beside dense networks, and per layer the loads and the plan's sets.

    The loads are shares of all choices over noise levels that weigh the same, as in training.
    """
    network, plan = policy.network, make_controller(policy).plan
    assert isinstance(plan, RoutePlan)
    sizes = network.experts()[0].sizes
    shared = ', one more for every token' if sizes.shared else ''
    lines = [
        _line(
            'experts',
            f'{sizes.routed} a layer, {sizes.active} a token{shared}, {sizes.hidden} hidden units each',
        ),
        _line('their plan', f'{plan.size:,} numbers: fused experts and routes'),
        _line('operations', f'{_mega(evaluation_operations(network))} per evaluation with live routing'),
    ]
    for name, rows in plan.chosen.items():
        fused = [evaluation_operations(network, [len(chosen) for chosen in row]) for row in rows]
        mean = _mega(round(sum(fused) / len(fused)))
        lines.append(
            _line('', f'{mean} planned and fused, mean of the {len(rows)} evaluation(s) of a {name} pass')
        )
    for total, text in ((False, 'equal active size'), (True, 'equal total size')):
        config = dense_like(network.config, total=total)
        dense = build_network(policy.contract, replace(policy.config, network=config))
        lines.append(
            _line(
                '',
                f'{_mega(evaluation_operations(dense))} a dense network of {text} (mlp_ratio {config.mlp_ratio})',
            )
        )
    share_LE = loads(mixture_weights(network, _sigmas(policy)))
    for layer, share_E in enumerate(share_LE):
        sets = sorted(
            {chosen for rows in plan.chosen.values() for row in rows for chosen in row[layer : layer + 1]}
        )
        text = ' '.join(f'{share:.2f}' for share in share_E)
        lines.append(_line(f'  loads of layer {layer}', f'{text}   fused {", ".join(map(_set, sets))}'))
    return '\n'.join(lines)


def expert_plot(policy: Policy) -> str:
    """An SVG: one row per layer and expert, from clean (left) to pure noise; the darker, the larger its weight."""
    sigma_S = _sigmas(policy)
    weights_LSE = mixture_weights(policy.network, sigma_S)
    layers, _, experts = weights_LSE.shape
    share_LE = loads(weights_LSE)
    block = experts * ROW + GAP
    width, height = LEFT + COLUMNS * CELL + 60, layers * block + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="10">',
        f'<text x="{LEFT}" y="12">{escape(policy.contract.name)}: weight of each expert over the noise level</text>',
    ]
    for layer in range(layers):
        top = 20 + layer * block
        for expert in range(experts):
            y = top + expert * ROW
            parts.append(f'<text x="4" y="{y + 10}">layer {layer}, expert {expert}</text>')
            parts += [
                f'<rect class="weight" x="{LEFT + s * CELL}" y="{y}" width="{CELL}" height="{ROW - 2}" '
                f'fill="#1f5fa8" fill-opacity="{float(weights_LSE[layer, s, expert]):.3f}"/>'
                for s in range(COLUMNS)
            ]
            parts.append(
                f'<text x="{LEFT + COLUMNS * CELL + 6}" y="{y + 10}">load {float(share_LE[layer, expert]):.2f}</text>'
            )
    axis = height - 8
    parts.append(f'<text x="{LEFT}" y="{axis}">sigma {float(sigma_S[0]):.3g}</text>')
    parts.append(f'<text x="{LEFT + COLUMNS * CELL - 50}" y="{axis}">sigma {float(sigma_S[-1]):.3g}</text>')
    parts.append('</svg>')
    return '\n'.join(parts) + '\n'


def _sigmas(policy: Policy) -> torch.Tensor:
    levels = policy.levels
    middle = (torch.arange(COLUMNS) + 0.5) / COLUMNS
    return levels.sigma(middle * levels.count).to(policy.device)


def _set(chosen: tuple[int, ...]) -> str:
    return '{' + ' '.join(map(str, chosen)) + '}'


def _mega(operations: int) -> str:
    return f'{operations / 1e6:.2f} MFLOP'


def _line(name: str, value: str) -> str:
    return f'{name:26s} {value}'
