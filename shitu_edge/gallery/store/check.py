"""Whether a gallery file is what it should be: SQLite's own checks, then every digest against what it covers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np

from ..index import Progress
from . import history
from .records import GRAPH, READ_TOLERANCE, graph_record
from .schema import MOST_ITEMS, ContentDigest, entry_digest, first_lineage, next_lineage

_ENTRIES = """
SELECT item, label, source, digest, added_in, removed_in, vector FROM entries LEFT JOIN embeddings ON id = item
ORDER BY item, added_in
"""
_REPORT_EVERY = 1000
_SHOWN = 60


def examine(connection: sqlite3.Connection, dim: int, progress: Progress | None = None) -> Iterator[str]:
    """Yield what is wrong, a line each; nothing where all is well."""
    faults = 0
    for (line,) in connection.execute("PRAGMA integrity_check"):
        if line != "ok":
            faults += 1
            yield f"database: {' '.join(line.split())}"
    if faults:
        return  # what else there is to see would be its consequences
    yield from _table_faults(connection)
    for table, row, *_ in connection.execute("PRAGMA foreign_key_check"):
        yield f"{table}: row {row} belongs to nothing"
    contents = _Contents(connection)
    yield from _entries(connection, dim, contents, progress)
    yield from contents.faults()
    yield from _log_faults(connection)


def _table_faults(connection: sqlite3.Connection) -> Iterator[str]:
    """Check the record of the graph, and the counter of ids against the ids."""
    for row in connection.execute(GRAPH):
        if graph_record(row) is None:
            yield "graph: its record is damaged"
    counter = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'embeddings'").fetchone()
    last = connection.execute("SELECT max(id) FROM embeddings").fetchone()[0]
    if last is not None and not (counter and isinstance(counter[0], int) and last <= counter[0] < MOST_ITEMS):
        yield f"the counter of items: expected {last} or a little more, found {counter and counter[0]}"


def _log_faults(connection: sqlite3.Connection) -> Iterator[str]:
    """Check that every line of the log, and what the gallery is for, are what they were."""
    lineage = first_lineage(*history.identity(connection))
    query = "SELECT id, created_at, author, note, added, removed, digest, lineage FROM revisions ORDER BY id"
    for *line, digest, found in connection.execute(query):
        lineage = next_lineage(lineage, *line, digest.hex())
        if found != lineage:
            yield f"revision {line[0]}: its line of the log, one before it, or what the gallery is for was altered"
            return


class _Contents:
    """The digests that the revisions should have, by the entries that begin and end in them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT id, added, removed, digest FROM revisions ORDER BY id").fetchall()
        self._lines = {row[0]: row[1:] for row in rows}
        self._oldest = history.reaches_back_to(connection)
        self._forgotten = False
        self._begun: dict[int, list[bytes]] = {}
        self._ended: dict[int, list[bytes]] = {}

    def count(self, digest: bytes, added_in: int, removed_in: int | None) -> None:
        # Before the history reaches back, only the sum matters.
        self._begun.setdefault(max(added_in, self._oldest), []).append(digest)
        if removed_in is not None:
            self._ended.setdefault(max(removed_in, self._oldest), []).append(digest)
            self._forgotten |= removed_in <= self._oldest

    def faults(self) -> Iterator[str]:
        if list(self._lines) != list(range(1, len(self._lines) + 1)):
            yield "revisions: their numbers have gaps"
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
                yield f"revision {number}: its content has not its digest"
            if number > self._oldest and (len(begun), len(ended)) != (added, removed):
                yield f"revision {number}: expected {added} entries added and {removed} removed, found others"
        for number in {**self._begun, **self._ended}:
            yield f"revision {number}: is missing, and entries belong to it"


def _entries(connection: sqlite3.Connection, dim: int, contents: _Contents, progress: Progress | None) -> Iterator[str]:
    total = connection.execute("SELECT count(*) FROM entries").fetchone()[0]
    for done, row in enumerate(connection.execute(_ENTRIES), start=1):
        item, label, source, digest, added_in, removed_in, vector = row
        contents.count(digest, added_in, removed_in)
        fault = entry_fault(item, label, source, digest, vector, dim)
        if fault:
            yield f"{named(item, label, source)}: {fault}"
        if progress and (done % _REPORT_EVERY == 0 or done == total):
            progress(done, total)
    query = "SELECT id FROM embeddings WHERE id NOT IN (SELECT item FROM entries)"
    for (item,) in connection.execute(query):
        yield f"item {item}: has an embedding and no entry"


def named(item: int, label: object, source: object) -> str:
    """Return how people are told of an item, whatever its label and source hold."""
    shown, origin = (" ".join(str(text).split())[:_SHOWN] for text in (label, source or "no source"))
    return f"item {item} ({shown}, {origin})"


def entry_fault(item: int, label: object, source: object, digest: object, vector: object, dim: int) -> str | None:
    """Return what is wrong with an entry and its embedding, None where nothing is."""
    if not (isinstance(label, str) and isinstance(source, str) and isinstance(digest, bytes)):
        return "its label, source or digest is none"
    if not isinstance(vector, bytes):
        return "its embedding is missing"
    if len(vector) != 4 * dim:
        return f"its embedding has not {dim} numbers"
    if entry_digest(item, label, source, vector) != digest:
        return "was altered: it has not its digest"
    row = np.frombuffer(vector, "<f4")
    if not abs(float(row @ row) - 1) < READ_TOLERANCE:
        return "its embedding is no unit vector"
    return None
