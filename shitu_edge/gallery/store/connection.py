"""Connections to a gallery file: how it is opened, what a transaction is, and SQLite's errors as ours."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ...errors import DamagedError, GalleryError
from ...forked import Home
from .inherited import Connection, close_inherited, is_open_here
from .schema import MAGIC, PAGE_BYTES

_log = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 30.0
LIVE = "mode=rw"
FROZEN = "immutable=1"
_DAMAGE = ("malformed", "not a database", "Could not decode to UTF-8")


def check_there(path: Path) -> None:
    """Check that there is a file that can be read, without opening it.

    Closing a file drops all locks that this process holds on it (POSIX), also those of SQLite's connections, whose
    write-ahead log another process would then delete. So nothing but SQLite opens a gallery that may be open here.
    """
    hint = ""
    try:
        found = path.stat()
        reason = "Is a directory" if stat.S_ISDIR(found.st_mode) else None
        if not os.access(path, os.R_OK):
            reason = os.strerror(errno.EACCES)
    except OSError as error:
        reason = error.strerror
        hint = "; `shitu-edge gallery build` makes one" if isinstance(error, FileNotFoundError) else ""
    if reason:
        raise GalleryError(f"{path}: cannot be opened: {reason}{hint}")
    if found.st_size == 0:
        raise GalleryError(f"{path}: is not a gallery (no SQLite file)")


def connect_as_allowed(path: Path) -> tuple[Connection, str]:
    """Open for reading and writing, or what a read-only folder allows; say which."""
    try:
        return connect(path, LIVE), LIVE
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or not (_is_frozen(path) or _is_left_alone(path, error)):
            raise
    _log.warning("%s: cannot be written here, so later changes by others will not be seen", path)
    return connect(path, FROZEN), FROZEN


def _is_left_alone(path: Path, error: sqlite3.OperationalError) -> bool:
    """Return whether a disk is full, and nobody has the file open whose changes would be passed over."""
    return "disk" in str(error) and not os.path.exists(f"{path}-shm") and not _is_logged(path)


def _is_logged(path: Path) -> bool:
    log = f"{path}-wal"
    return os.path.exists(log) and os.path.getsize(log) > 0


def _is_frozen(path: Path) -> bool:
    """Return whether a write-ahead log cannot be set up here, and none is there that reading would pass over."""
    return not _is_logged(path) and not (os.access(path.parent, os.W_OK) and os.access(path, os.W_OK))


def connect(path: Path, mode: str) -> Connection:
    """Open a connection in a mode of SQLite's file addresses."""
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
        connection.execute("SELECT count(*) FROM sqlite_master")  # SQLite opens a file only when it is read
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


@contextmanager
def mapped_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into `GalleryError`."""
    try:
        yield
    except sqlite3.Error as error:
        if "not a database" in str(error) and path.stat().st_size % PAGE_BYTES:
            raise GalleryError(f"{path}: is not a gallery (no SQLite file)") from error
        message = " ".join(str(error).split())  # it may quote what is damaged
        if any(word in message for word in _DAMAGE):
            raise DamagedError(path, message) from error
        if "locked" in message:
            message = "is locked: another process is changing it and does not finish; try again"
        raise GalleryError(f"{path}: {message}") from error


def refuse_open(path: Path) -> None:
    """Check that nobody, in this process or another, has a file open that is to be replaced.

    Raises:
        GalleryError: somebody has.
    """
    if is_open_here(path):
        raise GalleryError(f"{path}: is open in this process; close it first")
    with suppress(sqlite3.Error, UnicodeDecodeError), closing(connect(path, LIVE)) as connection:
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


@contextmanager
def odd_content(path: Path) -> Iterator[None]:
    """Turn what follows from rows of the wrong kind, where nothing else runs than reading them, into `DamagedError`."""
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
        raise DamagedError(path, f"its content is none of a gallery ({error})") from error
