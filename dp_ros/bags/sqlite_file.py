# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""One SQLite file of a bag (.db3)."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from dp_ros.bags.clock import BACK_NS
from dp_ros.bags.storage import (
    Channel,
    Problems,
    Row,
    Stamps,
    StorageFile,
    at,
    by_channel,
    topic_name,
    type_name,
)
from dp_ros.errors import BagError

# What a writer leaves beside a database that it did not close.
SIDE_FILES = ('-wal', '-journal')


def open_sqlite(path: Path, problems: Problems) -> StorageFile:
    """Read what the file says about itself.

    Raises:
        BagError: this is no bag's database, or it is damaged where its topics stand.
    """
    if not path.stat().st_size:
        raise BagError(f'{path}: is empty')
    found = StorageFile(path)
    try:
        with closing(connect(path)) as database:
            tables = {
                name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")
            }
            if not {'topics', 'messages'} <= tables:
                raise BagError(f'{path}: has no tables of topics and messages; it has {sorted(tables)}')
            definitions = _definitions(database) if 'message_definitions' in tables else {}
            found.channels = {c.id: c for c in _channels(database, definitions)}
            if 'metadata' in tables:
                last = database.execute('SELECT metadata FROM metadata ORDER BY id DESC LIMIT 1').fetchone()
                found.metadata = str(last[0]) if last else ''
            times = []
            query = (
                'SELECT topic_id, COUNT(*), MIN(timestamp), MAX(timestamp) FROM messages GROUP BY topic_id'
            )
            for channel, count, first, last_ns in database.execute(query):
                found.counts[channel] = count
                times += [first, last_ns]
            steps = 'SELECT timestamp - LAG(timestamp) OVER (ORDER BY id) AS step FROM messages'
            back = f'SELECT 1 FROM ({steps}) WHERE step < ? LIMIT 1'
            if database.execute(back, (-BACK_NS,)).fetchone():
                problems.disordered = True
    except sqlite3.Error as error:
        raise BagError(
            f'{path}: cannot be read as an SQLite bag: {error}; `sqlite3 {path.name} .recover` may save more'
        ) from error
    if times:
        found.start_ns, found.end_ns = min(times), max(times)
        found.stretches.append(Database(path, found.start_ns, found.end_ns, problems))
    return found


def connect(path: Path) -> sqlite3.Connection:
    """A connection that never writes.

    A database that nobody writes is read as immutable: no locks and no files beside it, on a read-only disk too.
    """
    side = any(path.with_name(path.name + suffix).exists() for suffix in SIDE_FILES)
    mode = 'mode=rw' if side else 'mode=ro&immutable=1'
    return sqlite3.connect(f'file:{quote(str(path))}?{mode}', uri=True, check_same_thread=False)


class Database:
    """All messages of a file; see :class:`dp_ros.bags.storage.Stretch`."""

    carries: frozenset[int] = frozenset()

    def __init__(self, path: Path, start_ns: int, end_ns: int, problems: Problems) -> None:
        self.start_ns, self.end_ns = start_ns, end_ns
        self._path, self._problems = path, problems

    def rows(self, channels: Collection[int], start_ns: int, stop_ns: int) -> Iterator[Row]:
        """Its messages, sorted by log time."""
        marks = ','.join('?' * len(channels))
        query = (
            f'SELECT timestamp, topic_id, data FROM messages WHERE topic_id IN ({marks}) '
            'AND timestamp >= ? AND timestamp < ? ORDER BY timestamp, id'
        )
        last = self.start_ns
        try:
            with closing(connect(self._path)) as database:
                for row in database.execute(query, (*channels, start_ns, stop_ns)):
                    yield row
                    last = row[0]
        except sqlite3.Error as error:
            self._problems.add(
                f'{self._path.name}: damaged after {at(last)} ({error}): '
                f'its messages up to {at(self.end_ns)} are skipped'
            )

    def order(self) -> Iterator[tuple[int, int]]:
        """Channel and log time of each message, in the order in which they were recorded."""
        try:
            with closing(connect(self._path)) as database:
                yield from database.execute('SELECT topic_id, timestamp FROM messages ORDER BY id')
        except sqlite3.Error:
            return  # told when its rows are read

    def times(self) -> dict[int, Stamps]:
        """Log times by channel; pages that hold nothing but the rest of a large message are not read."""
        return by_channel(self.order())


def _definitions(database: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    rows = database.execute(
        'SELECT topic_type, encoded_message_definition, encoding FROM message_definitions'
    )
    return {name: (text, form) for name, text, form in rows}


def _channels(database: sqlite3.Connection, definitions: dict[str, tuple[str, str]]) -> list[Channel]:
    columns = {row[1] for row in database.execute('PRAGMA table_info(topics)')}
    qos = 'offered_qos_profiles' if 'offered_qos_profiles' in columns else "''"
    # Recordings from before the first release have one serialization alone.
    form = 'serialization_format' if 'serialization_format' in columns else "'cdr'"
    rows = database.execute(f'SELECT id, name, type, {form}, {qos} FROM topics ORDER BY id')
    return [
        Channel(
            number,
            topic_name(topic),
            type_name(kind),
            *definitions.get(kind, ('', '')),
            serialization,
            profiles or '',
        )
        for number, topic, kind, serialization, profiles in rows
    ]
