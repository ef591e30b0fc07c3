# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Fault files (config/faults/*.yaml): what goes wrong, when, and what has to follow from it."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dp_ros.contract.strict_yaml import load_strict_yaml
from dp_ros.errors import ConfigError
from dp_ros.share import share_path
from dp_ros.simulation.fault_content import CONTENT
from dp_ros.simulation.fault_stream import TRANSPORT, Changed, StreamFault

VERSION = 1
STREAMS = ('joints', 'images', 'chunks', 'clock')
# What is no stream: target to kind to its parameters with their defaults.
DEEDS: dict[str, dict[str, dict[str, Any]]] = {
    'robot': {'block': {'joint': 1}},
    'graph': {'second_commander': {}, 'second_policy': {}},
    'operator': {'estop': {}, 'deadman': {'mode': 'released'}},
    'policy': {'kill': {}, 'stop': {}, 'slow': {'every': 3}, 'silent': {}, 'beside': {'by': 0.5, 'joint': 1}},
    'action': {'kill': {}, 'stop': {}, 'terminate': {}},
    'machine': {'load': {'processes': 2}},
}
PHASES = ('run', 'engage')
PACES = ('lockstep', 'real')
POLICIES = ('scripted', 'real')
RECOVERIES = ('goes on', 'engage', 'clear_fault then engage', 'refused')


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What has to follow from a fault.

    Attributes:
        state: regular expression that the last state of the fault's time must match.
        counter: '<node>/<key>' of /diagnostics that must rise; empty where none belongs to the fault.
        recovery: 'goes on' never leaves RUN; 'engage' starts again; 'clear_fault then engage' is latched: engage is
            refused before; 'refused' says that the engagement itself is refused while the fault lasts.
        rejects: the controllers themselves may refuse windows, as where their clock differs.
        slack_s: how much longer a stop may take than limits and reaction allow, where the controllers' clock differs.
    """

    state: str
    counter: str
    recovery: str
    rejects: bool = False
    slack_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class FaultSpec:
    """One fault file; see the fields' legal values above and config/faults for examples.

    Attributes:
        phase: 'run' injects while the arms move, 'engage' before the engagement.
        after_s, for_s: time of the injection after RUN began, and how long it lasts, simulated seconds.
        pace: 'lockstep' as fast as the nodes answer; 'real' at wall-clock speed, where processes stand still.
        policy: the scripted one of fault_node, or a real policy_node whose chunks are passed on.
        action_node: parameters of action_node that differ from the others' run.
    """

    name: str
    description: str
    target: str
    kind: str
    expect: Expectation
    parameters: Mapping[str, Any] = field(default_factory=dict)
    phase: str = 'run'
    after_s: float = 0.6
    for_s: float = 0.8
    pace: str = 'lockstep'
    policy: str = 'scripted'
    action_node: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_yaml(cls, path: Path) -> 'FaultSpec':
        """Read one file; its name is the fault's.

        Raises:
            ConfigError: names file and key, and what would be legal.
        """
        spec = cls.from_dict(load_strict_yaml(path), str(path))
        if spec.name != Path(path).stem:
            raise ConfigError(f'{path}: the fault is named {spec.name!r}; file and fault share one name')
        return spec

    @classmethod
    def from_dict(cls, data: Any, where: str = 'fault') -> 'FaultSpec':
        """Build a fault from plain data, checked key by key; ConfigError as above."""
        required = {'dp_fault', 'name', 'description', 'target', 'kind', 'expect'}
        optional = {'parameters', 'phase', 'after_s', 'for_s', 'pace', 'policy', 'action_node'}
        keys = _mapping(data, where, required, optional)
        _one_of(keys.pop('dp_fault'), (VERSION,), f'{where}.dp_fault')
        expect = _mapping(
            keys.pop('expect'), f'{where}.expect', {'state', 'counter', 'recovery'}, {'rejects', 'slack_s'}
        )
        _one_of(expect['recovery'], RECOVERIES, f'{where}.expect.recovery')
        expect['counter'] = expect['counter'] or ''
        for key in ('state', 'counter'):
            _text(expect[key], f'{where}.expect.{key}')
        try:
            re.compile(expect['state'])
        except re.error as error:
            raise ConfigError(f'{where}.expect.state: no regular expression: {error}') from error
        for key in ('name', 'description'):
            _text(keys[key], f'{where}.{key}')
        _one_of(keys['target'], (*STREAMS, *DEEDS), f'{where}.target')
        for key, legal in (('phase', PHASES), ('pace', PACES), ('policy', POLICIES)):
            _one_of(keys.get(key, legal[0]), legal, f'{where}.{key}')
        for key in ('after_s', 'for_s'):
            number = keys.get(key, 0.0)
            if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 60:
                raise ConfigError(f'{where}.{key}: expected seconds from 0 to 60, got {number!r}')
        for key in ('parameters', 'action_node'):
            if not isinstance(keys.get(key, {}), dict):
                raise ConfigError(f'{where}.{key}: expected a mapping, got {keys[key]!r}')
        spec = cls(expect=Expectation(**expect), **keys)
        spec._check(where)
        return spec

    @property
    def stops(self) -> bool:
        """The arms have to come to rest."""
        return self.expect.recovery != 'goes on'

    def stream_fault(self) -> StreamFault:
        """A fresh fault for the layer of the stream; for targets that are streams."""
        given = dict(self.parameters)
        if self.kind in TRANSPORT:
            made: StreamFault = TRANSPORT[self.kind](**given)
            return made
        first = given.pop('first', 0)
        return Changed(CONTENT[self.kind](**given), first)

    def deed(self) -> dict[str, Any]:
        """Parameters of a fault that is no stream's, defaults included."""
        return {**DEEDS[self.target][self.kind], **self.parameters}

    def _check(self, where: str) -> None:
        """Kind and parameters fit the target."""
        streams = self.target in STREAMS
        legal = {*TRANSPORT, *CONTENT} if streams else set(DEEDS[self.target])
        _one_of(self.kind, tuple(sorted(legal)), f'{where}.kind')
        if streams:
            maker: Any = TRANSPORT.get(self.kind) or CONTENT[self.kind]
            known = set(inspect.signature(maker).parameters) | ({'first'} if self.kind in CONTENT else set())
        else:
            known = set(DEEDS[self.target][self.kind])
        unknown = sorted(set(self.parameters) - known)
        if unknown:
            raise ConfigError(
                f'{where}.parameters: unknown {unknown}; legal for {self.kind}: {sorted(known)}'
            )
        if streams:
            try:
                self.stream_fault()
            except TypeError as error:
                raise ConfigError(f'{where}.parameters: {error}') from error
        if self.target == 'images' and self.policy != 'real':
            raise ConfigError(
                f'{where}.policy: faults of images need the real policy; nobody else looks at them'
            )


def load_faults(folder: Path | None = None, only: list[str] | None = None) -> list[FaultSpec]:
    """All fault files of a folder (default: the shipped ones), or those named, in the order of their names.

    Raises:
        ConfigError: a file is wrong, or no file has a name.
    """
    folder = folder or share_path('config', 'faults')
    specs = [FaultSpec.from_yaml(path) for path in sorted(Path(folder).glob('*.yaml'))]
    unknown = sorted(set(only or ()) - {spec.name for spec in specs})
    if unknown or not specs:
        raise ConfigError(f'{folder}: no faults {unknown}; legal: {[spec.name for spec in specs]}')
    return [spec for spec in specs if not only or spec.name in only]


def _mapping(data: Any, where: str, required: set[str], optional: set[str]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ConfigError(f'{where}: expected a mapping, got {data!r}')
    legal = required | optional
    missing, unknown = sorted(required - set(data)), sorted(map(str, set(data) - legal))
    if missing or unknown:
        raise ConfigError(f'{where}: missing keys {missing}, unknown keys {unknown}; legal: {sorted(legal)}')
    return dict(data)


def _one_of(given: Any, legal: tuple[Any, ...], where: str) -> None:
    if given not in legal or isinstance(given, bool):
        raise ConfigError(f'{where}: must be one of {list(legal)}, got {given!r}')


def _text(given: Any, where: str) -> None:
    if not isinstance(given, str):
        raise ConfigError(f'{where}: expected a text, got {given!r}')
