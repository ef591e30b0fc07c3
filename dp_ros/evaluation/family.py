# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""An ablation: models that share one experiment file but for a few keys, and the ways in which they are run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dp_ros.contract.strict_yaml import load_strict_yaml
from dp_ros.errors import ConfigError
from dp_ros.policy.config import ControlConfig, build, check_keys


@dataclass(frozen=True, kw_only=True)
class FamilyRow:
    """One way of running one model: a line of the table.

    Attributes:
        name: of the line.
        model: which of the family's models.
        step: run the model as it was after so many training steps; 0: as it is at the end.
        control: keys of ControlConfig that differ from the model's own.
        goal: kind of goal, see GoalChoice; empty for the first that the policy takes.
        phrasing: see RolloutSettings.
        disturb: move the object once in every episode.
    """

    name: str
    model: str
    step: int
    control: Mapping[str, Any]
    goal: str
    phrasing: str
    disturb: bool = False

    @property
    def costs_only(self) -> bool:
        """Whether it differs from its model's own way in what it costs alone: a point of a curve over evaluations."""
        told = bool(self.goal) or self.phrasing != 'known'
        return not (self.step or told or self.disturb) and set(self.control) <= {
            'mode',
            'evaluations',
            'execute',
        }

    def control_of(self, own: ControlConfig) -> ControlConfig:
        """The model's own control with this row's changes; illegal values are ConfigErrors."""
        return replace(own, **self.control)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Ways of running one model among which validation seeds choose; its own way is one of them.

    Attributes:
        model: which of the family's models.
        episodes: validation seeds of each task, from the first one on.
        control: keys of ControlConfig that differ from the model's own, one mapping a candidate.
    """

    model: str
    episodes: int
    control: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Family:
    """What config/families/NAME.yaml says.

    Attributes:
        task: a task or a suite of dp_ros.simulation.
        experiment: name of the file in config/experiments that the models share.
        collect: the command that makes its store, for people and for messages.
        episodes: test seeds of each task, from 0 on.
        models: name to what differs from the experiment, section by section.
        rows: in the order of the table; the others are compared with the first one, seed by seed.
        choose: what validation seeds decide before any row runs.
    """

    task: str
    experiment: str
    collect: str
    episodes: int
    models: Mapping[str, Mapping[str, Any]]
    rows: tuple[FamilyRow, ...]
    choose: tuple[Choice, ...] = ()

    @classmethod
    def from_yaml(cls, path: Path) -> 'Family':
        """Strictly from a file."""
        keys = ('task', 'experiment', 'collect', 'episodes', 'models', 'rows')
        data = check_keys(load_strict_yaml(path), {*keys, 'choose'}, str(path))
        missing = [key for key in keys if key not in data]
        if missing:
            raise ConfigError(f'{path}: missing keys {missing}')
        if not isinstance(data['models'], dict) or not isinstance(data['rows'], list) or not data['rows']:
            raise ConfigError(f'{path}: models must be a mapping and rows a list of at least one row')
        models = {name: changes or {} for name, changes in data['models'].items()}
        rows = tuple(_row(row, models, f'{path}: rows[{i}]') for i, row in enumerate(data['rows']))
        names = [row.name for row in rows]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f'{path}: rows must differ, these stand twice: {twice}')
        if not isinstance(data['episodes'], int) or data['episodes'] < 1:
            raise ConfigError(f'{path}: episodes must be an integer of at least 1, got {data["episodes"]!r}')
        choose = data.get('choose') or {}
        if not isinstance(choose, dict):
            raise ConfigError(f'{path}: choose must be a mapping of models, got {choose!r}')
        choices = tuple(_choice(name, c, models, f'{path}: choose.{name}') for name, c in choose.items())
        return cls(**{**data, 'models': models, 'rows': rows, 'choose': choices})

    def with_curve(self, steps: Sequence[int]) -> 'Family':
        """With a row for every model after so many training steps, where there is none yet."""
        names = {row.name for row in self.rows}
        more = [
            FamilyRow(
                name=f'{model}, step {step}', model=model, step=step, control={}, goal='', phrasing='known'
            )
            for model in self.models
            for step in steps
        ]
        return replace(self, rows=(*self.rows, *(row for row in more if row.name not in names)))

    def steps_of(self, model: str) -> list[int]:
        """Training steps after which rows want to see the model, ascending; 0, the end, is left out."""
        return sorted({row.step for row in self.rows if row.model == model and row.step})


def changed(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data with changes laid over it, mapping by mapping."""
    out = dict(data)
    for key, value in changes.items():
        old = out.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        out[key] = changed(old, value) if both else value  # type: ignore[arg-type]
    return out


def _row(data: Any, models: Mapping[str, Any], where: str) -> FamilyRow:
    row = check_keys(data, {'model', 'step', 'control', 'goal', 'phrasing', 'disturb'}, where)
    model = row.get('model')
    if model not in models:
        raise ConfigError(f'{where}.model: no model {model!r}; legal: {sorted(models)}')
    control = dict(row.get('control', {}))
    build(ControlConfig, control, f'{where}.control')
    disturb = row.get('disturb', False)
    if not isinstance(disturb, bool):
        raise ConfigError(f'{where}.disturb: expected bool, got {disturb!r}')
    step, goal, phrasing = row.get('step', 0), row.get('goal', ''), row.get('phrasing', 'known')
    parts = [str(model)]
    parts += [f'step {step}'] if step else []
    parts += [f'{key} {value}' for key, value in control.items()]
    parts += [f'goal {goal}'] if goal else []
    parts += [phrasing.replace('_', ' ') + ' words'] if phrasing != 'known' else []
    parts += ['disturbed'] if disturb else []
    return FamilyRow(
        name=', '.join(parts),
        model=str(model),
        step=step,
        control=control,
        goal=goal,
        phrasing=phrasing,
        disturb=disturb,
    )


def _choice(model: str, data: Any, models: Mapping[str, Any], where: str) -> Choice:
    if model not in models:
        raise ConfigError(f'{where}: no model {model!r}; legal: {sorted(models)}')
    choice = check_keys(data, {'episodes', 'control'}, where)
    episodes, control = choice.get('episodes'), choice.get('control')
    if not isinstance(episodes, int) or episodes < 1 or not isinstance(control, list) or not control:
        raise ConfigError(
            f'{where}: needs episodes (at least 1) and control, a list of at least one candidate'
        )
    for number, candidate in enumerate(control):
        build(ControlConfig, candidate, f'{where}.control[{number}]')
    return Choice(model=model, episodes=episodes, control=tuple(control))
