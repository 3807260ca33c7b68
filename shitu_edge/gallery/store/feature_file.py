"""The file of local features next to a gallery: derived from its pictures, made again when missing or damaged.

It is apart from the gallery, so that opening, searching, patches and copies do not carry it. A row belongs to a picture
by the checksum of its origin, whatever gallery the file lies next to. Whatever goes wrong here costs time and nothing
else: what cannot be read is missing, what cannot be written is not kept.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ...errors import GalleryError
from .connection import connect, transaction
from .inherited import Connection

_log = logging.getLogger(__name__)

_MOST_BYTES = 1 << 16
"""Of a row."""
_AT_ONCE = 200
_BUSY_MS = 1000
_TABLE = "CREATE TABLE features (key BLOB PRIMARY KEY, digest BLOB NOT NULL, content BLOB NOT NULL) WITHOUT ROWID"
_SAME = "SELECT sql FROM sqlite_master"
_READ = "SELECT key, digest, content FROM features WHERE length(content) <= ? AND key IN ({})"


class FeatureFile:
    """Bytes by key, kept next to a gallery. Safe from several threads and processes."""

    def __init__(self, gallery: Path, method: str) -> None:
        """Name the gallery's file and the method that makes features; those of another one are not read."""
        self._path = gallery.with_name(f"{gallery.name}.features")
        self._method = method.encode()
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._usable = True

    def read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return what is stored under keys; damaged rows are left out."""
        found: dict[bytes, bytes] = {}
        with self._lock, suppress(sqlite3.Error, OSError, GalleryError):
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
                connection = self._open(create=True)
                if connection is not None:
                    with transaction(connection):
                        for key, content in rows.items():
                            connection.execute(
                                "INSERT OR REPLACE INTO features VALUES (?, ?, ?)",
                                (key, self._digest(key, content), content),
                            )
            except (sqlite3.Error, OSError, GalleryError) as error:
                _log.info("%s: local features are not kept: %s", self._path, error)
                self._give_up()

    def keep_only(self, keys: Collection[bytes]) -> None:
        """Delete the rows of pictures that the gallery no longer has."""
        with self._lock, suppress(sqlite3.Error, OSError, GalleryError):
            connection = self._open(create=False)
            if connection is None:
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

    def _open(self, *, create: bool) -> Connection | None:
        """Return the open file, None if it is not there or cannot be used; one that is something else is replaced."""
        if self._connection is not None or not self._usable:
            return self._connection
        if not create and not self._path.exists():
            return None
        for last in (False, True):
            try:
                self._connection = connect(self._path, "mode=rwc")
                self._connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
                self._connection.execute("PRAGMA synchronous = OFF")
                structure = self._connection.execute(_SAME).fetchmany(2)
                if not structure and create:
                    self._connection.execute(_TABLE)
                elif structure != [(_TABLE,)]:
                    raise sqlite3.DatabaseError("is not a file of local features")
                return self._connection
            except sqlite3.OperationalError:  # locked, full, or read-only: another time, perhaps
                self._give_up()
                return None
            except sqlite3.Error:
                self._close()
                if last:
                    raise
                self._path.unlink(missing_ok=True)
        return None

    def _give_up(self) -> None:
        self._close()
        self._usable = False

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
