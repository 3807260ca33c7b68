"""Copying what can be read of a damaged gallery file into a new one."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import astuple, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from ...errors import GalleryError, os_errors_as
from ..index import Progress
from . import settings
from .changes import Change
from .check import entry_fault, examine, named
from .connection import FROZEN, connect, transaction
from .failures import WRONG_TYPE, mapped_errors
from .held import file_id, holding
from .image import open_image, read_image
from .records import GalleryItem, Meta
from .schema import MAGIC, MOST_DIM, MOST_ITEMS, MOST_SETTINGS, PAGE_BYTES, ContentDigest, setting_digest
from .store import Store
from .structure import LEAST_ROW_BYTES, allow_rows, bytes_held, has_tables

_COUNTERS = (24, 92)
"""Positions in SQLite's header: change counter, and the counter that its page count belongs to (file format, 1.3)."""
_PAGE_COUNT = 28
_REPORT_EVERY = 1000
_TABLES = ("entries", "embeddings", "revisions", "meta")
_SET, _REPLACED = (
    "SELECT name, set_in FROM settings INDEXED BY settings_by_start",
    "SELECT name, set_in FROM settings INDEXED BY settings_by_end WHERE replaced_in IS NOT NULL",
)
"""Queries that need no page of the table itself."""
_TABLE_LEAF, _INDEX_LEAF = 0x0D, 0x0A
"""First byte of a page with rows of a table, and of a table WITHOUT ROWID (file format, 1.6)."""


@dataclass(frozen=True, slots=True)
class Rescue:
    """Result of a rescue: items kept, a line per known lost item or setting, and whether the history was kept.

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
    with _copy(path) as remains, mapped_errors(path), closing(remains.opened()) as old:
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
    lost = (*found.lost, *found.settings.lost)
    return Rescue(len(found.current), lost, whole, whole or found.has_digest_of(log))


def _facts(connection: sqlite3.Connection) -> dict[str, str]:
    rows = _read(connection, "SELECT key, value FROM meta")
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
        if not has_tables(connection, *_TABLES):
            raise GalleryError(f"{path}: lacks a gallery's tables")
        yield connection


@contextmanager
def _as_remains(path: Path) -> Iterator[sqlite3.Connection]:
    with _copy(path) as remains, closing(remains.opened()) as connection:
        yield connection


class _Depth(IntEnum):
    """Effort to read a table: each level finds more than the one before and takes longer."""

    THROUGH = 1
    BOTH_ENDS = 2
    EVERY_PAGE = 3


class _Found:
    """Rows of a damaged file: entries whose checksum matches, with their embeddings, and settings."""

    def __init__(self, remains: _Remains | None, connection: sqlite3.Connection, dim: int) -> None:
        self._remains = remains
        self._connection = connection
        self._dim = dim
        self.rows: list[_Row] = []
        self.lost: list[str] = []
        self.last_item = 0
        self.settings = _Settings(connection)

    @property
    def current(self) -> dict[int, _Row]:
        """The current entries by item; the later of two."""
        return {row.item: row for row in self.rows if row.removed_in is None}

    def has_digest_of(self, log: list[tuple[Any, ...]]) -> bool:
        """Return whether the current entries and settings match the checksum in the log's last line."""
        content = ContentDigest()
        for digest in [row.digest for row in self.current.values()] + self.settings.digests():
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
        query = "SELECT item, label, source, digest, added_in, removed_in FROM entries"
        entries = self._table("entries", query, "item", _INDEX_LEAF, depth)
        vectors = self._table("embeddings", "SELECT id, vector FROM embeddings", "id", _TABLE_LEAF, depth)
        items = sorted({*entries, *vectors, *self._indexed()})
        self.last_item = items[-1] if items else 0
        for done, item in enumerate(items, start=1):
            self._judge(item, entries.get(item, []), vectors.get(item, []))
            if progress and (done % _REPORT_EVERY == 0 or done == len(items)):
                progress(done, len(items))

    def _table(self, table: str, query: str, key: str, leaf: int, depth: _Depth) -> dict[int, list[tuple[Any, ...]]]:
        """Return a table's rows by item."""
        rows = _read(self._connection, f"{query} ORDER BY {key}")
        if depth >= _Depth.BOTH_ENDS:
            rows += _read(self._connection, f"{query} ORDER BY {key} DESC")
        if depth >= _Depth.EVERY_PAGE and self._remains:
            for connection in self._remains.leaves_as_roots(self._connection, table, leaf):
                rows += [row for row in _read(connection, query) if _is_of(table, row)]
        found: dict[int, list[tuple[Any, ...]]] = {}
        for row in dict.fromkeys(rows):
            if _is_item(row[0]):
                found.setdefault(row[0], []).append(row[1:])
        return found

    def _indexed(self) -> list[int]:
        query = "SELECT item FROM entries INDEXED BY entries_by_item WHERE removed_in IS NULL"
        rows = _read(self._connection, query)
        return [row[0] for row in rows if _is_item(row[0])]

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


class _Settings:
    """Settings of a damaged file: rows whose checksum matches."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.lost: list[str] = []
        names = dict[str, str]()
        for row in self._read(connection):
            name, digest, _, replaced_in, value = row
            fault = settings.fault(name, value, digest)
            if fault is None:
                self.rows.append(row)
            elif replaced_in is None:
                names.setdefault(settings.named(name), fault)
        current = {settings.named(name) for name in self.current()}
        self.lost = [f"{name}: {fault}" for name, fault in names.items() if name not in current]

    def current(self) -> dict[str, bytes]:
        """Return the current settings by name, as many as a gallery may have; the later of two."""
        found = {name: value for name, _, _, replaced_in, value in self.rows if replaced_in is None}
        return dict([*found.items()][:MOST_SETTINGS])

    def digests(self) -> list[bytes]:
        """Return the digests of the current settings."""
        return [setting_digest(name, value) for name, value in self.current().items()]

    def _read(self, connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
        """Return the table's rows by name and revision, and names that only its indexes have."""
        if not has_tables(connection, "settings"):
            return []
        query = "SELECT name, digest, set_in, replaced_in, value FROM settings ORDER BY name {0}, set_in {0}"
        rows = _read(connection, query.format("")) + _read(connection, query.format("DESC"))
        rows = sorted(dict.fromkeys(rows), key=lambda row: (str(row[0]), row[2] if isinstance(row[2], int) else 0))
        known = {(row[0], row[2]) for row in rows} | {*_read(connection, _REPLACED)}
        return rows + [
            (name, None, None, None, None) for name, set_in in _read(connection, _SET) if (name, set_in) not in known
        ]


def _copy_all(found: _Found, old: sqlite3.Connection, new: sqlite3.Connection, facts: dict[str, str]) -> bool:
    """Copy entries, settings and log; return whether the result is a sound gallery."""
    try:
        with transaction(new):
            vectors = {row.item: row.vector for row in found.rows}
            new.executemany("INSERT INTO embeddings VALUES (?, ?)", vectors.items())
            new.executemany(f"INSERT INTO revisions VALUES ({', '.join('?' * 8)})", _log(old))
            new.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", [astuple(row)[:6] for row in found.rows])
            if found.settings.rows:
                settings.make_table(new)
                new.executemany("INSERT INTO settings VALUES (?, ?, ?, ?, ?)", found.settings.rows)
            new.execute("UPDATE meta SET value = ? WHERE key = 'history_from'", (facts.get("history_from"),))
            if found.lost or found.settings.lost or list(examine(new, found._dim)):
                raise _NotWholeError
    except (_NotWholeError, sqlite3.Error, *WRONG_TYPE):
        return False
    return True


def _write_current(found: _Found, old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Write the current entries and settings as a new revision; of earlier ones only the log is kept."""
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
    counts = [row[0] for row in _read(old, query) if isinstance(row[0], int) and row[0] < MOST_ITEMS]
    last = max([*counts, found.last_item])
    new.execute("DELETE FROM sqlite_sequence WHERE name = 'embeddings'")
    new.execute("INSERT INTO sqlite_sequence VALUES ('embeddings', ?)", (last,))


def _log(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return _read(connection, "SELECT * FROM revisions ORDER BY id")


class _NotWholeError(Exception):
    """The copy of a damaged gallery is not a sound one."""


def _meta(facts: dict[str, str]) -> Meta | None:
    with suppress(KeyError, ValueError):
        meta = Meta(facts["extractor"], facts["fingerprint"], int(facts["dim"]))
        return meta if 1 <= meta.dim <= MOST_DIM else None
    return None


def _is_item(number: object) -> bool:
    """Return whether a value can be an item's id."""
    return isinstance(number, int) and 0 < number < MOST_ITEMS


def _is_of(table: str, row: tuple[Any, ...]) -> bool:
    """Return whether a row belongs to this table rather than to an index or another table."""
    if table == "embeddings":
        return isinstance(row[1], bytes)
    _, label, source, digest, *_ = row
    return isinstance(label, str) and isinstance(source, str) and isinstance(digest, bytes)


def _read(connection: sqlite3.Connection, query: str) -> list[tuple[Any, ...]]:
    """Return a query's distinct rows up to the first unreadable one, at most as many bytes as the file has.

    Forged pages may repeat rows or share long values.
    """
    rows: dict[tuple[Any, ...], None] = {}
    with suppress(sqlite3.Error, UnicodeDecodeError):  # SQLite's own message may be damaged text
        room = bytes_held(connection)
        allow_rows(connection, room)  # a row over the limit would hide its neighbors
        for row in connection.execute(query):
            room -= LEAST_ROW_BYTES + sum(len(value) for value in row if isinstance(value, (str, bytes)))
            if room < 0:
                break
            rows[row] = None
    return list(rows)


@contextmanager
def _copy(path: Path) -> Iterator[_Remains]:
    """Copy a file, with its log applied, to a temporary folder."""
    with ExitStack() as stack:
        with _scratch_errors(path):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="shitu-rescue-"))
            copy = Path(folder) / "remains"
            with holding(file_id(path)):
                copy.write_bytes(read_image(path))
        yield _Remains(path, copy)


def _scratch_errors(path: Path) -> AbstractContextManager[None]:
    return os_errors_as(GalleryError, path, f"cannot be copied to {tempfile.gettempdir()} for repair")


class _Remains:
    """A copy of a damaged file, prepared so that SQLite can read it.

    In every gallery the tables begin at the same pages: a new table moves other pages away.
    """

    def __init__(self, gallery: Path, path: Path) -> None:
        self._gallery = gallery
        self._path = path

    def opened(self) -> sqlite3.Connection:
        """Open it, with the first page of an empty gallery if its own is unusable: one with settings if it has any."""
        for own_page, with_settings in ((True, False), (False, True), (False, False)):
            with suppress(sqlite3.Error, UnicodeDecodeError):
                if not own_page:
                    with _scratch_errors(self._gallery):
                        self._give_first_page(with_settings)
                connection = connect(self._path)
                if has_tables(connection, *_TABLES) and (not with_settings or _Settings(connection).rows):
                    return connection
                connection.close()
        raise GalleryError(f"{self._gallery}: cannot be repaired: its tables cannot be found")

    def _give_first_page(self, with_settings: bool) -> None:
        model = self._path.with_name(f"model-{with_settings:d}")
        Store.create(model, Meta("", "", 1)).close()
        if with_settings:
            with closing(sqlite3.connect(model, isolation_level=None)) as connection:
                settings.make_table(connection)
        page = bytearray(model.read_bytes()[:PAGE_BYTES])
        pages = (self._path.stat().st_size // PAGE_BYTES).to_bytes(4, "big")
        page[_PAGE_COUNT : _PAGE_COUNT + 4] = pages
        page[_COUNTERS[1] : _COUNTERS[1] + 4] = page[_COUNTERS[0] : _COUNTERS[0] + 4]
        assert page.startswith(MAGIC)
        with self._path.open("rb+") as stream:
            stream.write(page)

    def leaves_as_roots(self, connection: sqlite3.Connection, table: str, leaf: int) -> Iterator[sqlite3.Connection]:
        """Yield a connection per page that may hold rows of a table, with that page as the table's root.

        This reads rows that no sound page leads to. Pages of other tables may look like rows of this one.
        """
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        graft = self._path.with_name("graft")
        with _scratch_errors(self._gallery):
            shutil.copyfile(self._path, graft)
        with self._path.open("rb") as pages, graft.open("rb+") as stream:
            while page := pages.read(PAGE_BYTES):
                if page[0] == leaf:
                    stream.seek((root - 1) * PAGE_BYTES)
                    stream.write(page)
                    stream.flush()
                    with suppress(sqlite3.Error, UnicodeDecodeError), closing(connect(graft, FROZEN)) as grafted:
                        yield grafted
