# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Names of Meta-World's tasks, and what a person would say to have them done. Knows no simulator."""

from functools import cache

from dp_ros.contract.strict_yaml import load_strict_yaml
from dp_ros.share import share_path

MT10 = (
    'reach-v3',
    'push-v3',
    'pick-place-v3',
    'door-open-v3',
    'drawer-open-v3',
    'drawer-close-v3',
    'button-press-topdown-v3',
    'peg-insert-side-v3',
    'window-open-v3',
    'window-close-v3',
)
# So many paraphrases, the last ones of each task, are in no demonstration.
HELD_OUT = 2


@cache
def paraphrases() -> dict[str, tuple[str, ...]]:
    """Task to its instructions, the last HELD_OUT of them never used in training; all 50 tasks, sorted by name."""
    table = load_strict_yaml(share_path('config', 'instructions', 'metaworld.yaml'))
    return {task: tuple(texts) for task, texts in sorted(table.items())}


def known_instructions(task: str) -> tuple[str, ...]:
    """What demonstrations of a task say."""
    return paraphrases()[task][:-HELD_OUT]


def held_out_instructions(task: str) -> tuple[str, ...]:
    """What no demonstration of a task says."""
    return paraphrases()[task][-HELD_OUT:]
