"""One gallery file, open."""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import DamagedError, GalleryError, MisfitError
from ...labels import normal_label
from ...text import printable
from ..index import Ids, Rows
from ..unfinished import publish, unfinished
from . import history, replay
from .changes import Change
from .connection import (
    check_there,
    connect,
    connect_as_allowed,
    mapped_errors,
    odd_content,
    transaction,
)
from .inherited import Connection, FileId
from .records import GRAPH, ROUNDING, UNIT_TOLERANCE, GraphRecord, Meta, NewItem, graph_record
from .schema import APPLICATION_ID, FORMAT, SCHEMA
from .snapshot import Snapshot


class Store:
    """One gallery file. Safe from several threads; other processes may have it open too.

    Short queries use one connection under a lock. Writing, and reading what may be much, open a connection of their
    own, so a reader waits for no writer (SQLite's write-ahead log) and for no long reader.
    """

    def __init__(self, path: Path, connection: Connection, mode: str, meta: Meta, gallery_id: str) -> None:
        self.path = path
        self.meta = meta
        self.home = connection.home
        self._file: FileId | None = connection.file
        self.id = gallery_id
        self._mode = mode
        self._connection = connection
        self._lock = connection.lock = threading.Lock()

    @classmethod
    def create(cls, path: Path, meta: Meta, gallery_id: str | None = None) -> Store:
        """Make a new file with an empty first revision.

        Raises:
            GalleryError: it exists already or cannot be written.
        """
        path = path.absolute()
        if not path.parent.is_dir():
            raise GalleryError(f"{path}: there is no folder {path.parent}")
        if meta.dim < 1:
            raise GalleryError(f"{path}: expected a dimension of at least 1, found {meta.dim}")
        with _new_file(path) as partial, mapped_errors(path), closing(_created(partial)) as connection:
            connection.executescript(SCHEMA)
            with transaction(connection):
                facts = {
                    "id": gallery_id or uuid.uuid4().hex,
                    "extractor": meta.extractor,
                    "fingerprint": meta.fingerprint,
                    "dim": str(meta.dim),
                    "history_from": "1",
                }
                connection.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
                Change(connection, lambda item: item).finish("", "created", even_empty=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open an existing file.

        Raises:
            GalleryError: it is missing, no gallery, of another format version, or damaged.
        """
        path = path.absolute()  # which stays the same file when the working directory changes
        check_there(path)
        with odd_content(path), mapped_errors(path):
            connection, mode = connect_as_allowed(path)
            try:
                if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                    raise GalleryError(f"{path}: is a SQLite file but no gallery")
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version != FORMAT:
                    raise GalleryError(f"{path}: expected gallery format {FORMAT}, found {version}; build it again")
                facts = dict(connection.execute("SELECT key, value FROM meta"))
                meta = Meta(facts["extractor"], facts["fingerprint"], int(facts["dim"]))
                gallery_id = facts["id"]
                if meta.dim < 1:
                    raise ValueError(f"dimension: {meta.dim}")
            except (KeyError, ValueError) as error:
                connection.close()
                raise DamagedError(path, f"no usable {error}") from error
            except BaseException:
                connection.close()
                raise
        return cls(path, connection, mode, meta, gallery_id)

    def close(self) -> None:
        """Close the file; what was committed is on disk already."""
        with self._lock:
            self._file = None
            self._connection.close()

    def data_version(self) -> int:
        """Return a number that changes when anybody commits (`PRAGMA data_version`), in microseconds."""
        self._check_same()
        with self._reading() as connection:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def change(self, *, author: str = "", note: str = "") -> Iterator[Change]:
        """Make a revision of what is done inside, durably, or, when it raises, nothing of it.

        Nothing is committed where nothing was changed. Other writers wait for the end of the block.
        """
        with self._writing() as connection, transaction(connection):
            change = Change(connection, self._checked)
            yield change
            change.finish(author, note)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Give what the gallery holds at this moment, to be read in peace."""
        with self._apart() as connection, transaction(connection, "DEFERRED"):
            yield Snapshot(connection, self.path, self.meta.dim)

    def embeddings(self, ids: Ids) -> Rows:
        """Return the unit rows (N, D) of items, by ascending ids (N,); see `Snapshot.embeddings`."""
        with self.snapshot() as snapshot:
            return snapshot.embeddings(ids)

    def prune(self, keep: int) -> tuple[int, int]:
        """Forget what was removed more than `keep` revisions ago; return how many entries and how many items it was."""
        with self._writing() as connection:
            with transaction(connection):
                forgotten = history.prune(connection, keep)
            connection.executescript("PRAGMA incremental_vacuum")  # `execute` would give back a single page
        return forgotten

    def repeat(self, recorded: replay.Replay) -> None:
        """Repeat recorded revisions, all or none.

        Raises:
            MisfitError: this gallery is not at the revision that they follow, or they lead elsewhere than recorded.
        """
        with self._writing() as connection, transaction(connection):
            try:
                replay.repeat(connection, recorded, self._checked)
            except GalleryError as error:
                raise MisfitError(str(error)) from error

    def graph(self) -> GraphRecord | None:
        """Return the graph on record, None when there is none, or the record is damaged."""
        self._check_same()
        with self._reading() as connection:
            row = connection.execute(GRAPH).fetchone()
        return graph_record(row) if row else None

    def record_graph(self, graph: GraphRecord, place: Callable[[], None]) -> None:
        """Put a graph on record in place of an earlier one; `place` puts its file there, under the same lock."""
        parameters = graph.parameters
        breadths = (parameters.ef_construction, parameters.ef_among(graph.count))
        values = (graph.sha256, graph.revision, graph.count, parameters.m, *breadths)
        with self._writing() as connection, transaction(connection):
            place()
            connection.execute("DELETE FROM graph")
            connection.execute("INSERT INTO graph VALUES (?, ?, ?, ?, ?, ?)", values)

    def forget_graph(self, sha256: str) -> None:
        """Have no graph on record any more, if it is the one of this digest; fail at once where others are writing."""
        with self._writing() as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("DELETE FROM graph WHERE sha256 = ?", (sha256,))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep everybody, in this process and others, from committing; reading goes on."""
        with self._writing() as connection, transaction(connection):
            yield

    def compact_log(self, *, wait: bool = True) -> None:
        """Move the write-ahead log into the file, so that the file alone is the gallery.

        Raises:
            GalleryError: others are reading or writing, and do not cease.
        """
        with self._apart() as connection:
            if not wait:
                connection.execute("PRAGMA busy_timeout = 0")
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy and wait:
            raise GalleryError(f"{self.path}: is in use, so its log cannot be folded in")

    def copy(self, target: Path) -> None:
        """Write the gallery as of now into a new file.

        Raises:
            GalleryError: it exists already or cannot be written.
        """
        with (
            _new_file(target) as partial,
            self._apart() as connection,
            mapped_errors(target),
            closing(_created(partial)) as copy,
        ):
            connection.backup(copy)

    def _checked(self, item: NewItem) -> NewItem:
        source = printable(item.source)
        label = normal_label(item.label, source or "an item")
        vector = np.asarray(item.embedding, np.float32)
        square = float(vector @ vector) if vector.shape == (self.meta.dim,) else 0.0
        if not abs(square - 1) < UNIT_TOLERANCE:
            found = f"length {square**0.5:.4g}" if vector.shape == (self.meta.dim,) else f"shape {vector.shape}"
            raise GalleryError(f"{source or label}: expected a unit row ({self.meta.dim},), found {found}")
        if abs(square - 1) > ROUNDING:
            vector = vector / np.float32(np.sqrt(square))
        return replace(item, label=label, source=source, embedding=vector)

    def _check_same(self) -> None:
        """Check that the name still means the file that was opened: connections are opened by it."""
        self.home.require(self.path)
        if self._file is None:
            raise GalleryError(f"{self.path}: is closed")
        try:
            found = self.path.stat()
        except OSError as error:
            raise GalleryError(f"{self.path}: cannot be read any more: {error.strerror}") from error
        if (found.st_dev, found.st_ino) != self._file:
            raise GalleryError(f"{self.path}: was replaced by another file; open it again")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, mapped_errors(self.path):
            yield self._connection

    @contextmanager
    def _apart(self) -> Iterator[sqlite3.Connection]:
        self._check_same()
        with mapped_errors(self.path), closing(connect(self.path, self._mode)) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._apart() as connection:
            connection.execute("PRAGMA synchronous = FULL")
            yield connection


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """Yield a name to make a file under, which then gets its own unless there is one by now."""
    if os.path.lexists(path):
        raise GalleryError(f"{path}: exists already")
    with unfinished(path) as partial:
        yield partial
        try:
            publish(partial, path)
        except FileExistsError as error:
            raise GalleryError(f"{path}: exists already") from error
        except OSError as error:
            raise GalleryError(f"{path}: cannot be created: {error.strerror}") from error


def _created(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644))
    except OSError as error:
        raise GalleryError(f"{path}: cannot be created: {error.strerror}") from error
    return sqlite3.connect(path, isolation_level=None)
