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

from ...errors import DamagedError, GalleryError, MisfitError
from ...system.forked import Home
from ...system.text import printable
from ...system.unfinished import publish, unfinished
from ..labels import normal_label
from . import history, replay
from .changes import Change
from .connection import check_there, connect, open_live, transaction
from .drives import warn_of_network_drive
from .failures import check_writable, hindrance, is_unable, mapped_errors, odd_content
from .given import instance, numbers, text, unicode_text, whole
from .held import FileId, changing, file_id, hold, holding, let_go
from .image import Images, Version, mark_as_logged, version
from .inherited import Connection
from .records import GRAPH, ROUNDING, UNIT_TOLERANCE, GraphRecord, Meta, NewGalleryItem, graph_record
from .schema import APPLICATION_ID, FORMAT, LOG_BYTES, MOST_DIM, PAGE_BYTES, SCHEMA
from .snapshot import Snapshot
from .structure import check_structure, log_bytes

_log = logging.getLogger(__name__)


class Store:
    """One gallery file. Safe from several threads; other processes may have it open too.

    Short queries use one connection under a lock. Writing, and reading what may be much, open a connection of their
    own, so a reader waits for no writer (SQLite's write-ahead log) and for no long reader. Where the file cannot be
    shared with writers, each reading opens an image of it (`connection.py`).
    """

    def __init__(
        self, path: Path, file: FileId, live: Connection | None, images: Images, meta: Meta, gallery_id: str
    ) -> None:
        """Take over a file that is held, and the connection that shares it with writers, None where it is images."""
        self.path = path
        self.meta = meta
        self.home = Home()
        self.id = gallery_id
        self._file: FileId | None = file
        self._images = images
        self._image_version: Version | None = None
        self._connections = 0  # whose data versions have nothing to do with each other
        self._lock = threading.Lock()
        self._live: Connection | None = None
        self._share(live)

    @classmethod
    def create(cls, path: Path, meta: Meta, gallery_id: str | None = None) -> Store:
        """Make a new file with an empty first revision.

        Raises:
            GalleryError: it exists already or cannot be written.
        """
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
            GalleryError: it is missing, no gallery, of another format version, or damaged.
        """
        path = path.absolute()  # which stays the same file when the working directory changes
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
                _log.warning(
                    "%s: can be read, but nothing can be enrolled: %s", path, hindrance(path) or "no log can be kept"
                )
            with nullcontext(live) if live else images.opened(keep=True) as connection:
                meta, gallery_id = _identity(connection, path)
            undo.pop_all()
        return cls(path, file, live, images, meta, gallery_id)

    def close(self) -> None:
        """Close the file; what was committed is on disk already."""
        with self._lock:
            if self._live:
                self._live.close()
            self._images.close()
            if self._file:
                let_go(self._file)
                self._file = None

    def data_version(self) -> Version:
        """Return what changes when anybody commits: `PRAGMA data_version`, in microseconds; of an image, file times."""
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
                except sqlite3.OperationalError as error:  # a log that a killed writer left, and this user cannot mend
                    if not is_unable(error):
                        raise
                    self._live.close()
                    self._live = None
            return version(self.path)

    @contextmanager
    def change(self, *, author: str = "", note: str = "") -> Iterator[Change]:
        """Make a revision of what is done inside, durably, or, when it raises, nothing of it.

        Nothing is committed where nothing was changed. Other writers wait for the end of the block.
        """
        author, note = text(author, "the author"), text(note, "the note")
        with self._writing() as connection:
            with odd_content(self.path):
                change = Change(connection, self._checked)
            yield change
            change.finish(author, note)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Give what the gallery holds at this moment, to be read in peace.

        Meanwhile the log keeps all that is committed, and grows with it; what it has grown to is folded in at the end.
        """
        logged = log_bytes(self.path)
        try:
            with self._apart() as connection, transaction(connection, "DEFERRED"):
                yield Snapshot(connection, self.path, self.meta.dim)
        finally:
            if self._live and log_bytes(self.path) > logged + LOG_BYTES:
                with suppress(GalleryError):  # others are reading, and do as much in the end
                    self.compact_log(wait=False)

    def prune(self, keep: int) -> tuple[int, int]:
        """Forget what was removed more than `keep` revisions ago; return how many entries and how many items it was."""
        with self._writing() as connection:
            forgotten = history.prune(connection, keep)
        with self._sharing() as connection:
            connection.executescript("PRAGMA incremental_vacuum")  # `execute` would give back a single page
        return forgotten

    def repeat(self, recorded: replay.Replay) -> None:
        """Repeat recorded revisions, all or none.

        Raises:
            MisfitError: this gallery is not at the revision that they follow, or they lead elsewhere than recorded.
        """
        instance(recorded, replay.Replay)
        with self._writing() as connection:
            try:
                replay.repeat(connection, recorded, self._checked)
            except GalleryError as error:
                raise MisfitError(str(error)) from error
            except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
                raise MisfitError(f"no gallery recorded this: {error}") from error

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
        with self._writing() as connection:
            place()
            connection.execute("DELETE FROM graph")
            connection.execute("INSERT INTO graph VALUES (?, ?, ?, ?, ?, ?)", values)

    def forget_graph(self, sha256: str) -> None:
        """Have no graph on record any more, if it is the one of this digest; fail at once where others are writing."""
        with self._writing(wait=False) as connection:
            connection.execute("DELETE FROM graph WHERE sha256 = ?", (sha256,))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep everybody, in this process and others, from committing; reading goes on."""
        with self._writing():
            yield

    def compact_log(self, *, wait: bool = True) -> None:
        """Move the write-ahead log into the file, so that the file alone is the gallery.

        Raises:
            GalleryError: others are reading or writing, and do not cease.
        """
        check_writable(self.path)
        with self._sharing() as connection:
            if not wait:
                connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # most of it, while others may write
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy and wait:
            raise GalleryError(f"{self.path}: is in use, so its log cannot be folded in")

    def copy(self, target: Path) -> None:
        """Write the gallery as of now into a new file.

        Raises:
            GalleryError: it exists already or cannot be written.
        """
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
        return replace(item, label=label, source=source, embedding=vector)

    def _share(self, live: Connection | None) -> None:
        """Use a connection for short queries, each under the lock."""
        self._live = live
        self._connections += 1
        if live:
            live.lock = self._lock

    def _check_same(self) -> FileId:
        """Check that the name still means the file that was opened, connections being opened by it; return which."""
        self.home.require(self.path)
        if self._file is None:
            raise GalleryError(f"{self.path}: is closed")
        try:
            found = self.path.stat()
        except OSError as error:
            raise GalleryError(f"{self.path}: cannot be read any more: {error.strerror}") from error
        if (found.st_dev, found.st_ino) != self._file:
            raise GalleryError(f"{self.path}: was replaced by another file; open it again")
        return self._file

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Give what short queries use."""
        with self._lock, mapped_errors(self.path):
            if self._live:
                yield self._live
                return
        with self._apart(keep=True) as connection:
            yield connection

    @contextmanager
    def _apart(self, *, keep: bool = False) -> Iterator[sqlite3.Connection]:
        """Give a connection of its own, or an image, to be read as long as it takes."""
        file = self._check_same()
        with mapped_errors(self.path), holding(file):
            live = open_live(self.path) if self._live else None
            with closing(live) if live else self._images.opened(keep=keep) as connection:
                check_structure(connection, self.path)
                yield connection

    @contextmanager
    def _sharing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that shares the file with others."""
        file = self._check_same()
        with mapped_errors(self.path), holding(file), closing(connect(self.path)) as connection:
            check_structure(connection, self.path)
            yield connection

    @contextmanager
    def _writing(self, *, wait: bool = True) -> Iterator[sqlite3.Connection]:
        """Give a connection in a transaction, which others wait for."""
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
    """Return what a file that says it is a gallery is for, and the gallery's id."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise GalleryError(f"{path}: is a SQLite file but no gallery")
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found != FORMAT:
        raise GalleryError(f"{path}: expected gallery format {FORMAT}, found {found}; build it again")
    check_structure(connection, path)
    facts = dict(connection.execute("SELECT key, value FROM meta LIMIT 9"))
    try:
        meta, gallery_id = Meta(facts["extractor"], facts["fingerprint"], int(facts["dim"])), facts["id"]
        if not 1 <= meta.dim <= MOST_DIM:
            raise ValueError(f"dimension: {meta.dim}")
        if not all(isinstance(text, str) for text in (meta.extractor, meta.fingerprint, gallery_id)):
            raise ValueError("text")
    except (KeyError, ValueError) as error:
        raise DamagedError(path, f"no usable {error}") from error
    return meta, gallery_id


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """Yield a name to make a file under, which then gets its own unless there is one by now."""
    if os.path.lexists(path):
        raise GalleryError(f"{path}: exists already")
    with unfinished(path) as partial:
        try:
            yield partial
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
