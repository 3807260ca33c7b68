"""Reading what is left of a damaged gallery file, row by row, into a new one."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import GalleryError
from .changes import Change
from .check import entry_fault
from .connection import LIVE, check_there, connect, is_open_here, mapped_errors, transaction
from .records import Entry, Meta, Progress
from .schema import MAGIC, PAGE_BYTES, ContentDigest
from .store import Store

_COUNTERS = (24, 92)
"""Where SQLite's header keeps its change counter, and the one for which its page count holds (file format, 1.3)."""
_PAGE_COUNT = 28
_REPORT_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Rescue:
    """What became of a damaged gallery: items kept, those lost as far as they are known, and whether the history is."""

    kept: int
    lost: tuple[str, ...]
    history: bool


def rescue(path: Path, target: Path, meta: Meta | None = None, progress: Progress | None = None) -> Rescue:
    """Make a gallery file of all that is whole in a damaged one, which stays as it is.

    Args:
        path: the damaged file; a log beside it is taken into account.
        target: the new file, which must not exist.
        meta: what the gallery is for, should the file not say it any more.
        progress: called with the items looked at and their number.

    Raises:
        GalleryError: nothing can be read, or the new file cannot be written.
    """
    check_there(path)
    if is_open_here(path):
        raise GalleryError(f"{path}: is open in this process; close it first")
    with _copy(path) as remains, mapped_errors(path), closing(_opened(path, remains)) as connection:
        facts = dict(_tried(connection, "SELECT key, value FROM meta"))
        meta = _meta(facts) or meta
        if meta is None:
            raise GalleryError(f"{path}: does not say any more which extractor it was made with: name its bundle")
        found = _Found(connection, meta.dim)
        found.read(progress)
        if not found.rows:
            raise GalleryError(f"{path}: holds nothing that can be read any more")
        store = Store.create(target, meta, facts.get("id"))
        store.close()
        with closing(connect(target, LIVE)) as new:
            new.execute("DELETE FROM revisions")
            with transaction(new):
                whole = found.write(new, facts)
        return Rescue(found.kept, tuple(found.lost), whole)


def assess(path: Path) -> tuple[int, int] | None:
    """Return how many of how many items of a damaged gallery are whole, None where that cannot be told."""
    if is_open_here(path):
        return None
    try:
        with _copy(path) as remains, closing(_opened(path, remains)) as connection:
            meta = _meta(dict(_tried(connection, "SELECT key, value FROM meta")))
            if meta is None:
                return None
            found = _Found(connection, meta.dim)
            found.read(None)
            return found.kept, found.kept + len(found.lost)
    except (GalleryError, sqlite3.Error):
        return None


class _Found:
    """Rows of a damaged file: entries that have their digest, with their embeddings."""

    def __init__(self, connection: sqlite3.Connection, dim: int) -> None:
        self._connection = connection
        self._dim = dim
        self.rows: list[tuple[Any, ...]] = []
        self.lost: list[str] = []
        self._whole = True

    @property
    def kept(self) -> int:
        return sum(row[5] is None for row in self.rows)

    def read(self, progress: Progress | None) -> None:
        last = self._last_item()
        for item in range(1, last + 1):
            self._read_item(item)
            if progress and (item % _REPORT_EVERY == 0 or item == last):
                progress(item, last)

    def _last_item(self) -> int:
        """Return the highest id that anything speaks of."""
        queries = ("SELECT seq FROM sqlite_sequence", "SELECT max(id) FROM embeddings", "SELECT max(item) FROM entries")
        return max((row[0] or 0 for query in queries for row in _tried(self._connection, query)), default=0)

    def _read_item(self, item: int) -> None:
        try:
            query = "SELECT item, label, source, digest, added_in, removed_in FROM entries WHERE item = ?"
            entries = self._connection.execute(query, (item,)).fetchall()
            if not entries:
                return
            found = self._connection.execute("SELECT vector FROM embeddings WHERE id = ?", (item,)).fetchone()
        except sqlite3.Error as error:
            self._lose(f"item {item}: cannot be read ({error})")
            return
        vector = found[0] if found else None
        for entry in entries:
            fault = entry_fault(item, entry[1], entry[2], entry[3], vector, self._dim)
            if fault is None:
                self.rows.append((*entry, vector))
            elif entry[5] is None:
                self._lose(f"item {item} ({entry[1]}, {entry[2] or 'no source'}): {fault}")
            else:
                self._whole = False

    def _lose(self, what: str) -> None:
        self._whole = False
        self.lost.append(what)

    def write(self, new: sqlite3.Connection, facts: dict[str, str]) -> bool:
        """Fill a new file; return whether the history could be kept."""
        vectors = {row[0]: row[6] for row in self.rows}
        new.executemany("INSERT INTO embeddings VALUES (?, ?)", vectors.items())
        log = _tried(self._connection, "SELECT * FROM revisions ORDER BY id")
        new.executemany("INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?)", log)
        if self._whole and not self._has_digest(log):
            self._lose("entries that nothing speaks of any more")
        if self._whole and self._is_continuous(log):
            new.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", [row[:6] for row in self.rows])
            _set_history(new, int(facts["history_from"]))
            return True
        last = max((row[0] for row in log), default=0)
        new.execute("DELETE FROM revisions")
        known = {row[0]: row for row in log}
        gap = ("", "", "lost", 0, 0, b"")
        rows = [known.get(number, (number, *gap)) for number in range(1, last + 1)]
        new.executemany("INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        new.execute("UPDATE revisions SET digest = zeroblob(32) WHERE id = ?", (last,))  # nothing to build upon
        change = Change(new, lambda item: item)
        for item, label, source, _, _, removed_in, _ in self.rows:
            if removed_in is None:
                change.restore(Entry(item, label, source))
        change.finish("", f"repaired: {len(self.lost)} items lost")
        new.execute("DELETE FROM embeddings WHERE id NOT IN (SELECT item FROM entries)")
        _set_history(new, change.revision)
        return False

    def _has_digest(self, log: list[tuple[Any, ...]]) -> bool:
        content = ContentDigest()
        for row in self.rows:
            if row[5] is None:
                content.add(row[3])
        return bool(log) and log[-1][6] == bytes(content)

    def _is_continuous(self, log: list[tuple[Any, ...]]) -> bool:
        numbers = {row[0] for row in log}
        used = {number for row in self.rows for number in (row[4], row[5]) if number is not None}
        return bool(numbers) and numbers == set(range(1, len(numbers) + 1)) and used <= numbers


def _set_history(connection: sqlite3.Connection, oldest: int) -> None:
    connection.execute("UPDATE meta SET value = ? WHERE key = 'history_from'", (str(oldest),))


def _meta(facts: dict[str, str]) -> Meta | None:
    with suppress(KeyError, ValueError):
        return Meta(facts["extractor"], facts["fingerprint"], int(facts["dim"]))
    return None


def _tried(connection: sqlite3.Connection, query: str) -> list[tuple[Any, ...]]:
    """Return a query's rows up to the first that cannot be read."""
    rows = []
    with suppress(sqlite3.Error):
        for row in connection.execute(query):
            rows.append(row)
    return rows


@contextmanager
def _copy(path: Path) -> Iterator[Path]:
    """Copy a file and its log to where they may be altered."""
    with tempfile.TemporaryDirectory(prefix="shitu-rescue-", dir=path.parent) as folder:
        copy = Path(folder) / "remains"
        try:
            shutil.copyfile(path, copy)
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{path}-wal", f"{copy}-wal")
        except OSError as error:
            raise GalleryError(f"{path}: cannot be copied: {error.strerror}") from error
        yield copy


def _opened(path: Path, remains: Path) -> sqlite3.Connection:
    """Open what is left of a file, under the first page of a sound one where its own is of no use."""
    for try_number in range(2):
        with suppress(sqlite3.Error):
            if try_number:
                _give_first_page(remains)
            connection = connect(remains, LIVE)
            if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'entries'").fetchone()[0]:
                return connection
            connection.close()
    raise GalleryError(f"{path}: not even its tables can be found any more")


def _give_first_page(remains: Path) -> None:
    """Put an empty gallery's first page over a damaged one: the tables begin at the same pages in every gallery."""
    model = remains.with_name("model")
    Store.create(model, Meta("", "", 1)).close()
    page = bytearray(model.read_bytes()[:PAGE_BYTES])
    pages = (remains.stat().st_size // PAGE_BYTES).to_bytes(4, "big")
    page[_PAGE_COUNT : _PAGE_COUNT + 4] = pages
    page[_COUNTERS[1] : _COUNTERS[1] + 4] = page[_COUNTERS[0] : _COUNTERS[0] + 4]
    assert page.startswith(MAGIC)
    with remains.open("rb+") as stream:
        stream.write(page)
