# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""``store.json``: which episodes a store holds and where they come from. Replacing this file commits a change."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dp_ros.errors import StoreError
from dp_ros.whole_file import whole_file

VERSION = 2


@dataclass(frozen=True)
class StoreIndex:
    """What ``store.json`` says.

    Attributes:
        info: as given when the store was made: task, settings, versions.
        numbers: of the episodes' files, in the order of the episodes.
        sources: of episodes that came from bags: name, sha256, when, episodes (their files' numbers), and whatever
            else the importer knows.
        version: of the store. Version 1 has no list of episodes; its files are counted.
    """

    info: dict[str, Any]
    numbers: tuple[int, ...] = ()
    sources: tuple[dict[str, Any], ...] = field(default=())
    version: int = VERSION

    @classmethod
    def read(cls, path: Path) -> 'StoreIndex':
        """Of the store in this folder; :class:`StoreError` if there is none, or one that cannot be understood."""
        file = path / 'store.json'
        try:
            data = json.loads(file.read_bytes())
        except FileNotFoundError as error:
            raise StoreError(f'{path}: no episode store here (store.json is missing)') from error
        except (OSError, ValueError) as error:
            raise StoreError(f'{file}: cannot be read: {error}') from error
        version = data.pop('dp_store', None) if isinstance(data, dict) else None
        if version == 1:
            return cls(data, version=1)
        if version != VERSION:
            raise StoreError(f'{file}: dp_store is {version!r}; this dp_ros reads versions 1 and {VERSION}')
        try:
            index = cls(data['info'], tuple(data['episodes']), tuple(data['sources']))
            owned = [number for source in index.sources for number in source['episodes']]
            named = all(s['name'] and s['sha256'] for s in index.sources)
        except (KeyError, TypeError) as error:
            raise StoreError(f'{file}: damaged, it lacks or has wrong: {error}') from error
        known = set(index.numbers)
        whole = all(isinstance(n, int) and n >= 0 for n in index.numbers) and isinstance(index.info, dict)
        if not (whole and named and len(known) == len(index.numbers) and known.issuperset(owned)):
            raise StoreError(f'{file}: damaged, its lists of episodes contradict each other')
        return index

    def write(self, path: Path) -> None:
        """Replace the file at once; after a :class:`StoreError` the old one holds."""
        data = {
            'dp_store': self.version,
            'info': self.info,
            'sources': list(self.sources),
            'episodes': list(self.numbers),
        }
        with whole_file(path / 'store.json', 'this file of the store') as beside:
            beside.write_text(json.dumps(data, indent=1) + '\n')

    def source(self, sha256: str) -> dict[str, Any] | None:
        """The source with this hash, None if the store has none of it."""
        return next((s for s in self.sources if s['sha256'] == sha256), None)

    def extended(self, numbers: Sequence[int], source: dict[str, Any] | None) -> 'StoreIndex':
        """With episodes at the end; those of an older import of the same source leave."""
        if source is None:
            return replace(self, numbers=(*self.numbers, *numbers))
        old = self.source(source['sha256'])
        gone = set(old['episodes']) if old else set()
        now = datetime.now(timezone.utc).isoformat(timespec='seconds')
        entry = {'when': now, **source, 'episodes': list(numbers)}
        return replace(
            self,
            numbers=(*(n for n in self.numbers if n not in gone), *numbers),
            sources=(*(s for s in self.sources if s is not old), entry),
        )
