"""The file of local features next to a gallery: derived from its pictures, made again when missing or damaged.

It is apart from the gallery, so that opening, searching, patches and copies do not carry it. A row belongs to a picture
by the checksum of its origin, whatever gallery the file lies next to. Whatever goes wrong here costs time and nothing
else: what cannot be read is missing, what cannot be written is not kept, and a file of that name that was not written
here is set aside rather than replaced.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import ShituError
from .connection import LIVE, connect, transaction
from .inherited import Connection

_log = logging.getLogger(__name__)

_MOST_BYTES = 1 << 16
"""Of a row."""
_AT_ONCE = 200
_BUSY_S = 1.0
_TABLE = "features (key BLOB PRIMARY KEY, digest BLOB NOT NULL, content BLOB NOT NULL) WITHOUT ROWID"
_SAME = "SELECT sql FROM sqlite_master"
_APPLICATION_ID = 0x53484C46
"""`SHLF`, in bytes 68 to 71 of the file."""
_ID_AT = 68
_READ = """
SELECT key, digest, content FROM features
WHERE typeof(digest) = 'blob' AND typeof(content) = 'blob' AND length(content) <= ? AND key IN ({})
"""
_UNABLE = sqlite3.OperationalError, OSError, ShituError
"""The file is locked or read-only, the disk is full, or this process was forked in a bad moment."""
_DAMAGED = sqlite3.DatabaseError, UnicodeDecodeError
"""It is not what was written; SQLite's message of that may hold any bytes."""


class FeatureFile:
    """Bytes by key, kept next to a gallery. Safe from several threads and processes."""

    def __init__(self, gallery: Path, method: str) -> None:
        """Name the gallery's file and the method that makes features; those of another one are not read."""
        self._path = gallery.with_name(f"{gallery.name}.features")
        self._method = method.encode()
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._usable = self._writable = True

    def read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return what is stored under keys; damaged rows are left out."""
        found: dict[bytes, bytes] = {}
        with self._lock, suppress(*_UNABLE), self._without_damage():
            connection = self._open(create=False)
            for start in range(0, len(keys) if connection else 0, _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                assert connection is not None
                rows = connection.execute(_READ.format(",".join("?" * len(some))), (_MOST_BYTES, *some))
                found.update((key, content) for key, digest, content in rows if digest == self._digest(key, content))
        return found

    def write(self, rows: Mapping[bytes, bytes]) -> None:
        """Store rows; they are lost if the disk is full or the folder is read-only."""
        with self._lock:
            try:
                for _ in range(2 if self._writable else 0):  # again, after a damaged file was removed
                    with self._without_damage():
                        self._insert(rows)
                        return
            except _UNABLE as error:
                _log.info("%s: local features are not kept: %s", self._path, error)
                self._close()  # a transaction that cannot be rolled back, perhaps
                self._writable = False

    def keep_only(self, keys: Collection[bytes]) -> None:
        """Delete the rows of pictures that the gallery no longer has."""
        with self._lock, suppress(*_UNABLE), self._without_damage():
            connection = self._open(create=False)
            if connection is None or not self._writable:
                return
            wanted = frozenset(keys)
            gone = [key for (key,) in connection.execute("SELECT key FROM features") if key not in wanted]
            with transaction(connection):
                for key in gone:
                    connection.execute("DELETE FROM features WHERE key = ?", (key,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()
            self._usable = False

    def _digest(self, key: bytes, content: bytes) -> bytes:
        return hashlib.sha256(b"%b %b %b" % (self._method, key, content)).digest()[:16]

    def _insert(self, rows: Mapping[bytes, bytes]) -> None:
        connection = self._open(create=True)
        if connection is not None:
            with transaction(connection):
                for key, content in rows.items():
                    row = key, self._digest(key, content), content
                    connection.execute("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", row)

    def _open(self, *, create: bool) -> Connection | None:
        """Return the open file; None if it is not there, is being created, or cannot be used.

        Raises:
            sqlite3.DatabaseError: it is something else.
        """
        if self._connection is not None or not self._usable:
            return self._connection
        if not create and not self._path.exists():
            return None
        try:
            connection = self._connection = connect(self._path, "mode=rwc" if create else LIVE, _BUSY_S)
            connection.lock, connection.is_logged = self._lock, False
            connection.execute("PRAGMA synchronous = OFF")
            if create and not connection.execute(_SAME).fetchall():
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                connection.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE}")  # another process may have, by now
            structure = connection.execute(_SAME).fetchmany(2)
        except sqlite3.OperationalError:  # who waits for it once does not wait at every image
            self._close()
            self._usable = False
            raise
        if not structure:
            self._close()
            return None
        if structure != [(f"CREATE TABLE {_TABLE}",)]:
            raise sqlite3.DatabaseError("is not a file of local features")
        return connection

    @contextmanager
    def _without_damage(self) -> Iterator[None]:
        """Make room for another file if this one turns out to be damaged or something else."""
        try:
            yield
        except sqlite3.OperationalError:
            raise
        except _DAMAGED as error:
            self._close()
            self._beside("-journal").unlink(missing_ok=True)
            aside = self._beside(".unreadable")
            if self._is_own() or aside.exists():
                _log.info("%s: local features are found again: %s", self._path, error)
                self._path.unlink(missing_ok=True)
            else:
                _log.warning("%s: is not a file of local features; renamed to %s", self._path, aside.name)
                with suppress(FileNotFoundError):  # another process was first
                    self._path.replace(aside)

    def _is_own(self) -> bool:
        """Return whether the file was written here, as far as its header is intact, or is gone or empty."""
        try:
            with self._path.open("rb") as stream:
                header = stream.read(_ID_AT + 4)
        except FileNotFoundError:
            return True
        return not header or header[_ID_AT:] == _APPLICATION_ID.to_bytes(4, "big")

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(f"{self._path.name}{suffix}")

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
