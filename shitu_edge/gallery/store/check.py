"""Verification of a gallery file: SQLite's own checks, then every checksum."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator

import numpy as np

from ..index import Progress
from . import history, origins, settings
from .records import GRAPH, READ_TOLERANCE, index_record
from .schema import MOST_ITEMS, MOST_SETTINGS, ContentDigest, entry_digest, first_history_hash, next_history_hash

_ENTRIES = """
SELECT item, label, source, digest, added_in, removed_in, vector FROM entries LEFT JOIN embeddings ON id = item
ORDER BY item, added_in
"""
_REPORT_EVERY = 1000
_SHOWN = 60


def examine(connection: sqlite3.Connection, dim: int, progress: Progress | None = None) -> Iterator[str]:
    """Yield a line per fault."""
    faults = 0
    for (line,) in connection.execute("PRAGMA integrity_check"):
        if line != "ok":
            faults += 1
            yield f"database: {' '.join(line.split())}"
    if faults:
        return  # other faults would follow from these
    yield from _table_faults(connection)
    for table, row, *_ in connection.execute("PRAGMA foreign_key_check"):
        yield f"{table}: row {row} refers to a row that does not exist"
    contents = _Contents(connection)
    yield from _origins(connection, contents)
    yield from _entries(connection, dim, contents, progress)
    yield from _settings(connection, contents)
    yield from contents.faults()
    yield from _log_faults(connection)


def _table_faults(connection: sqlite3.Connection) -> Iterator[str]:
    """Check the record of the index and the counter of ids."""
    for row in connection.execute(GRAPH):
        if index_record(row) is None:
            yield "index: its record is damaged"
    counter = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'embeddings'").fetchone()
    last = connection.execute("SELECT max(id) FROM embeddings").fetchone()[0]
    if last is not None and not (counter and isinstance(counter[0], int) and last <= counter[0] < MOST_ITEMS):
        yield f"item counter: expected at least {last}, found {counter and counter[0]}"


def _log_faults(connection: sqlite3.Connection) -> Iterator[str]:
    """Check the history hashes."""
    expected = first_history_hash(*history.identity(connection))
    query = "SELECT id, created_at, author, note, added, removed, digest, lineage FROM revisions ORDER BY id"
    for *line, digest, found in connection.execute(query):
        expected = next_history_hash(expected, *line, digest.hex())
        if found != expected:
            yield f"revision {line[0]}: log checksum mismatch: it, an earlier one or the metadata was altered"
            return


class _Contents:
    """Expected checksums of the revisions, from the entries and settings that begin and end in them.

    `origins` has the digests of the items' origins, which are there while the items are.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT id, added, removed, digest FROM revisions ORDER BY id").fetchall()
        self._lines = {row[0]: row[1:] for row in rows}
        self._oldest = history.reaches_back_to(connection)
        self._forgotten = False
        self._begun: dict[int, list[bytes]] = {}
        self._ended: dict[int, list[bytes]] = {}
        self._others_begun, self._others_ended = Counter[int](), Counter[int]()
        self.origins: dict[int, bytes] = {}

    def count_entry(self, item: int, digest: bytes, added_in: int, removed_in: int | None) -> None:
        """Count an entry, with its item's origin."""
        self._count(digest, added_in, removed_in)
        if item in self.origins:
            self.count_other(self.origins[item], added_in, removed_in)

    def count_other(self, digest: bytes, begun_in: int, ended_in: int | None) -> None:
        """Count a setting or an origin, which the log's numbers of items do not cover."""
        self._count(digest, begun_in, ended_in)
        self._others_begun[max(begun_in, self._oldest)] += 1
        if ended_in is not None:
            self._others_ended[max(ended_in, self._oldest)] += 1

    def _count(self, digest: bytes, begun_in: int, ended_in: int | None) -> None:
        # Of revisions before the oldest known one, only the sum matters.
        self._begun.setdefault(max(begun_in, self._oldest), []).append(digest)
        if ended_in is not None:
            self._ended.setdefault(max(ended_in, self._oldest), []).append(digest)
            self._forgotten |= ended_in <= self._oldest

    def faults(self) -> Iterator[str]:
        if list(self._lines) != list(range(1, len(self._lines) + 1)):
            yield "log: revision numbers have gaps"
        if self._oldest not in self._lines or self._forgotten:
            yield f"history: should not reach back to revision {self._oldest}"
        content = ContentDigest()
        for number, (added, removed, digest) in self._lines.items():
            begun, ended = self._begun.pop(number, []), self._ended.pop(number, [])
            for entry in begun:
                content.add(entry)
            for entry in ended:
                content.remove(entry)
            if number < self._oldest:
                continue
            if bytes(content) != digest:
                yield f"revision {number}: checksum mismatch"
            found = len(begun) - self._others_begun[number], len(ended) - self._others_ended[number]
            if number > self._oldest and found != (added, removed):
                counts = f"{found[0]} and {found[1]}"
                yield f"revision {number}: expected {added} items added and {removed} removed, found {counts}"
        for number in {**self._begun, **self._ended}:
            yield f"revision {number}: missing from the log, but items or settings refer to it"


def _entries(connection: sqlite3.Connection, dim: int, contents: _Contents, progress: Progress | None) -> Iterator[str]:
    total = connection.execute("SELECT count(*) FROM entries").fetchone()[0]
    for done, row in enumerate(connection.execute(_ENTRIES), start=1):
        item, label, source, digest, added_in, removed_in, vector = row
        contents.count_entry(item, digest, added_in, removed_in)
        fault = entry_fault(item, label, source, digest, vector, dim)
        if fault:
            yield f"{named(item, label, source)}: {fault}"
        if progress and (done % _REPORT_EVERY == 0 or done == total):
            progress(done, total)
    query = "SELECT id FROM embeddings WHERE id NOT IN (SELECT item FROM entries)"
    for (item,) in connection.execute(query):
        yield f"item {item}: its embedding belongs to no revision"


def _origins(connection: sqlite3.Connection, contents: _Contents) -> Iterator[str]:
    """Check each origin; those of no item break a reference."""
    for item, facts, digest, size, picture in origins.rows(connection):
        contents.origins[item] = digest
        fault = origins.fault(item, facts, digest, size, picture)
        if fault:
            yield f"item {item}: {fault}"


def _settings(connection: sqlite3.Connection, contents: _Contents) -> Iterator[str]:
    """Check each setting, and that no two values of a name are of the same time."""
    name_before: object = None
    until: int | None = 0
    current = 0
    for name, value, digest, set_in, replaced_in in settings.rows(connection):
        contents.count_other(digest, set_in, replaced_in)
        fault = settings.fault(name, value, digest)
        if fault:
            yield f"{settings.named(name)}: {fault}"
        if name == name_before and (until is None or set_in < until):
            yield f"{settings.named(name)}: has two values in revision {set_in}"
        name_before, until = name, replaced_in
        current += replaced_in is None
    if current > MOST_SETTINGS:
        yield f"settings: expected at most {MOST_SETTINGS}, found {current}"


def named(item: int, label: object, source: object) -> str:
    """Return an item's id, label and source for messages."""
    shown, origin = (" ".join(str(text).split())[:_SHOWN] for text in (label, source or "no source"))
    return f"item {item} ({shown}, {origin})"


def entry_fault(item: int, label: object, source: object, digest: object, vector: object, dim: int) -> str | None:
    """Return what is wrong with an entry and its embedding, or None."""
    if not (isinstance(label, str) and isinstance(source, str) and isinstance(digest, bytes)):
        return "its label, source or checksum is missing"
    if not isinstance(vector, bytes):
        return "its embedding is missing"
    if len(vector) != 4 * dim:
        return f"expected an embedding of {4 * dim} bytes, found {len(vector)}"
    if entry_digest(item, label, source, vector) != digest:
        return "checksum mismatch: it was altered"
    row = np.frombuffer(vector, "<f4")
    if not abs(float(row @ row) - 1) < READ_TOLERANCE:
        return "its embedding is not a unit vector"
    return None
