# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros bench motion``: controllers of every distribution, driven by our windows and by other stacks' recipes."""

import argparse
from pathlib import Path
from typing import Any

from dp_ros.errors import ConfigError
from dp_ros.evaluation.motion_bench import RULES, SHOWN_RULES, bench
from dp_ros.evaluation.motion_plot import write_plot
from dp_ros.evaluation.motion_recipes import RECIPES
from dp_ros.evaluation.motion_streams import EXACT, MS, ROUGH, Setting
from dp_ros.whole_file import write_json

_WORDS = {r.key: r.words for r in RECIPES}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--seed', type=int, default=0, help='first seed of delays, jitter and moments')
    parser.add_argument('--seeds', type=int, default=3, help='how many seeds; the table shows the worst')
    parser.add_argument('--seconds', type=float, default=6.0, help='length of every run')
    parser.add_argument(
        '--judge',
        default='window',
        choices=[r.key for r in RECIPES],
        help='whose bounds decide the exit code (default: our windows)',
    )
    parser.add_argument(
        '--alone', action='store_true', help='only the judged recipe, without those beside it'
    )
    parser.add_argument('--json', type=Path, help='write the figures here')
    parser.add_argument('--plot', type=Path, help='draw the recipes into this PNG')


def run(args: argparse.Namespace) -> int:
    """Measure, print the tables; 1 if a bound is missed."""
    if args.seeds < 1:
        raise ConfigError(f'--seeds must be at least 1, got {args.seeds}')
    if args.seed < 0:
        raise ConfigError(f'--seed must be at least 0, got {args.seed}')
    if args.seconds < 3.0:
        raise ConfigError(
            f'--seconds must be at least 3, so that there is motion to measure, got {args.seconds}'
        )
    if args.plot and args.plot.suffix != '.png':
        raise ConfigError(f'--plot must be a .png file, got {args.plot}')
    setting = Setting(duration_ns=round(args.seconds * 1e3) * MS)
    figures = bench(
        setting, list(range(args.seed, args.seed + args.seeds)), args.judge, () if args.alone else RECIPES
    )
    _print(setting, figures)
    if args.json:
        write_json(args.json, 'the figures', figures)
    if args.plot:
        write_plot(args.plot, setting, args.seed)
    missed = figures['misses']
    print()
    print(f'{len(missed)} bounds missed by {_WORDS[args.judge]!r}' if missed else 'all bounds hold')
    for line in missed:
        print(f'  {line}')
    return 1 if missed else 0


def _print(setting: Setting, figures: dict[str, Any]) -> None:
    first = figures['follow'][0]
    seeds = figures['seeds']
    print(
        f'Controllers at {1e9 / setting.control_ns:.0f} Hz, replans at {1e9 / setting.replan_ns:.0f} Hz, '
        f'plant lag {setting.lag_ns / MS:.0f} ms, limits {setting.velocity:g} rad/s, {setting.acceleration:g} rad/s2, '
        f'{setting.jerk:g} rad/s3; worst of seeds {seeds[0]} to {seeds[-1]}.\n'
        f'Each cell: peak velocity (rad/s) / peak acceleration (rad/s2) of the command. '
        f'The committed curve itself: {first["curve_v"]:.3f} / {first["curve_a"]:.3f}.'
    )
    for transport in (ROUGH, EXACT):
        rows = [r for r in figures['follow'] if r['transport'] == transport.name and r['arms'] == 1]
        _grid(f'One motion, transport delay {transport.name}', rows, 'delay')
    rows = [r for r in figures['disagree'] if r['arms'] == 1]
    _grid(f'Consecutive chunks disagree by 0.05 rad, transport delay {ROUGH.name}', rows, 'jump')
    _seams(figures)
    _two_arms(figures)
    _endings(setting, figures)
    print('\nRows of the chunk further apart (our window, jazzy): peaks of the committed curve')
    for row in figures['rows']:
        print(f'  {row["row_ms"]:4.0f} ms  {row["curve_v"]:.3f} / {row["curve_a"]:.3f}')


def _grid(title: str, rows: list[dict[str, Any]], last: str) -> None:
    head = {'delay': 'plant trails', 'jump': 'velocity step'}[last]
    print(f'\n{title}')
    print(f'  {"":35s}' + ''.join(f'{name:>22s}' for name in SHOWN_RULES) + f'{head:>16s}')
    for key in dict.fromkeys(r['recipe'] for r in rows):
        mine = [r for r in rows if r['recipe'] == key]
        cells = ''.join(f'{_number(r["peak_v"]) + " / " + _number(r["peak_a"]):>22s}' for r in mine)
        promised = [r for r in mine if r['promised']]
        worst = max(r[last] for r in promised)
        end = f'{worst * 1e3:.0f} ms' if last == 'delay' else f'{worst:.1e}'
        print(f'  {_WORDS[key]:35s}{cells}{end:>16s}')


def _seams(figures: dict[str, Any]) -> None:
    rows = [r for r in figures['disagree'] if 'seam_v' in r and r['promised'] and r['recipe'] == 'window']
    if rows:
        print(
            f'  seams of the committed curve: chunks off by up to {max(r["seam_asked"] for r in rows):.3f} rad there, '
            f'step of velocity {max(r["seam_v"] for r in rows):.0e} rad/s, '
            f'of acceleration {max(r["seam_a"] for r in rows):.0e} rad/s2'
        )


def _two_arms(figures: dict[str, Any]) -> None:
    print(f'\nTwo arms that are to move alike, delays of their own ({ROUGH.name}): how far apart (rad)')
    print(f'  {"":35s}' + ''.join(f'{name:>22s}' for name in SHOWN_RULES))
    rows = [r for r in figures['follow'] if r['arms'] == 2]
    for key in dict.fromkeys(r['recipe'] for r in rows):
        cells = ''.join(f'{r["apart"]:22.1e}' for r in rows if r['recipe'] == key)
        print(f'  {_WORDS[key]:35s}{cells}')


def _endings(setting: Setting, figures: dict[str, Any]) -> None:
    tails = {
        'brake': 'window ends in a brake',
        'none': 'no tail, last velocity kept',
        'zero': 'no tail, last velocity 0',
    }
    print('\nThe publisher dies while moving: peaks, and rest after the end of the last future (s)')
    print(f'  {"":35s}' + ''.join(f'{name:>24s}' for name in RULES))
    for arms in (1, 2):
        for tail, words in tails.items():
            rows = [r for r in figures['stop'] if r['tail'] == tail and r['arms'] == arms]
            cells = ''.join(f'{_ending(r):>24s}' for r in rows)
            print(f'  {f"{words}, arms {arms}":35s}{cells}')
    print(
        f'\nThe publisher stalls for 0.5 s and comes back (a window holds {setting.future_ns / MS:.0f} ms): peaks'
    )
    print(f'  {"":35s}' + ''.join(f'{name:>24s}' for name in RULES))
    for resync, words in ((True, 'resumes from the brake'), (False, 'goes on with its old curve')):
        for arms in (1, 2):
            rows = [r for r in figures['resync'] if r['resync'] == resync and r['arms'] == arms]
            cells = ''.join(f'{_number(r["peak_v"]) + " / " + _number(r["peak_a"]):>24s}' for r in rows)
            print(f'  {f"{words}, arms {arms}":35s}{cells}')


def _ending(row: dict[str, Any]) -> str:
    if row['refused'] and row['peak_v'] == 0.0:
        return 'refused'
    return f'{_number(row["peak_v"])} / {_number(row["peak_a"])} / {row["stop_s"]:.3f}'


def _number(value: float) -> str:
    return f'{value:.2f}' if value < 100 else f'{value:.0f}'
