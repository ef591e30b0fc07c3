# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What a model card says of closed loops: one line for each benchmark and way of running, measured and not typed in."""

from dataclasses import dataclass
from pathlib import Path

from dp_ros.errors import CheckpointError
from dp_ros.policy.checkpoint import CARD
from dp_ros.whole_file import whole_file

HEADING = '## Measured in closed loop'
_COLUMNS = (
    'benchmark',
    'seeds',
    'run as',
    'success, 95 % interval',
    'episodes',
    'evaluations an executed action',
)
# The columns that say what was measured; a line with the same ones is replaced.
_KEYS = 3


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Of one rollout.

    Attributes:
        benchmark: the task or suite.
        seeds: which, and of which split.
        run_as: control and goal, where they are not the checkpoint's own.
        success, interval: rate over all episodes and its 95 % Wilson interval.
        episodes: how many.
        per_action: network evaluations for each executed action.
    """

    benchmark: str
    seeds: str
    run_as: str
    success: float
    interval: tuple[float, float]
    episodes: int
    per_action: float

    def cells(self) -> list[str]:
        """Of its line in the table."""
        low, high = self.interval
        return [
            self.benchmark,
            self.seeds,
            self.run_as,
            f'{self.success:.3f} [{low:.3f}, {high:.3f}]',
            str(self.episodes),
            f'{self.per_action:.2f}',
        ]


def with_measurement(card: str, measurement: Measurement) -> str:
    """The card with one more line, or with another one in the place of an older measurement of the same."""
    before, heading, rest = card.partition(HEADING + '\n')
    table, after = _split(rest)
    cells = measurement.cells()
    lines = [line for line in table if line[:_KEYS] != cells[:_KEYS]]
    lines.append(cells)
    text = [before.rstrip('\n'), '', HEADING, '', _line(_COLUMNS), '|---' * len(_COLUMNS) + '|']
    text += [_line(line) for line in lines]
    return '\n'.join(text) + '\n' + (f'\n{after}' if heading and after else '')


def add_measurement(directory: Path, measurement: Measurement) -> None:
    """Write it into the card of a checkpoint; the card is for people, and no hash covers it."""
    path = Path(directory) / CARD
    try:
        card = path.read_text()
    except OSError as error:
        raise CheckpointError(f'{path}: cannot read the model card: {error}') from error
    with whole_file(path, 'the model card', CheckpointError) as beside:
        beside.write_text(with_measurement(card, measurement))


def _split(rest: str) -> tuple[list[list[str]], str]:
    """The table's lines as cells, and what stands after the table."""
    lines = rest.strip('\n').split('\n')
    rows = 0
    while rows < len(lines) and lines[rows].startswith('|'):
        rows += 1
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[2:rows]]
    return cells, '\n'.join(lines[rows:]).strip('\n') + '\n' if lines[rows:] else ''


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return '| ' + ' | '.join(cells) + ' |'
