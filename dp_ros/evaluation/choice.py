# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""How a policy is run, chosen on validation seeds and stored in its checkpoint: test seeds then see one way alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dp_ros.evaluation.rollout import RolloutSettings, rollout, summary
from dp_ros.policy.checkpoint import load_checkpoint, replace_config
from dp_ros.policy.config import ControlConfig, PolicyConfig, build
from dp_ros.simulation.seeds import SPLITS

KEY = 'control_choice'
"""Where a checkpoint's provenance says what was chosen among."""


@dataclass(frozen=True)
class Candidate:
    """One way of running, and what came of it.

    Attributes:
        changes: keys of ControlConfig that differ from the control of training's experiment.
        control: with these changes.
        per_action: network evaluations an executed action.
        rate: success; of a suite the average over its tasks.
        interval: of all episodes.
    """

    changes: Mapping[str, Any]
    control: ControlConfig
    per_action: float
    rate: float
    interval: tuple[float, float]


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The largest success; of equal ones the cheapest, and of those the first."""
    return min(candidates, key=lambda candidate: (-candidate.rate, candidate.per_action))


def choose_control(
    checkpoint: Path,
    task: str,
    episodes: int,
    changes: Sequence[Mapping[str, Any]],
    processes: int = 1,
    tell: Callable[[str], None] = lambda text: None,
) -> ControlConfig:
    """Roll out each candidate on the same validation seeds, and store the best one in the checkpoint.

    The control of training's experiment is always a candidate, the first. Asked again for the same, nothing is run.

    Args:
        checkpoint: directory; only its control and provenance change.
        task: a task or a suite.
        episodes: of each task, from the first validation seed on.
        changes: one mapping a candidate.
        processes: simulators side by side.
        tell: is told what came of each.

    Raises:
        ConfigError: a candidate is illegal for this policy.
        CheckpointError: the checkpoint cannot be read or written.
    """
    policy = load_checkpoint(checkpoint)
    config, timing = policy.config, policy.contract.timing
    seeds = SPLITS['validation'][:episodes]
    ways: list[Mapping[str, Any]] = [{}, *changes]
    asked = {'task': task, 'seeds': [seeds.start, seeds.stop], 'candidates': [dict(way) for way in ways]}
    done = config.provenance.get(KEY, {})
    if {key: done.get(key) for key in asked} == asked:
        return config.control
    own = _own_control(config)
    candidates = []
    for way in ways:
        control = replace(own, **way)
        settings = RolloutSettings(checkpoint=checkpoint, task=task, control=control)
        figures = summary(settings, list(rollout(settings, seeds, processes)))
        rate = float(figures.get('average_success_rate', figures['success_rate']))
        low, high = figures['success_interval']
        per_action = control.evaluations_per_action(timing.action_horizon)
        candidates.append(Candidate(way, control, per_action, rate, (low, high)))
        tell(f'validation, {_words(way)}: {rate:.3f} [{low:.3f}, {high:.3f}]')
    chosen = best(candidates)
    found = [
        {'rate': c.rate, 'interval': list(c.interval), 'evaluations_per_action': c.per_action}
        for c in candidates
    ]
    choice = {**asked, 'found': found, 'chosen': dict(chosen.changes)}
    provenance = {**config.provenance, KEY: choice}
    replace_config(checkpoint, replace(config, control=chosen.control, provenance=provenance))
    tell(f'validation chose {_words(chosen.changes)}')
    return chosen.control


def _own_control(config: PolicyConfig) -> ControlConfig:
    """As training left it, whatever was chosen before."""
    experiment = config.provenance.get('experiment')
    if KEY not in config.provenance or not isinstance(experiment, Mapping):
        return config.control
    return build(ControlConfig, experiment['control'], 'provenance.experiment.control')


def _words(changes: Mapping[str, Any]) -> str:
    return ', '.join(f'{key} {value}' for key, value in changes.items()) or "the experiment's own control"
