# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""Tables at a terminal."""

from collections.abc import Sequence


def print_row(name: str, value: str) -> None:
    """A name and its value, in columns that are the same everywhere."""
    print(f'{name:26s} {value}')


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Rows below their head, each column as wide as it needs; those of the numbers in ``right`` to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print('  ' + '  '.join(cells).rstrip())
