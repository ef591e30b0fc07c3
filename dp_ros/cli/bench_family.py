# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``dp_ros bench family``: the ablation set of a benchmark, trained or loaded, rolled out, in one table, on one page.

Whatever is there already (a checkpoint, a choice, the episodes of a row) is not made again, so that the same command
goes on after a stop. Test seeds are those from 0 on; what is chosen is chosen on validation seeds, before them.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from dp_ros.cli.train import train_checkpoint
from dp_ros.contract.strict_yaml import load_strict_yaml
from dp_ros.errors import ConfigError
from dp_ros.evaluation.choice import KEY, choose_control
from dp_ros.evaluation.disturbance import Disturbance
from dp_ros.evaluation.family import Family, FamilyRow, changed
from dp_ros.evaluation.family_page import RowResult, markdown, page, plots
from dp_ros.evaluation.family_plot import svg, write_png
from dp_ros.evaluation.goals import GoalChoice
from dp_ros.evaluation.rollout import RolloutSettings, measurement, rollout, summary
from dp_ros.model.accounting import active_parameters, total_parameters
from dp_ros.policy.card import add_measurement
from dp_ros.policy.checkpoint import load_checkpoint
from dp_ros.share import share_path
from dp_ros.training.experiment import Experiment
from dp_ros.whole_file import whole_file, write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--suite', required=True, help='name of a file in config/families, or its path')
    parser.add_argument('--models', nargs='+', help='only these models, and their rows (default: all)')
    parser.add_argument('--episodes', type=int, help="test seeds of each task (default: the suite's)")
    parser.add_argument('--steps', type=int, help="training steps (default: the experiment's)")
    parser.add_argument(
        '--curve',
        type=int,
        nargs='+',
        default=[],
        metavar='STEP',
        help='also run every model as it was after so many training steps',
    )
    parser.add_argument('--store', help="episode store, in place of the experiment's")
    parser.add_argument('--runs', type=Path, help='checkpoints and snapshots (default: runs/family/SUITE)')
    parser.add_argument('--out', type=Path, help='page, table, figures, plots (default: out/family/SUITE)')
    parser.add_argument('--processes', type=int, default=1, help='simulators side by side')
    parser.add_argument('--threads', type=int, help="CPU threads of training (default: PyTorch's own choice)")
    parser.add_argument('--device', default='cpu', help='of training')
    parser.add_argument('--train-only', action='store_true', help='train the models; no episodes')
    parser.add_argument('--json', type=Path, help='also write all figures here')


def run(args: argparse.Namespace) -> int:
    """Train what is missing, roll out what is missing, write the table."""
    for name in ('episodes', 'steps', 'processes', 'threads'):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ConfigError(f'--{name} must be at least 1, got {value}')
    path = family_path(args.suite)
    if any(step < 1 for step in args.curve):
        raise ConfigError(f'--curve: steps must be at least 1, got {args.curve}')
    family = Family.from_yaml(path).with_curve(args.curve)
    unknown = sorted(set(args.models or ()) - set(family.models))
    if unknown:
        raise ConfigError(f'{path}: no models {unknown}; legal: {sorted(family.models)}')
    wanted = [name for name in family.models if not args.models or name in args.models]
    runs = args.runs or Path('runs') / 'family' / path.stem
    out = args.out or Path('out') / 'family' / path.stem
    if args.threads:
        torch.set_num_threads(args.threads)
    for model in wanted:
        _train(family, model, runs, args)
    if args.train_only:
        return 0
    for choice in family.choose:
        if choice.model in wanted:
            place = _checkpoint(runs, choice.model, 0)
            choose_control(place, family.task, choice.episodes, choice.control, args.processes, _tell)
    rows = [_row(family, row, runs, out, args) for row in family.rows if row.model in wanted]
    figures = json.dumps({row.name: row.figures for row in rows}, indent=1) + '\n'
    written = {
        'table.md': markdown(rows),
        'figures.json': figures,
        'page.html': page(f'{path.stem}: the family', _about(family, args), rows),
        **{f'{plot.name}.svg': svg(plot) + '\n' for plot in plots(rows)},
    }
    for name, content in written.items():
        with whole_file(out / name, name) as beside:
            beside.write_text(content)
    write_png(out / 'plots.png', plots(rows))
    if args.json:
        with whole_file(args.json, 'the figures') as beside:
            beside.write_text(figures)
    print(written['table.md'])
    return 0


def _about(family: Family, args: argparse.Namespace) -> str:
    episodes = args.episodes or family.episodes
    return (
        f'{family.task}, test seeds 0 to {episodes - 1} of each task; models are config/experiments/'
        f'{family.experiment}.yaml with a few changed keys.'
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def family_path(suite: str) -> Path:
    """The file of a suite; ConfigError with the legal names."""
    folder = share_path('config', 'families')
    for path in (Path(suite), folder / f'{suite}.yaml'):
        if path.is_file():
            return path
    raise ConfigError(
        f'no suite {suite!r}; legal: {sorted(p.stem for p in folder.glob("*.yaml"))}, or a file'
    )


def experiment_of(
    family: Family, model: str, store: str | None = None, steps: int | None = None
) -> Experiment:
    """The experiment of one model: the file that all share, with the model's changes."""
    path = share_path('config', 'experiments', f'{family.experiment}.yaml')
    data = changed(load_strict_yaml(path), family.models[model])
    data['name'] = f'{family.experiment}_{model}'
    experiment = Experiment.from_dict(data, where=f'{path} with the changes of model {model!r}')
    if store is not None:
        experiment = replace(experiment, store=store)
    if steps is not None:
        experiment = replace(experiment, training=replace(experiment.training, steps=steps))
    if not (Path(experiment.store) / 'store.json').is_file():
        raise ConfigError(f'no episode store {experiment.store}; make it by: {family.collect}')
    return experiment


def _checkpoint(runs: Path, model: str, step: int) -> Path:
    return runs / model / (f'checkpoint_{step}' if step else 'checkpoint')


def _train(family: Family, model: str, runs: Path, args: argparse.Namespace) -> None:
    missing = [s for s in (*family.steps_of(model), 0) if not _checkpoint(runs, model, s).is_dir()]
    if not missing:
        return
    experiment = experiment_of(family, model, args.store, args.steps)
    late = [step for step in missing if step >= experiment.training.steps]
    if late:
        raise ConfigError(
            f'model {model!r} ends after {experiment.training.steps} steps; rows ask for {late}'
        )
    for step in missing:
        place = _checkpoint(runs, model, step)
        minutes = train_checkpoint(experiment, runs / model, place, args.device, step or None)
        _tell(f'{place}: written after {minutes or 0.0:.1f} minutes')


def _row(family: Family, row: FamilyRow, runs: Path, out: Path, args: argparse.Namespace) -> RowResult:
    checkpoint = _checkpoint(runs, row.model, row.step)
    policy = load_checkpoint(checkpoint)
    control = row.control_of(policy.config.control)
    episodes = args.episodes or family.episodes
    place = out / 'rows' / f'{row.name.replace(", ", "__").replace(" ", "_")}_n{episodes}.json'
    settings = RolloutSettings(
        checkpoint=checkpoint,
        task=family.task,
        control=control,
        goal=GoalChoice(row.goal or None),
        phrasing=row.phrasing,
        disturbance=Disturbance() if row.disturb else None,
    )
    if not place.is_file() or _figures(place)['settings'].get('control') != asdict(control):
        done = list(rollout(settings, range(episodes), args.processes))
        write_json(place, 'the figures of a row', summary(settings, done))
        _tell(f'{row.name}: {sum(e.success for e in done)}/{len(done)}')
    figures = _figures(place)
    measured = measurement(settings, figures, policy)
    add_measurement(checkpoint, measured)
    provenance = policy.config.provenance
    return RowResult(
        name=row.name,
        model=row.model,
        figures=figures,
        evaluations=round(measured.per_action * (control.execute or policy.contract.timing.action_horizon)),
        per_action=measured.per_action,
        step=row.step or int(provenance['experiment']['training']['steps']),
        loss=dict(provenance.get('validation', {})),
        parameters={
            'total': total_parameters(policy.network),
            'active': active_parameters(policy.network),
        },
        in_curve=row.costs_only,
        choice=provenance.get(KEY, {}),
    )


def _figures(place: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(place.read_text())
    return figures
