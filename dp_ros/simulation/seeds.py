# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Which seeds are for what: an episode follows from its seed, so splits that never meet are a matter of seeds."""

from collections.abc import Sequence

from dp_ros.errors import ConfigError

SPLITS = {
    'test': range(0, 1_000),
    'validation': range(10_000, 100_000),
    'training': range(100_000, 2**31),
}


def split_of(seed: int) -> str:
    """'test', 'validation' or 'training'; :class:`ConfigError` for a seed that belongs to none."""
    for name, seeds in SPLITS.items():
        if seed in seeds:
            return name
    raise ConfigError(f'seed {seed} belongs to no split; {_legal(tuple(SPLITS))}')


def require_split(seeds: Sequence[int], splits: tuple[str, ...], what: str) -> str:
    """The one split, of those that are legal here, that all seeds belong to.

    Raises:
        ConfigError: they belong to another one, to several, or to none; says which seeds are legal.
    """
    found = {split_of(seed) for seed in (seeds[0], seeds[-1])}
    if len(found) != 1 or not found <= set(splits):
        raise ConfigError(
            f'{what}: seeds {seeds[0]} to {seeds[-1]} are for {" and ".join(sorted(found))}; {_legal(splits)}'
        )
    return found.pop()


def _legal(splits: tuple[str, ...]) -> str:
    return 'legal: ' + ', '.join(f'{SPLITS[s].start} to {SPLITS[s].stop - 1} ({s})' for s in splits)
