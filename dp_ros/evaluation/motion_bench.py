# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros bench motion``: how well controllers follow what they are sent, and whether our bounds hold.

Streams of messages run through the controller model under the rules of every distribution, with a first-order plant
behind it. Measured is what the controller *commands*: finite differences at its own period, so that a step of 1 mrad
at 500 Hz counts as the 250 rad/s² that it is. Deterministic: everything follows from the seeds.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from dp_ros.errors import ConfigError
from dp_ros.evaluation.motion_recipes import RECIPES, Recipe, recipe
from dp_ros.evaluation.motion_run import drive, measure
from dp_ros.evaluation.motion_streams import (
    EXACT,
    MS,
    ROUGH,
    START_NS,
    Disturbance,
    Setting,
    Stream,
    Transport,
    window_stream,
)
from dp_ros.simulation.controller_rules import HUMBLE, JAZZY, KILTED, MASTER, Rules

# The bounds: peaks of the command over the committed curve's own; steps of the velocity, rad/s; distance of the command
# from the committed curve and of two arms from each other, rad; what rounding may add to a limit.
PEAK_RATIO = 0.01
JUMP = 1e-6
FOLLOW = 1e-9
ROUNDING = 1e-6

DISAGREE = 0.05
# Shown with two arms as well, whose messages have delays of their own.
TWO_ARMS = ('window', 'point-next', 'chunk-velocities', 'forward')
RULES = {
    'humble': HUMBLE,
    'jazzy': JAZZY,
    'kilted': KILTED,
    'master': MASTER.with_parameters(allow_trajectory_replacement=False),
}
# As master is installed; it moves past stamps to the present, so it is shown and nothing is promised.
SHOWN_RULES = {**RULES, 'master, as installed': MASTER}


def worst(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    """The largest of every figure, and the ratio of peak over curve that is furthest from 1; NaN where any is NaN."""
    rows = list(rows)
    # NumPy's maximum keeps NaN, Python's may drop it.
    out = {key: float(np.max([row[key] for row in rows])) for key in rows[0]}
    for kind in 'va':
        ratios = np.array([row[f'peak_{kind}'] / row[f'curve_{kind}'] for row in rows])
        out[f'ratio_{kind}'] = float(ratios[int(np.argmax(np.abs(ratios - 1.0)))])
    return out


def follow_table(
    setting: Setting,
    seeds: list[int],
    disagree: float,
    transport: Transport,
    arms: int,
    ways: Iterable[Recipe],
) -> list[dict[str, Any]]:
    """Every recipe under every set of rules, the worst of all seeds; without a transport all seeds are alike."""
    seeds = seeds if transport != EXACT else seeds[:1]
    out = []
    for way in ways:
        streams = [way.stream(setting, transport, arms, seed, Disturbance(disagree)) for seed in seeds]
        for name, figures in _under(SHOWN_RULES, setting, streams, way):
            about: dict[str, Any] = {
                'recipe': way.key,
                'rules': name,
                'promised': name in RULES,
                'transport': transport.name,
            }
            out.append({**about, 'arms': arms, 'disagree': disagree, **figures})
    return out


def stop_table(setting: Setting, seeds: list[int], arms: int) -> list[dict[str, Any]]:
    """The publisher dies at a moment drawn from the moving part; ways to end a window, under all rules."""
    out = []
    for tail in ('brake', 'none', 'zero'):
        streams = []
        for seed in seeds:
            share = np.random.default_rng((seed, 1)).uniform(0.5, 0.75)
            fault = Disturbance(quiet_ns=START_NS + int(share * setting.duration_ns), tail=tail)
            streams.append(window_stream(setting, ROUGH, arms, seed, fault))
        for name, figures in _under(RULES, setting, streams, RECIPES[0]):
            out.append({'tail': tail, 'rules': name, 'arms': arms, **figures})
    return out


def resync_table(setting: Setting, seeds: list[int], arms: int) -> list[dict[str, Any]]:
    """The publisher stalls for longer than a window, then comes back by resynchronising or on its old curve."""
    out = []
    for resync in (True, False):
        streams = []
        for seed in seeds:
            share = np.random.default_rng((seed, 2)).uniform(0.4, 0.6)
            quiet = START_NS + int(share * setting.duration_ns)
            fault = Disturbance(quiet_ns=quiet, back_ns=quiet + 500 * MS, resync=resync)
            streams.append(window_stream(setting, ROUGH, arms, seed, fault))
        for name, figures in _under(RULES, setting, streams, RECIPES[0]):
            out.append({'resync': resync, 'rules': name, 'arms': arms, **figures})
    return out


def _under(
    table: dict[str, Rules], setting: Setting, streams: list[Stream], way: Recipe
) -> Iterator[tuple[str, dict[str, float]]]:
    """The worst figures of the streams under each set of rules; sets that differ in name only are run once."""
    known: dict[Rules, dict[str, float]] = {}
    for name, rules in table.items():
        used = rules.with_parameters(interpolate_from_desired_state=way.from_desired)
        key = replace(used, name='')
        if key not in known:
            runs = [drive(setting, used, stream, way.forward) for stream in streams]
            known[key] = worst(measure(setting, r, s) for r, s in zip(runs, streams, strict=True))
        yield name, known[key]


def rows_table(setting: Setting, seed: int) -> list[dict[str, float]]:
    """Peaks of the committed curve where the rows of the chunks stand further apart: what is in between is ours."""
    out = []
    for row_ms in (20, 50, 100):
        coarse = replace(setting, row_ns=row_ms * MS, rows=-(-setting.rows * setting.row_ns // (row_ms * MS)))
        stream = window_stream(coarse, ROUGH, 1, seed, Disturbance())
        out.append({'row_ms': float(row_ms), **measure(coarse, drive(coarse, JAZZY, stream), stream)})
    return out


def bench(
    setting: Setting, seeds: list[int], judged: str = 'window', ways: Sequence[Recipe] = RECIPES
) -> dict[str, Any]:
    """All tables for the recipes of ``ways``, and the bounds that ``judged`` misses.

    Raises:
        ConfigError: no such recipe, or no seeds.
    """
    way = recipe(judged)
    if not seeds:
        raise ConfigError('at least one seed is needed')
    ways = tuple(dict.fromkeys([*ways, way]))
    pair = [w for w in ways if w in (way, *(recipe(key) for key in TWO_ARMS))]
    follow = [
        *follow_table(setting, seeds, 0.0, ROUGH, 1, ways),
        *follow_table(setting, seeds, 0.0, EXACT, 1, ways),
        *follow_table(setting, seeds, 0.0, ROUGH, 2, pair),
    ]
    disagree = [
        *follow_table(setting, seeds, DISAGREE, ROUGH, 1, ways),
        *follow_table(setting, seeds, DISAGREE, ROUGH, 2, [way]),
    ]
    stop = [row for arms in (1, 2) for row in stop_table(setting, seeds, arms)]
    resync = [row for arms in (1, 2) for row in resync_table(setting, seeds, arms)]
    return {
        'setting': asdict(setting),
        'seeds': seeds,
        'judged': judged,
        'follow': follow,
        'disagree': disagree,
        'stop': stop,
        'resync': resync,
        'rows': rows_table(setting, seeds[0]),
        'misses': misses(setting, judged, follow, disagree, stop, resync),
    }


def misses(
    setting: Setting,
    judged: str,
    follow: list[dict[str, Any]],
    disagree: list[dict[str, Any]],
    stop: list[dict[str, Any]],
    resync: list[dict[str, Any]],
) -> list[str]:
    """Every bound that does not hold, in words; of follow and disagree only the judged recipe's rows count."""
    most_a = setting.acceleration * (1.0 + ROUNDING)
    most_v = setting.velocity * (1.0 + ROUNDING)
    longest = setting.velocity / setting.acceleration + setting.control_ns * 1e-9
    out: list[str] = []

    def hold(where: str, row: dict[str, Any], bounds: dict[str, float]) -> None:
        for key, bound in bounds.items():
            value = row.get(key, 0.0)
            if not value <= bound:  # NaN misses as well
                out.append(
                    f'{where}, {row["rules"]}, arms {row["arms"]}: {key} {value:.4g} above {bound:.4g}'
                )

    one_curve = {'jump': JUMP, 'seam_v': JUMP, 'follow': FOLLOW, 'apart': FOLLOW, 'refused': 0.0}
    for row in follow:
        if row['recipe'] == judged and row['promised']:
            off = {f'off_{kind}': abs(row[f'ratio_{kind}'] - 1.0) for kind in 'va'}
            where = f'follow {judged}, transport {row["transport"]}'
            hold(where, {**row, **off}, {'off_v': PEAK_RATIO, 'off_a': PEAK_RATIO, **one_curve})
    for row in disagree:
        if row['recipe'] == judged and row['promised']:
            hold(f'disagree {judged}', row, {'peak_v': most_v, 'peak_a': most_a, **one_curve})
    for row in stop:
        if row['tail'] == 'brake':
            hold('stop', row, {'peak_a': most_a, 'stop_s': longest, **one_curve})
    for row in resync:
        if row['resync']:
            hold('resync', row, {'peak_v': most_v, 'peak_a': most_a, **one_curve})
    return out
