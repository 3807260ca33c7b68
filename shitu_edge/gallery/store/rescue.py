"""Copying what can be read of a damaged gallery file into a new one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from ...errors import GalleryError
from ..index import Progress
from . import settings
from .changes import Change
from .check import entry_fault, examine, named
from .connection import transaction
from .failures import WRONG_TYPE, mapped_errors
from .held import file_id, holding
from .image import open_image
from .intact import IntactOrigins, IntactSettings
from .records import GalleryItem, Meta
from .remains import INDEX_LEAF, TABLE_LEAF, TABLES, Remains, copied, is_item, read_rows
from .schema import FORMAT, MOST_DIM, MOST_ITEMS, ORIGINS_FORMAT, SETTINGS_FORMAT, ContentDigest
from .store import Store
from .structure import has_tables

_REPORT_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Rescue:
    """Result of a rescue: items kept, a line per known lost item, origin or setting, and whether the history was kept.

    `complete`: by its checksum, the kept content is all there was.
    """

    kept: int
    lost: tuple[str, ...]
    history: bool
    complete: bool


def rescue(path: Path, target: Path, meta: Meta | None = None, progress: Progress | None = None) -> Rescue:
    """Copy all that is intact in a damaged gallery file into a new one.

    Args:
        path: the damaged file; its log is read too.
        target: the new file, which must not exist.
        meta: the extractor, used if the file no longer says it.
        progress: called with the items read and their number.

    Raises:
        GalleryError: nothing can be read, or the new file cannot be written.
    """
    with copied(path) as remains, mapped_errors(path), closing(_opened(remains)) as old:
        facts = _facts(old)
        meta = _meta(facts) or meta
        if meta is None:
            raise GalleryError(f"{path}: its extractor can no longer be read; name its bundle")
        found = _Found(remains, old, meta.dim)
        found.read(progress)
        log = _log(old)
        if not found.rows and not found.settings.rows and (found.lost or not log):
            raise GalleryError(f"{path}: nothing in it can be read")
        Store.create(target, meta, facts.get("id")).close()
        with closing(sqlite3.connect(target, isolation_level=None)) as new:
            new.execute("DELETE FROM revisions")
            whole = _copy_all(found, old, new, facts)
            if not whole:
                _write_current(found, old, new)
            _keep_counter(found, old, new)
    return Rescue(len(found.current), found.all_lost, whole, whole or found.has_digest_of(log))


def _opened(remains: Remains) -> sqlite3.Connection:
    return remains.opened(
        {
            ORIGINS_FORMAT: lambda connection: IntactOrigins(connection, None).is_there(),
            SETTINGS_FORMAT: lambda connection: bool(IntactSettings(connection).rows),
            FORMAT: lambda _: True,
        }
    )


def _facts(connection: sqlite3.Connection) -> dict[str, str]:
    rows = read_rows(connection, "SELECT key, value FROM meta")
    return {key: value for key, value in rows if isinstance(key, str) and isinstance(value, str)}


def assess(path: Path) -> tuple[int, int] | None:
    """Return how many of how many items of a damaged gallery are intact, None if unknown.

    A repair may find more, as it reads every page separately.
    """
    for opened in (_as_it_is, _as_remains):
        with suppress(GalleryError, OSError, sqlite3.Error, UnicodeDecodeError), opened(path) as connection:
            meta = _meta(_facts(connection))
            if meta is not None:
                return _Found(None, connection, meta.dim).counted()
    return None


@contextmanager
def _as_it_is(path: Path) -> Iterator[sqlite3.Connection]:
    with holding(file_id(path)), closing(open_image(path)) as connection:
        if not has_tables(connection, *TABLES):
            raise GalleryError(f"{path}: lacks a gallery's tables")
        yield connection


@contextmanager
def _as_remains(path: Path) -> Iterator[sqlite3.Connection]:
    with copied(path) as remains, closing(_opened(remains)) as connection:
        yield connection


class _Depth(IntEnum):
    """Effort to read a table: each level finds more than the one before and takes longer."""

    THROUGH = 1
    BOTH_ENDS = 2
    EVERY_PAGE = 3


class _Found:
    """Rows of a damaged file: entries whose checksum matches, with their embeddings, settings and origins."""

    def __init__(self, remains: Remains | None, connection: sqlite3.Connection, dim: int) -> None:
        self._remains = remains
        self._connection = connection
        self._dim = dim
        self.rows: list[_Row] = []
        self.lost: list[str] = []
        self.last_item = 0
        self.settings = IntactSettings(connection)
        self.origins = IntactOrigins(connection, remains)

    @property
    def current(self) -> dict[int, _Row]:
        """The current entries by item; the later of two."""
        return {row.item: row for row in self.rows if row.removed_in is None}

    @property
    def all_lost(self) -> tuple[str, ...]:
        """A line per known lost item, setting, and origin of an item that is kept."""
        return (*self.lost, *self.settings.lost, *self.origins.lost(self.current.keys()))

    def has_digest_of(self, log: list[tuple[Any, ...]]) -> bool:
        """Return whether the current entries, origins and settings match the checksum in the log's last line."""
        content, current = ContentDigest(), self.current
        kept = [digest for item, digest in self.origins.digests.items() if item in current]
        for digest in [row.digest for row in current.values()] + kept + self.settings.digests():
            content.add(digest)
        return bool(log) and bytes(content) == log[-1][6]

    def counted(self) -> tuple[int, int]:
        """Return how many of how many items are intact, in the time that reading the file takes."""
        self._read_tables(None, _Depth.THROUGH)
        if not self._is_complete():
            self._read_tables(None, _Depth.BOTH_ENDS)
        return len(self.current), len(self.current) + len(self.lost)

    def read(self, progress: Progress | None) -> None:
        """Read both tables and, if something is missing, every page separately."""
        self._read_tables(progress, _Depth.THROUGH)
        if not self._is_complete():
            self._read_tables(progress, _Depth.EVERY_PAGE)

    def _is_complete(self) -> bool:
        return not self.lost and self.has_digest_of(_log(self._connection))

    def _read_tables(self, progress: Progress | None, depth: _Depth) -> None:
        self.rows, self.lost = [], []
        self.origins.read(every_page=depth >= _Depth.EVERY_PAGE)
        query = "SELECT item, label, source, digest, added_in, removed_in FROM entries"
        entries = self._table("entries", query, "item", INDEX_LEAF, depth)
        vectors = self._table("embeddings", "SELECT id, vector FROM embeddings", "id", TABLE_LEAF, depth)
        items = sorted({*entries, *vectors, *self._indexed()})
        self.last_item = items[-1] if items else 0
        for done, item in enumerate(items, start=1):
            self._judge(item, entries.get(item, []), vectors.get(item, []))
            if progress and (done % _REPORT_EVERY == 0 or done == len(items)):
                progress(done, len(items))

    def _table(self, table: str, query: str, key: str, leaf: int, depth: _Depth) -> dict[int, list[tuple[Any, ...]]]:
        """Return a table's rows by item."""
        rows = read_rows(self._connection, f"{query} ORDER BY {key}")
        if depth >= _Depth.BOTH_ENDS:
            rows += read_rows(self._connection, f"{query} ORDER BY {key} DESC")
        if depth >= _Depth.EVERY_PAGE and self._remains:
            for connection in self._remains.leaves_as_roots(self._connection, table, leaf):
                rows += [row for row in read_rows(connection, query) if _is_of(table, row)]
        found: dict[int, list[tuple[Any, ...]]] = {}
        for row in dict.fromkeys(rows):
            if is_item(row[0]):
                found.setdefault(row[0], []).append(row[1:])
        return found

    def _indexed(self) -> list[int]:
        query = "SELECT item FROM entries INDEXED BY entries_by_item WHERE removed_in IS NULL"
        rows = read_rows(self._connection, query)
        return [row[0] for row in rows if is_item(row[0])]

    def _judge(self, item: int, entries: list[tuple[Any, ...]], vectors: list[tuple[Any, ...]]) -> None:
        """Keep an item's entries whose checksum matches; count the item as lost if its current one does not."""
        found = [row[0] for row in vectors] or [None]
        if not entries:
            self.lost.append(f"item {item}: its label and source are lost")
        fault = None
        current = False
        for label, source, digest, added_in, removed_in in entries:
            faults = {entry_fault(item, label, source, digest, vector, self._dim): vector for vector in found}
            wrong, vector = (None, faults[None]) if None in faults else next(iter(faults.items()))
            if wrong is None and isinstance(removed_in, (int, type(None))) and isinstance(vector, bytes):
                begun = added_in if isinstance(added_in, int) else 0
                self.rows.append(_Row(item, label, source, digest, begun, removed_in, vector))
                current |= removed_in is None
            elif removed_in is None and fault is None:  # the first is the table's, if it could be read
                fault = f"{named(item, label, source)}: {wrong or 'its row is damaged'}"
        if fault and not current:
            self.lost.append(fault)


@dataclass(frozen=True, slots=True)
class _Row:
    """An entry whose checksum matches."""

    item: int
    label: str
    source: str
    digest: bytes
    added_in: int
    removed_in: int | None
    vector: bytes


def _copy_all(found: _Found, old: sqlite3.Connection, new: sqlite3.Connection, facts: dict[str, str]) -> bool:
    """Copy entries, settings, origins and log; return whether the result is a sound gallery."""
    try:
        with transaction(new):
            vectors = {row.item: row.vector for row in found.rows}
            new.executemany("INSERT INTO embeddings VALUES (?, ?)", vectors.items())
            new.executemany(f"INSERT INTO revisions VALUES ({', '.join('?' * 8)})", _log(old))
            new.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", [astuple(row)[:6] for row in found.rows])
            if found.settings.rows:
                settings.make_table(new)
                new.executemany("INSERT INTO settings VALUES (?, ?, ?, ?, ?)", found.settings.rows)
            found.origins.write(new, vectors.keys())
            new.execute("UPDATE meta SET value = ? WHERE key = 'history_from'", (facts.get("history_from"),))
            if found.all_lost or list(examine(new, found._dim)):
                raise _NotWholeError
    except (_NotWholeError, sqlite3.Error, *WRONG_TYPE):
        return False
    return True


def _write_current(found: _Found, old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Write the current entries, origins and settings as a new revision; of earlier ones only the log is kept."""
    with transaction(new):
        known = {row[0]: row for row in _log(old) if isinstance(row[0], int)}
        last = max((number for number in known if 0 < number <= 2 * len(known)), default=0)
        for number in range(1, last + 1):
            change = Change(new, lambda item: item)
            facts = known[number][1:4] if number in known else ("", "", "lost")
            created_at, author, note = (fact if isinstance(fact, str) else "" for fact in facts)
            change.finish(author, note, created_at, even_empty=True)
        for item, row in found.current.items():
            new.execute("INSERT INTO embeddings VALUES (?, ?)", (item, row.vector))
        found.origins.write(new, found.current.keys())
        change = Change(new, lambda item: item)
        for item, row in found.current.items():
            change.restore(GalleryItem(item, row.label, row.source))
        for name, value in found.settings.current().items():
            change.set(name, value)
        change.finish("", f"repaired: {len(found.lost)} items lost", even_empty=True)
        new.execute("UPDATE meta SET value = ? WHERE key = 'history_from'", (str(change.revision),))


def _keep_counter(found: _Found, old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Continue the ids of the damaged gallery, so that none is given twice."""
    query = "SELECT seq FROM sqlite_sequence WHERE name = 'embeddings'"
    counts = [row[0] for row in read_rows(old, query) if isinstance(row[0], int) and row[0] < MOST_ITEMS]
    last = max([*counts, found.last_item])
    new.execute("DELETE FROM sqlite_sequence WHERE name = 'embeddings'")
    new.execute("INSERT INTO sqlite_sequence VALUES ('embeddings', ?)", (last,))


def _log(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return read_rows(connection, "SELECT * FROM revisions ORDER BY id")


class _NotWholeError(Exception):
    """The copy of a damaged gallery is not a sound one."""


def _meta(facts: dict[str, str]) -> Meta | None:
    with suppress(KeyError, ValueError):
        meta = Meta(facts["extractor"], facts["fingerprint"], int(facts["dim"]))
        return meta if 1 <= meta.dim <= MOST_DIM else None
    return None


def _is_of(table: str, row: tuple[Any, ...]) -> bool:
    """Return whether a row belongs to this table rather than to an index or another table."""
    if table == "embeddings":
        return isinstance(row[1], bytes)
    _, label, source, digest, *_ = row
    return isinstance(label, str) and isinstance(source, str) and isinstance(digest, bytes)
