# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""An ablation: models that share one experiment file but for a few keys, and the ways in which they are run."""

from collections.abc import Mapping
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
    """

    name: str
    model: str
    step: int
    control: Mapping[str, Any]
    goal: str
    phrasing: str

    def control_of(self, own: ControlConfig) -> ControlConfig:
        """The model's own control with this row's changes; illegal values are ConfigErrors."""
        return replace(own, **self.control)


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
    """

    task: str
    experiment: str
    collect: str
    episodes: int
    models: Mapping[str, Mapping[str, Any]]
    rows: tuple[FamilyRow, ...]

    @classmethod
    def from_yaml(cls, path: Path) -> 'Family':
        """Strictly from a file."""
        keys = ('task', 'experiment', 'collect', 'episodes', 'models', 'rows')
        data = check_keys(load_strict_yaml(path), set(keys), str(path))
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
        return cls(**{**data, 'models': models, 'rows': rows})

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
    row = check_keys(data, {'model', 'step', 'control', 'goal', 'phrasing'}, where)
    model = row.get('model')
    if model not in models:
        raise ConfigError(f'{where}.model: no model {model!r}; legal: {sorted(models)}')
    control = dict(row.get('control', {}))
    build(ControlConfig, control, f'{where}.control')
    step, goal, phrasing = row.get('step', 0), row.get('goal', ''), row.get('phrasing', 'known')
    parts = [str(model)]
    parts += [f'step {step}'] if step else []
    parts += [f'{key} {value}' for key, value in control.items()]
    parts += [f'goal {goal}'] if goal else []
    parts += [phrasing.replace('_', ' ') + ' words'] if phrasing != 'known' else []
    return FamilyRow(
        name=', '.join(parts), model=str(model), step=step, control=control, goal=goal, phrasing=phrasing
    )
