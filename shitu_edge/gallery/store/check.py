"""Whether a gallery file is what it should be: SQLite's own checks, then every digest against what it covers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np

from . import history
from .records import READ_TOLERANCE, Progress
from .schema import ContentDigest, entry_digest

_ENTRIES = """
SELECT item, label, source, digest, added_in, removed_in, vector FROM entries LEFT JOIN embeddings ON id = item
ORDER BY item, added_in
"""
_REPORT_EVERY = 1000


def examine(connection: sqlite3.Connection, dim: int, progress: Progress | None = None) -> Iterator[str]:
    """Yield what is wrong, a line each; nothing where all is well."""
    faults = 0
    for (line,) in connection.execute("PRAGMA integrity_check"):
        if line != "ok":
            faults += 1
            yield f"database: {line}"
    if faults:
        return  # what else there is to see would be its consequences
    for table, row, *_ in connection.execute("PRAGMA foreign_key_check"):
        yield f"{table}: row {row} belongs to nothing"
    contents = _Contents(connection)
    yield from _entries(connection, dim, contents, progress)
    yield from contents.faults()


class _Contents:
    """The digests that the revisions should have, by the entries that begin and end in them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT id, added, removed, digest FROM revisions ORDER BY id").fetchall()
        self._lines = {row[0]: row[1:] for row in rows}
        self._oldest = history.reaches_back_to(connection)
        self._begun: dict[int, list[bytes]] = {}
        self._ended: dict[int, list[bytes]] = {}

    def count(self, digest: bytes, added_in: int, removed_in: int | None) -> None:
        # Before the history reaches back, only the sum matters.
        self._begun.setdefault(max(added_in, self._oldest), []).append(digest)
        if removed_in is not None:
            self._ended.setdefault(max(removed_in, self._oldest), []).append(digest)

    def faults(self) -> Iterator[str]:
        if list(self._lines) != list(range(1, len(self._lines) + 1)):
            yield "revisions: their numbers have gaps"
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
            yield f"item {item} ({label}, {source or 'no source'}): {fault}"
        if removed_in is not None and removed_in <= added_in:
            yield f"item {item} ({label}): removed before it was added"
        if progress and (done % _REPORT_EVERY == 0 or done == total):
            progress(done, total)
    query = "SELECT id FROM embeddings WHERE id NOT IN (SELECT item FROM entries)"
    for (item,) in connection.execute(query):
        yield f"item {item}: has an embedding and no entry"


def entry_fault(item: int, label: str, source: str, digest: bytes, vector: object, dim: int) -> str | None:
    """Return what is wrong with an entry and its embedding, None where nothing is."""
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
