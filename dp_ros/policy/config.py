# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a checkpoint records beside its contract: network sizes, noise levels, and how to run it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dp_ros.errors import ConfigError
from dp_ros.model.network import NetworkConfig

MODES = ('streaming', 'chunk', 'truncated')
BUFFER_STARTS = ('hold', 'denoise', 'noise')
SCHEDULE_NAMES = ('exponential', 'karras')
SAMPLER_NAMES = ('ddim', 'euler', 'heun', 'dpmpp_2m')
T = TypeVar('T')


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig:
    """What is noised, and how far; data are standardised, so sigma_data is 1.

    Attributes:
        sigma_min, sigma_max: the noise range.
        relative_actions: action tokens hold how far the arms' joints are to go from the newest measured pose, instead
            of where to; grippers stay absolute. Finer where motions are short beside the workspace, and what was
            learned at one place holds at another. Chunks are absolute either way.
    """

    sigma_min: float = 0.02
    sigma_max: float = 5.0
    relative_actions: bool = False


@dataclass(frozen=True, kw_only=True)
class ControlConfig:
    """How the policy turns observations into chunks unless the caller says otherwise.

    Attributes:
        mode: 'streaming' (rolling buffer), 'chunk' (a fresh chunk from noise each time) or 'truncated' (each tick
            noises what is left of the last chunk and denoises it anew).
        evaluations: network evaluations per tick (streaming) or per chunk.
        buffer_start: how an epoch's buffer starts: 'hold' the measured pose, a full 'denoise', or pure 'noise'
            (measured to fail; kept for comparison).
        sampler: sampler of a full denoise.
        schedule: its noise levels: 'exponential' or 'karras' (levels.py).
        sigma_min, sigma_max: its last noise level before 0 and its first one, within the range of training; 0 takes
            that range's end.
        execute: actions executed of each chunk before the next; 0 means the contract's action horizon.
        restart_sigma: truncated: noise on what is left of the last chunk, in standardised units. Less keeps to the plan
            more, more follows the observation more.
        guidance: lambda of classifier-free guidance: 1 follows the goal at the cost of one branch, 0 ignores it at the
            same cost, anything else computes both; only for policies trained with goal dropout.
        goal_free: without a goal the policy runs unconditionally instead of waiting for one.
    """

    mode: str = 'streaming'
    evaluations: int = 1
    buffer_start: str = 'hold'
    sampler: str = 'ddim'
    schedule: str = 'exponential'
    sigma_min: float = 0.0
    sigma_max: float = 0.0
    execute: int = 0
    restart_sigma: float = 1.0
    guidance: float = 1.0
    goal_free: bool = False

    def __post_init__(self) -> None:
        for key, legal in (
            ('mode', MODES),
            ('buffer_start', BUFFER_STARTS),
            ('sampler', SAMPLER_NAMES),
            ('schedule', SCHEDULE_NAMES),
        ):
            if getattr(self, key) not in legal:
                raise ConfigError(f'control.{key} must be one of {legal}, got {getattr(self, key)!r}')
        if self.evaluations < 1 or self.execute < 0:
            raise ConfigError(
                f'control.evaluations must be at least 1 and control.execute at least 0, got {self}'
            )
        for key in ('sigma_min', 'sigma_max'):
            if not 0.0 <= getattr(self, key) < float('inf'):
                raise ConfigError(f'control.{key} must be finite and at least 0, got {getattr(self, key)}')
        if not 0.0 < self.restart_sigma < float('inf'):
            raise ConfigError(f'control.restart_sigma must be finite and above 0, got {self.restart_sigma}')
        if not 0.0 <= self.guidance < float('inf'):
            raise ConfigError(f'control.guidance must be finite and at least 0, got {self.guidance}')

    @property
    def text(self) -> str:
        """Mode, evaluations, and what a tick starts from."""
        start = {
            'streaming': f'start from {self.buffer_start}',
            'chunk': 'start from noise',
            'truncated': f'from the last chunk with noise of {self.restart_sigma:g}',
        }[self.mode]
        return f'{self.mode}, {self.evaluations} evaluation(s), {start}'

    def evaluations_per_action(self, action_horizon: int) -> float:
        """Network evaluations for each executed action of a policy with this Ta; the start of an epoch is not counted.

        Heun's method evaluates twice a step but for the last one; guidance other than 0 and 1 evaluates two branches.
        """
        heun = self.mode != 'streaming' and self.sampler == 'heun'
        calls = 2 * self.evaluations - 1 if heun else self.evaluations
        branches = 1 if self.guidance in (0.0, 1.0) else 2
        return calls * branches / (self.execute or action_horizon)


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """The resolved configuration of a policy.

    Attributes:
        network, diffusion, control: see the classes.
        null_goal: trained with goal dropout, so that the learned null goal means something.
        provenance: free-form and only for people.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    control: ControlConfig = field(default_factory=ControlConfig)
    null_goal: bool = False
    provenance: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: object, where: str = 'config') -> 'PolicyConfig':
        """Strictly from plain data."""
        keys = check_keys(data, {'network', 'diffusion', 'control', 'null_goal', 'provenance'}, where)
        network = keys.get('network', {})
        if isinstance(network, Mapping) and network.get('goal_dim') == 0:
            # Written by every version before goals had encoders, and never anything else than 0.
            network = {key: value for key, value in network.items() if key != 'goal_dim'}
        return cls(
            network=build(NetworkConfig, network, f'{where}.network'),
            diffusion=build(DiffusionConfig, keys.get('diffusion', {}), f'{where}.diffusion'),
            control=build(ControlConfig, keys.get('control', {}), f'{where}.control'),
            null_goal=_flag(keys.get('null_goal', False), f'{where}.null_goal'),
            provenance=dict(keys.get('provenance', {})),
        )


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f'{where}: expected bool, got {value!r}')
    return value


def check_keys(data: object, legal: set[str], where: str) -> dict[str, Any]:
    """A copy of a mapping after refusing keys that are not legal."""
    if not isinstance(data, Mapping):
        raise ConfigError(f'{where}: expected a mapping, got {type(data).__name__}')
    unknown = sorted(set(data) - legal)
    if unknown:
        raise ConfigError(f'{where}: unknown keys {unknown}; legal: {sorted(legal)}')
    return dict(data)


def build(cls: type[T], data: object, where: str) -> T:
    """A flat dataclass from a mapping, with exact types (an int may stand for a float) and no unknown keys."""
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values = check_keys(data, set(fields), where)
    for name, value in values.items():
        wanted = fields[name].type
        wanted = {'int': int, 'float': float, 'str': str, 'bool': bool}.get(str(wanted), wanted)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            values[name] = float(value)
        elif isinstance(wanted, type) and (
            not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool)
        ):
            raise ConfigError(f'{where}.{name}: expected {wanted.__name__}, got {value!r}')
    missing = [
        name
        for name, f in fields.items()
        if name not in values
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f'{where}: missing keys {missing}')
    return cls(**values)
