"""Connections to a gallery file: how it is opened, what a transaction is, and SQLite's errors as ours."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import GalleryError
from .schema import MAGIC

_log = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 30.0
LIVE = "mode=rw"
FROZEN = "immutable=1"
_DAMAGE = ("malformed", "not a database", "Could not decode to UTF-8")
_RESCUE = "; `shitu-edge gallery repair` keeps what is whole"


def claim(path: Path) -> None:
    """Make an empty file, which nobody else can then believe to have made."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644))
    except FileExistsError as error:
        raise GalleryError(f"{path}: exists already") from error
    except OSError as error:
        raise GalleryError(f"{path}: cannot be created: {error.strerror}") from error


def check_header(path: Path) -> None:
    """Check that a file can be read and begins like one of SQLite's."""
    try:
        with path.open("rb") as stream:
            header = stream.read(len(MAGIC))
    except OSError as error:
        hint = "; `shitu-edge gallery build` makes one" if isinstance(error, FileNotFoundError) else ""
        raise GalleryError(f"{path}: cannot be opened: {error.strerror}{hint}") from error
    if header != MAGIC:
        raise GalleryError(f"{path}: is not a gallery (no SQLite file)")


def connect_as_allowed(path: Path) -> tuple[sqlite3.Connection, str]:
    """Open for reading and writing, or what a read-only folder allows; say which."""
    try:
        return connect(path, LIVE), LIVE
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or not _is_frozen(path):
            raise
    _log.warning("%s: cannot be written here, so later changes by others will not be seen", path)
    return connect(path, FROZEN), FROZEN


def _is_frozen(path: Path) -> bool:
    """Return whether a write-ahead log cannot be set up here, and none is there that reading would pass over."""
    log = f"{path}-wal"
    logged = os.path.exists(log) and os.path.getsize(log) > 0
    return not logged and not (os.access(path.parent, os.W_OK) and os.access(path, os.W_OK))


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open a connection in a mode of SQLite's file addresses."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_S,
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")  # SQLite opens a file only when it is read
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Commit what is done inside, or, when it raises, nothing of it."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def mapped_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into `GalleryError`."""
    try:
        yield
    except sqlite3.Error as error:
        damaged = any(word in str(error) for word in _DAMAGE)
        raise GalleryError(f"{path}: {'is damaged: ' if damaged else ''}{error}{_RESCUE if damaged else ''}") from error
