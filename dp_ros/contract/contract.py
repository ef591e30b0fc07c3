# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The contract: everything that recording, training, live running and replay must agree on."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dp_ros.contract.camera import Camera
from dp_ros.contract.embodiment import Arm, Embodiment, Joint
from dp_ros.contract.timing import Timing
from dp_ros.contract.vector import Vector
from dp_ros.errors import ContractError

VERSION = 1
# What may tell a policy what to do: a text, or a picture of the end, by the contract's first camera.
GOAL_KINDS = ('instruction', 'image')
# Keys that a contract without them does not have, so that its hash stays what it was.
_ADDED_LATER = {'goals', 'vectors'}


@dataclass(frozen=True, kw_only=True)
class Contract:
    """Fields of the observation and the action, with names, units, shapes and timing.

    The proprioception is the position of every joint of the embodiment, shape (To, S); the action is the
    commanded position of every joint, shape (Tp, A); S = A = number of joints, in the embodiment's order.

    Attributes:
        name: a name for people; part of the hash.
        embodiment: the arms.
        cameras: the cameras, in the order in which their tokens stand.
        timing: horizons and period.
        goals: what may tell the policy what to do, of GOAL_KINDS; none for a policy of one task.
        vectors: further measured vectors, in the order in which their tokens stand.
    """

    name: str
    embodiment: Embodiment
    cameras: tuple[Camera, ...]
    timing: Timing
    goals: tuple[str, ...] = ()
    vectors: tuple[Vector, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, 'cameras', tuple(self.cameras))
        object.__setattr__(self, 'vectors', tuple(self.vectors))
        for what, names in (
            ('camera names', [c.name for c in self.cameras]),
            # Streams and their ages go by these names.
            (
                'names of vectors',
                ['joints', *(c.name for c in self.cameras), *(v.name for v in self.vectors)],
            ),
        ):
            if len(set(names)) != len(names) and (what == 'camera names' or self.vectors):
                raise ContractError(f'contract {self.name!r}: {what} must be unique, got {names}')
        object.__setattr__(self, 'goals', tuple(self.goals))
        illegal = [goal for goal in self.goals if goal not in GOAL_KINDS]
        if illegal or len(set(self.goals)) != len(self.goals):
            raise ContractError(
                f'contract {self.name!r}: goals must be of {GOAL_KINDS}, each at most once, got {self.goals}'
            )
        if 'image' in self.goals and not self.cameras:
            raise ContractError(f"contract {self.name!r}: the goal 'image' needs a camera")

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Joint names in the order of proprioception and action."""
        return self.embodiment.joint_names

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON or YAML. What later versions added is left out where it is not used."""
        data = json.loads(json.dumps(dataclasses.asdict(self)))
        return {'dp_contract': VERSION, **{k: v for k, v in data.items() if v or k not in _ADDED_LATER}}

    def to_json(self) -> str:
        """Human-readable JSON that :meth:`from_json` reads back to an equal contract."""
        return json.dumps(self.to_dict(), indent=2) + '\n'

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the canonical form; chunks, stores and checkpoints carry it."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(',', ':'))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @classmethod
    def from_dict(cls, data: Any, where: str = 'contract') -> 'Contract':
        """Build a contract from plain data; unknown and missing keys are errors that name the key path."""
        if not isinstance(data, dict):
            raise ContractError(f'{where}: expected a mapping, got {type(data).__name__}')
        data = dict(data)
        version = data.pop('dp_contract', None)
        if version != VERSION:
            raise ContractError(f'{where}: dp_contract must be {VERSION}, got {version!r}')
        keys = _checked(data, {'name', 'embodiment', 'cameras', 'timing'}, _ADDED_LATER, where)
        arms = []
        body = _checked(keys['embodiment'], {'arms'}, set(), f'{where}.embodiment')
        for i, arm in enumerate(_list(body['arms'], f'{where}.embodiment.arms')):
            path = f'{where}.embodiment.arms[{i}]'
            arm = _checked(arm, {'name', 'joints'}, {'gripper'}, path)
            joints = [
                _joint(j, f'{path}.joints[{k}]') for k, j in enumerate(_list(arm['joints'], f'{path}.joints'))
            ]
            gripper = arm.get('gripper')
            arms.append(
                Arm(
                    name=arm['name'],
                    joints=tuple(joints),
                    gripper=None if gripper is None else _joint(gripper, f'{path}.gripper'),
                )
            )
        cameras = []
        for i, camera in enumerate(_list(keys['cameras'], f'{where}.cameras')):
            path = f'{where}.cameras[{i}]'
            camera = _checked(camera, {'name', 'source_size', 'crop', 'size'}, set(), path)
            for key in ('source_size', 'crop', 'size'):
                camera[key] = tuple(_list(camera[key], f'{path}.{key}'))
            cameras.append(Camera(**camera))
        vectors = []
        for i, vector in enumerate(_list(keys.get('vectors', []), f'{where}.vectors')):
            vectors.append(Vector(**_checked(vector, {'name', 'dim'}, set(), f'{where}.vectors[{i}]')))
        timing = _checked(
            keys['timing'],
            {'obs_horizon', 'pred_horizon', 'action_horizon', 'period_ns'},
            set(),
            f'{where}.timing',
        )
        return cls(
            name=keys['name'],
            embodiment=Embodiment(arms=tuple(arms)),
            cameras=tuple(cameras),
            timing=Timing(**timing),
            goals=tuple(_list(keys.get('goals', []), f'{where}.goals')),
            vectors=tuple(vectors),
        )

    @classmethod
    def from_json(cls, path: Path) -> 'Contract':
        """Read a contract from a JSON file."""
        try:
            data = json.loads(Path(path).read_text())
        except OSError as error:
            raise ContractError(f'{path}: cannot read the contract: {error.strerror}') from error
        except ValueError as error:
            raise ContractError(f'{path}: not valid JSON: {error}') from error
        return cls.from_dict(data, where=str(path))

    def example(self, seed: int = 0) -> dict[str, Any]:
        """A legal, meaningless observation: ``proprio`` (To, S), ``images`` {name: (To, H, W, 3)} and
        ``vectors`` {name: (To, dim)}."""
        rng = np.random.default_rng(seed)
        steps = self.timing.obs_horizon
        return {
            'proprio': rng.normal(0.0, 0.3, (steps, len(self.joint_names))).astype(np.float32),
            'images': {
                c.name: rng.integers(0, 256, (steps, *c.size, 3), dtype=np.uint8) for c in self.cameras
            },
            'vectors': {v.name: rng.normal(size=(steps, v.dim)).astype(np.float32) for v in self.vectors},
        }


def _checked(data: Any, required: set[str], optional: set[str], where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ContractError(f'{where}: expected a mapping, got {type(data).__name__}')
    missing, unknown = sorted(required - set(data)), sorted(set(data) - required - optional)
    if missing or unknown:
        raise ContractError(
            f'{where}: missing keys {missing}, unknown keys {unknown}; legal: {sorted(required | optional)}'
        )
    return dict(data)


def _list(data: Any, where: str) -> list[Any]:
    if not isinstance(data, list | tuple):
        raise ContractError(f'{where}: expected a list, got {type(data).__name__}')
    return list(data)


def _joint(data: Any, where: str) -> Joint:
    return Joint(**_checked(data, {'name'}, {'unit'}, where))
