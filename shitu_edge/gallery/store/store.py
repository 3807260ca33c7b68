"""One gallery file, open."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import DamagedError, GalleryError, MisfitError, os_errors_as
from ...system.forked import Home
from ...system.text import printable
from ...system.unfinished import finished, publish, unfinished
from ..labels import normal_label
from . import history, replay
from .changes import Change
from .connection import check_there, connect, open_live, transaction
from .drives import warn_of_network_drive
from .failures import WRONG_TYPE, check_writable, hindrance, is_unable, mapped_errors, odd_content
from .given import instance, numbers, origin, text, unicode_text, whole
from .held import FileId, changing, file_id, hold, holding, let_go
from .image import Images, Version, mark_as_logged, version
from .inherited import Connection
from .records import GRAPH, ROUNDING, UNIT_TOLERANCE, IndexRecord, Meta, NewGalleryItem, index_record
from .schema import APPLICATION_ID, FORMAT, FORMATS, LOG_BYTES, MOST_DIM, PAGE_BYTES, SCHEMA
from .snapshot import Snapshot
from .structure import check_structure, log_bytes

_log = logging.getLogger(__name__)


class Store:
    """One gallery file. Thread-safe; other processes may have it open too.

    Short queries share one connection under a lock. Writes and long reads open their own, so a reader waits neither for
    writers (SQLite's write-ahead log) nor for long reads. If the file cannot be shared with writers, each read opens an
    image of it (`connection.py`).
    """

    def __init__(
        self, path: Path, file: FileId, live: Connection | None, images: Images, meta: Meta, gallery_id: str
    ) -> None:
        """Take over a held file and the connection shared with writers, None if it is read as images."""
        self.path = path
        self.meta = meta
        self.home = Home()
        self.id = gallery_id
        self._file: FileId | None = file
        self._images = images
        self._image_version: Version | None = None
        self._connections = 0  # data versions of different connections are unrelated
        self._lock = threading.Lock()
        self._live: Connection | None = None
        self._share(live)

    @classmethod
    def create(cls, path: Path, meta: Meta, gallery_id: str | None = None) -> Store:
        """Create a file with an empty first revision. Raises `GalleryError` if it exists or cannot be written."""
        path = path.absolute()
        if not path.parent.is_dir():
            raise GalleryError(f"{path}: there is no folder {path.parent}")
        dim = whole(meta.dim, "a dimension of at least 1", 1)
        if dim > MOST_DIM:
            raise GalleryError(f"{path}: expected a dimension of at most {MOST_DIM}, found {dim}")
        with _new_file(path) as partial, mapped_errors(path), closing(_created(partial)) as connection:
            connection.executescript(SCHEMA)
            with transaction(connection):
                facts = {
                    "id": gallery_id or uuid.uuid4().hex,
                    "extractor": unicode_text(meta.extractor, "the extractor's name"),
                    "fingerprint": unicode_text(meta.fingerprint, "the extractor's fingerprint"),
                    "dim": str(dim),
                    "history_from": "1",
                }
                connection.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
                Change(connection, lambda item: item).finish("", "created", even_empty=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open an existing file.

        Raises:
            GalleryError: it is missing, not a gallery, of another format version, or damaged.
        """
        path = path.absolute()  # stays valid when the working directory changes
        check_there(path)
        warn_of_network_drive(path)
        file = file_id(path)
        with ExitStack() as undo, odd_content(path), mapped_errors(path):
            hold(file)
            undo.callback(let_go, file)
            live, images = open_live(path), Images(path)
            undo.callback(images.close)
            if live:
                undo.callback(live.close)
            elif os.access(path, os.W_OK):
                _log.warning("%s: is open for reading only: %s", path, hindrance(path) or "its log cannot be written")
            with nullcontext(live) if live else images.opened(keep=True) as connection:
                meta, gallery_id = _identity(connection, path)
            undo.pop_all()
        return cls(path, file, live, images, meta, gallery_id)

    def close(self) -> None:
        """Close the file; commits are on disk already."""
        with self._lock:
            if self._live:
                self._live.close()
            self._images.close()
            if self._file:
                let_go(self._file)
                self._file = None

    def data_version(self) -> Version:
        """Return a value that every commit changes: `PRAGMA data_version` or an image's file times."""
        self._check_same()
        with self._lock, mapped_errors(self.path):
            if self._file is None:
                raise GalleryError(f"{self.path}: is closed")
            if self._live is None:
                found = version(self.path)
                if found == self._image_version:
                    return found
                self._image_version = found
                self._share(open_live(self.path))
            if self._live:
                try:
                    return (self._connections, self._live.execute("PRAGMA data_version").fetchone()[0])
                except sqlite3.OperationalError as error:  # a killed writer's log, which this user cannot recover
                    if not is_unable(error):
                        raise
                    self._live.close()
                    self._live = None
            return version(self.path)

    @contextmanager
    def change(self, *, author: str = "", note: str = "") -> Iterator[Change]:
        """Make one durable revision of the changes inside; an error undoes them all.

        Without changes nothing is committed. Other writers wait for the end of the block.
        """
        author, note = text(author, "the author"), text(note, "the note")
        with self._writing() as connection:
            with odd_content(self.path):
                change = Change(connection, self._checked)
            yield change
            change.finish(author, note)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Yield the gallery's current revision for reading.

        Meanwhile the log keeps and grows by every commit; at the end it is merged into the file.
        """
        logged = log_bytes(self.path)
        try:
            with ExitStack() as stack:
                yield self._begun(stack)
        finally:
            if self._live and log_bytes(self.path) > logged + LOG_BYTES:
                with suppress(GalleryError):  # other readers do the same when they end
                    self.compact_log(wait=False)

    def prune(self, keep: int) -> tuple[int, int]:
        """Forget what was removed more than `keep` revisions ago; return the numbers of entries and items forgotten."""
        with self._writing() as connection:
            forgotten = history.prune(connection, keep)
        with self._sharing() as connection:
            connection.executescript("PRAGMA incremental_vacuum")  # `execute` would free a single page
        return forgotten

    def repeat(self, recorded: replay.Replay) -> None:
        """Repeat recorded revisions, all or none.

        Raises:
            MisfitError: this gallery is not at their base revision, or the result differs from the recorded one.
        """
        instance(recorded, replay.Replay)
        with self._writing() as connection:
            try:
                replay.repeat(connection, recorded, self._checked)
            except GalleryError as error:
                raise MisfitError(str(error)) from error
            except WRONG_TYPE as error:
                raise MisfitError(f"the recorded revisions are invalid: {error}") from error

    def index(self) -> IndexRecord | None:
        """Return the record of the index, None without one or if it is damaged."""
        self._check_same()
        with self._reading() as connection:
            row = connection.execute(GRAPH).fetchone()
        return index_record(row) if row else None

    def record_index(self, graph: IndexRecord, place: Callable[[], None]) -> None:
        """Record an index instead of an earlier one; `place` renames its file, under the same lock."""
        parameters = graph.parameters
        breadths = (parameters.ef_construction, parameters.ef_among(graph.count))
        values = (graph.sha256, graph.revision, graph.count, parameters.m, *breadths)
        with self._writing() as connection:
            place()
            connection.execute("DELETE FROM graph")
            connection.execute("INSERT INTO graph VALUES (?, ?, ?, ?, ?, ?)", values)

    def forget_index(self, sha256: str) -> None:
        """Delete the record of the index with this SHA-256; fails at once if others are writing."""
        with self._writing(wait=False) as connection:
            connection.execute("DELETE FROM graph WHERE sha256 = ?", (sha256,))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Block commits by every process; reads continue."""
        with self._writing():
            yield

    def compact_log(self, *, wait: bool = True) -> None:
        """Merge the write-ahead log into the file, so that the file alone is the gallery.

        Raises:
            GalleryError: others keep reading or writing.
        """
        check_writable(self.path)
        with self._sharing() as connection:
            if not wait:
                connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # most of it, while others may write
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy and wait:
            raise GalleryError(f"{self.path}: is in use, so its log cannot be merged; close it elsewhere and try again")

    def copy(self, target: Path) -> None:
        """Write the current gallery to a new file. Raises `GalleryError` if it exists or cannot be written."""
        with _new_file(target) as partial:
            with self._apart() as connection, mapped_errors(target), closing(_created(partial)) as copy:
                connection.backup(copy)
            mark_as_logged(partial)

    def _checked(self, item: NewGalleryItem) -> NewGalleryItem:
        instance(item, NewGalleryItem)
        source = printable(text(item.source, "a source"))
        label = normal_label(text(item.label, "a label"), source or "an item")
        with np.errstate(all="ignore"):
            vector = numbers(item.embedding, f"a unit row ({self.meta.dim},)").astype(np.float32)
            square = float(vector @ vector) if vector.shape == (self.meta.dim,) else 0.0
        if not abs(square - 1) < UNIT_TOLERANCE:
            found = f"length {square**0.5:.4g}" if vector.shape == (self.meta.dim,) else f"shape {vector.shape}"
            raise GalleryError(f"{source or label}: expected a unit row ({self.meta.dim},), found {found}")
        if abs(square - 1) > ROUNDING:
            vector = vector / np.float32(np.sqrt(square))
        made = None if item.origin is None else origin(item.origin)
        return replace(item, label=label, source=source, embedding=vector, origin=made)

    def _begun(self, stack: ExitStack) -> Snapshot:
        """Begin to read until the stack ends; from an image if a writer has just taken the log away with it."""
        with ExitStack() as shared:
            connection = shared.enter_context(self._apart())
            shared.enter_context(transaction(connection, "DEFERRED"))
            try:
                found = Snapshot(connection, self.path, self.meta.dim)
            except sqlite3.OperationalError as error:
                if not is_unable(error):
                    raise
            else:
                stack.push(shared.pop_all())
                return found
        connection = stack.enter_context(self._apart(image=True))
        stack.enter_context(transaction(connection, "DEFERRED"))
        return Snapshot(connection, self.path, self.meta.dim)

    def _share(self, live: Connection | None) -> None:
        """Use this connection for short queries."""
        self._live = live
        self._connections += 1
        if live:
            live.lock = self._lock

    def _check_same(self) -> FileId:
        """Check that the path still names the file that was opened; return its identity."""
        self.home.require(self.path)
        if self._file is None:
            raise GalleryError(f"{self.path}: is closed")
        with os_errors_as(GalleryError, self.path, "can no longer be read"):
            found = self.path.stat()
        if (found.st_dev, found.st_ino) != self._file:
            raise GalleryError(f"{self.path}: was replaced by another file; open it again")
        return self._file

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection for short queries."""
        with self._lock, mapped_errors(self.path):
            if self._live:
                yield self._live
                return
        with self._apart(keep=True) as connection:
            yield connection

    @contextmanager
    def _apart(self, *, keep: bool = False, image: bool = False) -> Iterator[sqlite3.Connection]:
        """Yield a separate connection or, if that is impossible or asked for, an image, for long reads."""
        file = self._check_same()
        with mapped_errors(self.path), holding(file):
            live = self._checked_live() if self._live and not image else None
            with closing(live) if live else self._images.opened(keep=keep) as connection:
                if not live:
                    check_structure(connection, self.path)
                yield connection

    def _checked_live(self) -> Connection | None:
        """Return a connection that shares the file; None if that is impossible, perhaps since a moment ago."""
        live = open_live(self.path)
        if live:
            try:
                check_structure(live, self.path)
            except BaseException as error:
                live.close()
                if not isinstance(error, sqlite3.OperationalError) or not is_unable(error):
                    raise
                return None
        return live

    @contextmanager
    def _sharing(self) -> Iterator[sqlite3.Connection]:
        """Yield a separate connection that shares the file with others."""
        file = self._check_same()
        with mapped_errors(self.path), holding(file), closing(connect(self.path)) as connection:
            check_structure(connection, self.path)
            yield connection

    @contextmanager
    def _writing(self, *, wait: bool = True) -> Iterator[sqlite3.Connection]:
        """Yield a connection inside a write transaction."""
        file = self._check_same()
        check_writable(self.path)
        with changing(self.path, file), self._sharing() as connection:
            if not wait:
                connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_BYTES // PAGE_BYTES}")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            with transaction(connection):
                yield connection


def _identity(connection: sqlite3.Connection, path: Path) -> tuple[Meta, str]:
    """Return a gallery file's extractor and id."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise GalleryError(f"{path}: is a SQLite file but not a gallery")
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found not in FORMATS:
        remedy = "build it again" if found < FORMAT else "update shitu-edge"
        raise GalleryError(f"{path}: expected gallery format {FORMATS[0]} to {FORMATS[-1]}, found {found}; {remedy}")
    check_structure(connection, path)
    facts = dict(connection.execute("SELECT key, value FROM meta LIMIT 9"))
    try:
        meta, gallery_id = Meta(facts["extractor"], facts["fingerprint"], int(facts["dim"])), facts["id"]
        if not 1 <= meta.dim <= MOST_DIM:
            raise ValueError(f"dimension: {meta.dim}")
        if not all(isinstance(text, str) for text in (meta.extractor, meta.fingerprint, gallery_id)):
            raise ValueError("text")
    except (KeyError, ValueError) as error:
        raise DamagedError(path, f"its metadata is unusable: {error}") from error
    return meta, gallery_id


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path; afterwards the file is renamed to `path` unless that exists by now."""
    if os.path.lexists(path):
        raise GalleryError(f"{path}: already exists")
    with unfinished(path) as partial:
        try:
            yield partial
            publish(partial, path)
        except FileExistsError as error:
            raise GalleryError(f"{path}: already exists") from error
        except OSError as error:
            raise GalleryError(f"{path}: cannot be created: {error.strerror}") from error


def _created(path: Path) -> sqlite3.Connection:
    with os_errors_as(GalleryError, finished(path), "cannot be created"):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644))
    return sqlite3.connect(path, isolation_level=None)
