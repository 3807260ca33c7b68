"""Connections to a gallery file: how it may be opened, and what a transaction is.

SQLite keeps a write-ahead log (`-wal`) and its index in shared memory (`-shm`) beside the file. Whoever reads along
with writers opens, makes or grows both. That is `LIVE`, and it is the way wherever it can be and leaves nothing behind
that would hinder others. Where not, the file and its log are read as an image in memory (`image.py`), which needs
neither space nor the right to write, takes no locks, makes no files, and is of one revision too:

    file          folder        log and index    space      read
    writable      writable      any              yes        LIVE
    writable      writable      any              < 32 KiB   LIVE while others keep the index; else image
    writable      read-only     there            any        LIVE
    writable      read-only     missing          any        image
    read-only     read-only     there            any        LIVE (SQLite makes no file here)
    read-only     read-only     missing          any        image
    read-only     writable      any              any        image: a log of ours would lock out who may write

So `LIVE` is tried unless the last line holds, and an image is read when SQLite cannot open the file so. An image is
read again when file or log change, and `LIVE` is then tried once more. Writing is always `LIVE`.

`immutable=1`, SQLite's own mode for read-only media, is not used for a gallery: whether others change it cannot be
known, and then a sound file reads as damaged.
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
    """Check that there is a file that can be read, without opening it (`held.py`)."""
    hint = ""
    try:
        found = path.stat()
        reason = "Is a directory" if stat.S_ISDIR(found.st_mode) else None
        if not os.access(path, os.R_OK):
            reason = os.strerror(errno.EACCES)
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        reason = error.strerror if isinstance(error, OSError) else str(error)
        hint = "; `shitu-edge gallery build` makes one" if isinstance(error, FileNotFoundError) else ""
    if reason:
        raise GalleryError(f"{path}: cannot be opened: {reason}{hint}")
    if found.st_size == 0:
        raise GalleryError(f"{path}: is not a gallery (no SQLite file)")


def open_live(path: Path) -> Connection | None:
    """Open a file as it is shared with writers, None where that cannot or may not be."""
    if not os.access(path, os.W_OK) and os.access(beside(path, "").parent, os.W_OK):
        return None
    try:
        return connect(path)
    except sqlite3.OperationalError as error:
        if not is_unable(error):
            raise
        return None


def connect(path: Path, mode: str = LIVE) -> Connection:
    """Open a connection in a mode of SQLite's file addresses, and read something: SQLite does not open it before."""
    close_inherited(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_S,
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
    """Commit what is done inside, or, when it raises, nothing of it; in a process forked off inside it, neither."""
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
    """Check that nobody, in this process or another, has a file open that is to be replaced.

    Raises:
        GalleryError: somebody has.
    """
    if is_open_here(path):
        raise GalleryError(f"{path}: is open in this process; close it first")
    if not os.access(path, os.W_OK):
        return  # there is no locking it, and SQLite would leave a log
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
    """Return whether a file is, or looks like, one of SQLite's."""
    try:
        if is_open_here(path):
            return True
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False
