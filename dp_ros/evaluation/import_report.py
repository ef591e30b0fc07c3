# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""What an import brought, as one self-contained HTML page and as JSON."""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from dp_ros.contract import Contract
from dp_ros.data.episode_sketch import Pair, pairs, sketch_of
from dp_ros.data.episode_store import EpisodeStore
from dp_ros.data.importer import ImportedBag
from dp_ros.errors import StoreError
from dp_ros.evaluation.data_summary import MOST_PICTURED, MOST_ROWS, DataSummary, stream_figures
from dp_ros.evaluation.import_plots import histogram, range_bar
from dp_ros.evaluation.pages import render_page
from dp_ros.whole_file import whole_file

VERSION = 1
PAGE, DATA = 'report.html', 'report.json'
# Of a thousand episodes that stand still, all pairs are equal.
MOST_PAIRS, MOST_LINES = 1000, 100
DIGITS = {'rad': 3, 'm': 4, '1': 3}


class ImportReport:
    """Takes bags as they come; memory does not grow with their episodes.

    Args:
        path: where the report goes: a name that ends in .json or .html is that file alone, every other one a folder
            that gets both, as ``report.html`` and ``report.json``.
        contract: of the store.
        provenance: what else the report says of its origin, name by name.
    """

    def __init__(self, path: Path, contract: Contract, provenance: Mapping[str, str]) -> None:
        path = Path(path)
        both = path.suffix not in ('.json', '.html')
        self.data_path = path / DATA if both else path if path.suffix == '.json' else None
        self.page_path = path / PAGE if both else path if path.suffix == '.html' else None
        self.summary = DataSummary(contract)
        self._contract, self._provenance = contract, dict(provenance)
        # The bags as they will stand in the JSON.
        self._temporary = tempfile.TemporaryDirectory(prefix='dp_ros_report_')
        self._spool = Path(self._temporary.name) / 'bags.json'
        self._spool.touch()
        self._bags: list[dict[str, Any]] = []
        self._notes: list[str] = []
        self._new: set[Path] = set()
        self._labels: dict[Path, str] = {}

    def add(self, imported: ImportedBag, files: Sequence[Path]) -> None:
        """Count a bag.

        Args:
            imported: what became of it.
            files: where its episodes are in the store, in their order.
        """
        self.summary.add_streams(imported.streams)
        head = {
            'path': str(imported.path),
            'name': imported.name,
            'sha256': imported.sha256,
            'notes': imported.notes,
            'skipped': imported.skipped,
            'counters': dict(imported.counters),
            'bytes': imported.size,
            'wall_s': round(imported.seconds, 3),
            'streams': stream_figures(imported.streams),
        }
        row: dict[str, Any] = {**head, 'episodes': 0, 'observations': 0, 'seconds': 0.0}
        with self._spool.open('a', encoding='utf-8') as spool:
            spool.write((',\n' if self._bags else '') + json.dumps(head, ensure_ascii=False)[:-1])
            spool.write(', "episodes": [')
            for number, (file, facts) in enumerate(zip(files, imported.facts(), strict=True)):
                self._add_episode(imported.name, file, facts)
                spool.write(',\n  ' if number else '\n  ')
                spool.write(json.dumps({'file': file.name, **facts}, ensure_ascii=False))
                row['episodes'] += 1
                row['observations'] += facts['observations']
                row['seconds'] += facts['seconds']
            spool.write('\n]}')
        self._bags.append(row)
        self._notes += imported.notes

    def _add_episode(self, bag: str, file: Path, facts: dict[str, Any]) -> None:
        """Count it; its pictures are no part of the JSON."""
        label = f'{bag} {facts["index"]}'
        self.summary.add(label, facts)
        self._new.add(file)
        self._labels[file] = label
        for camera in facts['cameras'].values():
            camera.pop('pictures', None)

    def write(self, store: EpisodeStore, skipped: Sequence[str], known: Sequence[str]) -> list[Path]:
        """Compare the episodes with all others, and write.

        Args:
            store: where they are now.
            skipped: what was left out, and why.
            known: those of them that were left out because the store holds them.

        Returns:
            the files.

        Raises:
            StoreError: a file cannot be written.
        """
        twice = self._twice(store)
        origin = {
            'store': str(store.path),
            'contract': f'{self._contract.name} ({self._contract.hash})',
            **self._provenance,
        }
        if self.data_path is not None:
            with whole_file(self.data_path, 'the report of the import') as beside:
                self._write_json(beside, origin, skipped, known, twice)
        if self.page_path is not None:
            text = self._page(store, origin, skipped, known, twice)
            with whole_file(self.page_path, 'the report of the import') as beside:
                beside.write_text(text, encoding='utf-8')
        return [path for path in (self.page_path, self.data_path) if path is not None]

    def _twice(self, store: EpisodeStore) -> list[dict[str, Any]]:
        """Pairs of equal or nearly equal episodes of which at least one is new."""
        files, sketches = [], []
        for file in store.files:
            try:
                sketches.append(sketch_of(file))
            except StoreError:
                continue  # an older file that is damaged: whoever reads it is told
            files.append(file)
        found: Iterable[Pair] = pairs(sketches, self._contract)
        new = (p for p in found if files[p.first] in self._new or files[p.second] in self._new)
        return [
            {
                'first': self._name(files[pair.first]),
                'second': self._name(files[pair.second]),
                'equal': pair.equal,
                'difference': round(pair.difference, 7),
            }
            for pair in islice(new, MOST_PAIRS)
        ]

    def _name(self, file: Path) -> str:
        label = self._labels.get(file)
        return f'{label} ({file.name})' if label else f'{file.name}, in the store before'

    def _write_json(
        self,
        path: Path,
        origin: Mapping[str, str],
        skipped: Sequence[str],
        known: Sequence[str],
        twice: Sequence[Mapping[str, Any]],
    ) -> None:
        rest = {
            'skipped': list(skipped),
            'duplicates': {'bags': list(known), 'episodes': twice},
            'findings': [finding.figures() for finding in self.summary.findings()],
            'totals': self.summary.totals(),
            'origin': origin,
        }
        with path.open('w', encoding='utf-8') as out:
            out.write(f'{{"dp_import_report": {VERSION},\n"bags": [\n')
            with self._spool.open(encoding='utf-8') as spool:
                shutil.copyfileobj(spool, out)
            out.write('],\n' + json.dumps(rest, ensure_ascii=False, indent=1)[1:].lstrip() + '\n')

    def _page(
        self,
        store: EpisodeStore,
        origin: Mapping[str, str],
        skipped: Sequence[str],
        known: Sequence[str],
        twice: Sequence[Mapping[str, Any]],
    ) -> str:
        summary = self.summary
        totals, rows = summary.totals(), summary.rows
        joints = [
            {**joint, 'bars': range_bar(joint)} for joint in totals['joints'] if joint['measured']['count']
        ]
        period_hz = 1e9 / self._contract.timing.period_ns
        plots = [
            histogram('length', 's', summary.lengths_s),
            histogram('time in which nothing moves', '%', [100 * v for v in summary.still_shares]),
            histogram('longest time without an observation', 'ms', summary.gaps_ms),
            histogram('tracking error, RMS', 'rad', summary.errors),
        ]
        return render_page(
            'import_report.html.jinja',
            title=f'Import into {store.path.name}',
            bags=self._bags,
            total=totals,
            odd=summary.odd,
            stored=len(store),
            findings=[finding.figures() for finding in summary.findings()],
            twice=twice[:MOST_LINES],
            twice_count=len(twice),
            known=known,
            joints=joints,
            digits=DIGITS,
            period_hz=period_hz,
            plots=[plot for plot in plots if plot],
            rows=rows,
            most_rows=MOST_ROWS,
            pictured=[row for row in rows if row['pictured']][:MOST_PICTURED],
            skipped=skipped[:MOST_LINES],
            skipped_count=len(skipped),
            notes=self._notes[:MOST_LINES],
            notes_count=len(self._notes),
            counters=sum((Counter(bag['counters']) for bag in self._bags), Counter()),
            origin=origin,
            minutes=_minutes,
        )


def _minutes(seconds: float) -> str:
    if seconds < 120:
        return f'{seconds:.1f} s'
    return f'{seconds / 60:.1f} min' if seconds < 7200 else f'{seconds / 3600:.1f} h'
