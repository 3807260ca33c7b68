"""The truth about a gallery: one SQLite file. The only user of sqlite3.

    meta        what the gallery is: dimension, extractor, fingerprint
    revisions   the log: every committed change, numbered from 1
    items       label, source and embedding, with the revisions that added and removed them
    graph       the derived hnswlib file that belongs to a revision, by its digest

An item removed in revision R is part of every revision before R, so any past revision can be read.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import GalleryError
from .index import GraphParameters, Ids, Rows

_log = logging.getLogger(__name__)

_APPLICATION_ID = 0x53544547  # "STEG" in the SQLite header: shitu-edge gallery
_FORMAT = 1
_MAGIC = b"SQLite format 3\0"
_BUSY_TIMEOUT_S = 30.0
UNIT_TOLERANCE = 1e-3
_LIVE = "mode=rw"
_FROZEN = "immutable=1"

# These run after every commit, so they go by an index (SQLite takes the partial one only for its very condition) and
# never through the table. Ids grow with revisions, so that by revision and id is by id.
_LAST_REMOVAL = "SELECT max(removed_in) FROM items WHERE removed_in IS NOT NULL"
_LABELS_SINCE = "SELECT id, label FROM items WHERE added_in > ? AND removed_in IS NULL ORDER BY added_in, id"
_EMBEDDINGS_BETWEEN = """
SELECT id, embedding FROM items WHERE added_in > ? AND added_in <= ? AND removed_in IS NULL ORDER BY added_in, id
"""

_PAGE_BYTES = 16384
"""A page of the default 4 096 bytes holds one embedding of 512 numbers and is half empty; these hold seven."""

_SCHEMA = f"""
PRAGMA page_size = {_PAGE_BYTES};
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_FORMAT};
PRAGMA journal_mode = WAL;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE revisions (
    id INTEGER PRIMARY KEY,
    created_at TEXT NOT NULL,
    author TEXT NOT NULL,
    note TEXT NOT NULL
);
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    label TEXT NOT NULL,
    source TEXT NOT NULL,
    embedding BLOB NOT NULL,
    added_in INTEGER NOT NULL REFERENCES revisions (id),
    removed_in INTEGER REFERENCES revisions (id)
);
CREATE INDEX items_by_label ON items (label);
CREATE INDEX items_by_addition ON items (added_in);
CREATE INDEX items_by_removal ON items (removed_in) WHERE removed_in IS NOT NULL;
CREATE TABLE graph (
    revision INTEGER PRIMARY KEY REFERENCES revisions (id),
    sha256 TEXT NOT NULL,
    count INTEGER NOT NULL,
    m INTEGER NOT NULL,
    ef_construction INTEGER NOT NULL,
    ef INTEGER NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Meta:
    """What a gallery is for: the extractor's name and fingerprint, and its dimension."""

    extractor: str
    fingerprint: str
    dim: int


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to be: its label, where it came from, and its unit row (D,) float32."""

    label: str
    source: str
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item of the current revision, without its embedding."""

    id: int
    label: str
    source: str
    added_in: int


@dataclass(frozen=True, slots=True)
class Load:
    """Items as of `revision`, by id; `last_removal` is the newest revision that removed any, 0 if none did."""

    revision: int
    last_removal: int
    ids: Ids
    labels: list[str]


@dataclass(frozen=True, slots=True)
class GraphRecord:
    """The graph file that belongs to a revision."""

    revision: int
    sha256: str
    count: int
    parameters: GraphParameters


class Store:
    """One gallery file. Safe from several threads; other processes may have it open too.

    Short queries use one connection under a lock. Writing and reading embeddings, which may be many, open a connection
    of their own, so a reader waits for no writer (SQLite's write-ahead log) and for no long reader.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, mode: str, meta: Meta) -> None:
        self.path = path
        self.meta = meta
        self._mode = mode
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def create(cls, path: Path, meta: Meta) -> Store:
        """Make a new file with an empty first revision.

        Raises:
            GalleryError: it exists already or cannot be written.
        """
        if not os.path.isdir(path.parent):
            raise GalleryError(f"{path}: there is no folder {path.parent}")
        if meta.dim < 1:
            raise GalleryError(f"{path}: expected a dimension of at least 1, found {meta.dim}")
        _claim(path)
        try:
            with _mapped_errors(path), closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.executescript(_SCHEMA)
                with _transaction(connection):
                    facts = {"extractor": meta.extractor, "fingerprint": meta.fingerprint, "dim": str(meta.dim)}
                    connection.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
                    _new_revision(connection, "", "created")
        except BaseException:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            raise
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open an existing file.

        Raises:
            GalleryError: it is missing, no gallery, of another format version, or damaged.
        """
        _check_header(path)
        with _mapped_errors(path):
            connection, mode = _connect_as_allowed(path)
            try:
                if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
                    raise GalleryError(f"{path}: is a SQLite file but no gallery")
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version != _FORMAT:
                    raise GalleryError(f"{path}: expected gallery format {_FORMAT}, found {version}")
                facts = dict(connection.execute("SELECT key, value FROM meta"))
                meta = Meta(facts["extractor"], facts["fingerprint"], int(facts["dim"]))
                if meta.dim < 1:
                    raise ValueError(f"dimension: {meta.dim}")
            except (KeyError, ValueError) as error:
                connection.close()
                raise GalleryError(f"{path}: is damaged: no usable {error}") from error
            except BaseException:
                connection.close()
                raise
        return cls(path, connection, mode, meta)

    def close(self) -> None:
        """Close the file; what was committed is on disk already."""
        with self._lock:
            self._connection.close()

    def data_version(self) -> int:
        """Return a number that changes when anybody commits (`PRAGMA data_version`), in microseconds."""
        with self._reading() as connection:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

    def revision(self) -> int:
        """Return the number of the current revision."""
        with self._reading() as connection:
            return int(connection.execute("SELECT max(id) FROM revisions").fetchone()[0])

    def add(self, items: Iterable[NewItem], *, author: str = "", note: str = "") -> list[int]:
        """Add items as one revision, durably and all or none, and return their ids.

        An exception out of `items` (an interruption, say) leaves the gallery as it was. Nothing is committed for no
        items.
        """
        with self._writing() as connection, _transaction(connection):
            revision = _new_revision(connection, author, note)
            ids = [_insert(connection, item, revision) for item in items]
            if not ids:
                connection.execute("DELETE FROM revisions WHERE id = ?", (revision,))
        return ids

    def load(self, since: int = 0) -> Load:
        """Read ids and labels of the active items added after revision `since`, as of one moment."""
        with self._reading() as connection, _transaction(connection, "DEFERRED"):
            revision = connection.execute("SELECT max(id) FROM revisions").fetchone()[0]
            removed = connection.execute(_LAST_REMOVAL).fetchone()[0]
            rows = connection.execute(_LABELS_SINCE, (since,)).fetchall()
        unique: dict[str, str] = {}
        labels = [unique.setdefault(label, label) for _, label in rows]
        return Load(revision, removed or 0, np.array([row[0] for row in rows], np.int64), labels)

    def embeddings(self, since: int, until: int) -> tuple[Ids, Rows]:
        """Return ids (N,) and unit rows (N, D) of the active items added in revisions `since` < r ≤ `until`, by id.

        Raises:
            GalleryError: an embedding is damaged.
        """
        with self._apart() as connection:
            rows = connection.execute(_EMBEDDINGS_BETWEEN, (since, until)).fetchall()
        dim = self.meta.dim
        if any(not isinstance(row[1], bytes) or len(row[1]) != 4 * dim for row in rows):
            raise GalleryError(f"{self.path}: is damaged: an embedding has not {dim} numbers")
        vectors = np.frombuffer(b"".join(row[1] for row in rows), "<f4").reshape(-1, dim).astype(np.float32, copy=False)
        if not np.all(np.abs(np.einsum("nd,nd->n", vectors, vectors) - 1) < UNIT_TOLERANCE):
            raise GalleryError(f"{self.path}: is damaged: an embedding is no unit vector")
        return np.array([row[0] for row in rows], np.int64), vectors

    def items(self, label: str | None = None) -> Iterator[StoredItem]:
        """Yield the current items by id, all of them or one label's."""
        where, values = (" AND label = ?", (label,)) if label is not None else ("", ())
        with self._reading() as connection:
            query = f"SELECT id, label, source, added_in FROM items WHERE removed_in IS NULL{where} ORDER BY id"
            rows = connection.execute(query, values).fetchall()
        return (StoredItem(*row) for row in rows)

    def label_counts(self) -> dict[str, int]:
        """Return how many current items each label has, by label."""
        with self._reading() as connection:
            query = "SELECT label, count(*) FROM items WHERE removed_in IS NULL GROUP BY label ORDER BY label"
            return dict(connection.execute(query).fetchall())

    def graph(self) -> GraphRecord | None:
        """Return the newest graph on record, None when there is none."""
        with self._reading() as connection:
            row = connection.execute("SELECT * FROM graph ORDER BY revision DESC LIMIT 1").fetchone()
        return GraphRecord(row[0], row[1], row[2], GraphParameters(*row[3:])) if row else None

    def record_graph(self, graph: GraphRecord, place: Callable[[], None]) -> None:
        """Put a graph on record in place of all earlier ones; `place` puts its file there, under the same lock."""
        values = (graph.revision, graph.sha256, graph.count, *_parameter_values(graph.parameters))
        with self._writing() as connection, _transaction(connection):
            place()
            connection.execute("DELETE FROM graph")
            connection.execute("INSERT INTO graph VALUES (?, ?, ?, ?, ?, ?)", values)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep everybody, in this process and others, from committing; reading goes on."""
        with self._writing() as connection, _transaction(connection):
            yield

    def compact_log(self) -> None:
        """Move the write-ahead log into the file, so that the file alone is the gallery."""
        with self._reading() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _mapped_errors(self.path):
            yield self._connection

    @contextmanager
    def _apart(self) -> Iterator[sqlite3.Connection]:
        with _mapped_errors(self.path), closing(_connect(self.path, self._mode)) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._apart() as connection:
            connection.execute("PRAGMA synchronous = FULL")
            yield connection


def _claim(path: Path) -> None:
    """Make an empty file, which nobody else can then believe to have made."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644))
    except FileExistsError as error:
        raise GalleryError(f"{path}: exists already") from error
    except OSError as error:
        raise GalleryError(f"{path}: cannot be created: {error.strerror}") from error


def _check_header(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            header = stream.read(len(_MAGIC))
    except OSError as error:
        hint = "; `shitu-edge gallery build` makes one" if isinstance(error, FileNotFoundError) else ""
        raise GalleryError(f"{path}: cannot be opened: {error.strerror}{hint}") from error
    if header != _MAGIC:
        raise GalleryError(f"{path}: is not a gallery (no SQLite file)")


def _connect_as_allowed(path: Path) -> tuple[sqlite3.Connection, str]:
    """Open for reading and writing, or what a read-only folder allows; say which."""
    try:
        return _connect(path, _LIVE), _LIVE
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or not _is_frozen(path):
            raise
    _log.warning("%s: cannot be written here, so later changes by others will not be seen", path)
    return _connect(path, _FROZEN), _FROZEN


def _is_frozen(path: Path) -> bool:
    """Return whether a write-ahead log cannot be set up here, and none is there that reading would pass over."""
    log = f"{path}-wal"
    logged = os.path.exists(log) and os.path.getsize(log) > 0
    return not logged and not (os.access(path.parent, os.W_OK) and os.access(path, os.W_OK))


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=_BUSY_TIMEOUT_S,
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")  # SQLite opens a file only when it is read
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def _mapped_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise GalleryError(f"{path}: {error}") from error


def _new_revision(connection: sqlite3.Connection, author: str, note: str) -> int:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    query = "INSERT INTO revisions (created_at, author, note) VALUES (?, ?, ?)"
    return int(connection.execute(query, (now, author, note)).lastrowid or 0)


def _insert(connection: sqlite3.Connection, item: NewItem, revision: int) -> int:
    blob = np.ascontiguousarray(item.embedding, "<f4").tobytes()
    query = "INSERT INTO items (label, source, embedding, added_in) VALUES (?, ?, ?, ?)"
    return int(connection.execute(query, (item.label, item.source, blob, revision)).lastrowid or 0)


def _parameter_values(parameters: GraphParameters) -> tuple[int, int, int]:
    return parameters.m, parameters.ef_construction, parameters.ef
