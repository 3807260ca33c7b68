"""Connections to a gallery file: how it may be opened, and what a transaction is.

SQLite keeps a write-ahead log (`-wal`) and its index in shared memory (`-shm`) next to the file. A reader that shares
the file with writers (`LIVE`) opens, creates or grows both. If that is impossible, or would leave files that lock out
others, the file and its log are read into memory (`image.py`): without disk space, write permission, locks or files,
and as one revision too.

    file          folder        log and index    space      read
    writable      writable      any              yes        LIVE
    writable      writable      any              < 32 KiB   LIVE while others keep the index; else image
    writable      read-only     there            any        LIVE
    writable      read-only     missing          any        image
    read-only     read-only     there            any        LIVE (SQLite makes no file here)
    read-only     read-only     missing          any        image
    read-only     writable      any              any        image: a log of ours would lock out who may write

So `LIVE` is tried unless the last line holds; if SQLite cannot open the file, an image is read. When file or log
change, `LIVE` is tried again before the image is read again. Writing is always `LIVE`.

`immutable=1`, SQLite's mode for read-only media, is not used: if others change the file, it would read as damaged.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ...errors import GalleryError
from ...system.forked import Home
from .failures import is_unable
from .held import beside, is_open_here
from .inherited import Connection, close_inherited
from .schema import MAGIC
from .structure import size_on_disk

BUSY_TIMEOUT_S = 30.0
LIVE = "mode=rw"
FROZEN = "immutable=1"


def check_there(path: Path) -> None:
    """Check that a file exists and can be read, without opening it (see `held.py`)."""
    hint = ""
    try:
        found = path.stat()
        reason = "Is a directory" if stat.S_ISDIR(found.st_mode) else None
        if not os.access(path, os.R_OK):
            reason = os.strerror(errno.EACCES)
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        reason = error.strerror if isinstance(error, OSError) else str(error)
        hint = "; create it with `shitu-edge gallery build`" if isinstance(error, FileNotFoundError) else ""
    if reason:
        raise GalleryError(f"{path}: cannot be opened: {reason}{hint}")
    if found.st_size == 0:
        raise GalleryError(f"{path}: is not a gallery: the file is empty")


def open_live(path: Path) -> Connection | None:
    """Open a file shared with writers; None if that is impossible or not allowed."""
    if not os.access(path, os.W_OK) and os.access(beside(path, "").parent, os.W_OK):
        return None
    try:
        return connect(path)
    except sqlite3.OperationalError as error:
        if not is_unable(error):
            raise
        return None


def connect(path: Path, mode: str = LIVE, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Connection:
    """Open a connection, and read something, since SQLite opens the file only then."""
    close_inherited(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=busy_timeout_s,
        factory=Connection,
    )
    try:
        connection.guard(size_on_disk(path))
        connection.execute("SELECT count(*) FROM sqlite_master")
        connection.opened(path)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Commit on success, roll back on an error; a process forked inside does neither."""
    home = Home()
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        home.require("the change")
    except BaseException:
        if home.is_here and connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def refuse_open(path: Path) -> None:
    """Check that no process has a file open that is to be replaced. Raises `GalleryError` if one has."""
    if is_open_here(path):
        raise GalleryError(f"{path}: is open in this process; close it first")
    if not os.access(path, os.W_OK):
        return  # it cannot be locked, and SQLite would leave a log
    with suppress(sqlite3.Error, UnicodeDecodeError), closing(connect(path)) as connection:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise GalleryError(f"{path}: is open in another process; close it there first") from error


def is_gallery(path: Path) -> bool:
    """Return whether a file looks like a SQLite file."""
    try:
        if is_open_here(path):
            return True
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False
