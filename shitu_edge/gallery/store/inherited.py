"""Connections to gallery files, and those that a fork carried into a child process.

In the child SQLite believes it holds their locks, which a fork does not copy: another connection takes none of its own,
and when the parent closes the file, the child's commits go into a deleted log
(https://sqlite.org/howtocorrupt.html, 2.6). So the child closes them before it opens the file, while the parent still
has it open: SQLite then cannot get the exclusive lock with which a last close would delete the log.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

from ...errors import ForkError
from ...system.forked import Home, keep_in_children
from .held import FileId, file_id
from .structure import Guarded

_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
"""Bytes with a shared lock of every process that has a WAL file open (`os.h` of SQLite)."""


class Connection(Guarded):
    """A guarded connection that knows its file and process.

    `lock` is held during each use; None means that its opener is using it. `is_logged` says that the file has a
    write-ahead log, so that there are locks while it is not used, too.
    """

    file: FileId
    lock: threading.Lock | None = None
    is_logged = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.home = Home()
        keep_in_children(self)

    def opened(self, path: Path) -> None:
        """Record the file's identity."""
        self.file = file_id(path)
        _open.add(self)

    def close(self) -> None:
        """Close it; does nothing in a process forked since."""
        if self.home.is_here:
            _open.discard(self)
            super().close()


_open: set[Connection] = set()


def close_inherited(path: Path) -> None:
    """Close inherited connections to a file before it is opened.

    Raises:
        ForkError: one was in use at the fork, or no other process has the file open.
    """
    inherited = [connection for connection in list(_open) if not connection.home.is_here]
    if not inherited or not path.exists():
        return
    file = file_id(path)
    inherited = [connection for connection in inherited if connection.file == file]
    logged = any(connection.is_logged for connection in inherited)
    if any(map(_is_in_use, inherited)) or (logged and _may_lock(path)):
        raise ForkError(
            f"{path}: was open before this process was forked off, so it cannot be opened here; start a new process "
            "(multiprocessing: spawn), or open it only after the fork"
        )
    for connection in inherited:
        _open.discard(connection)
        sqlite3.Connection.close(connection)


def _is_in_use(connection: Connection) -> bool:
    return connection.lock is None or connection.lock.locked()


def _may_lock(path: Path) -> bool:
    """Return whether no other process has the file open."""
    import fcntl  # exists wherever processes fork

    try:
        with path.open("r+b") as stream:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST, os.SEEK_SET)
    except OSError:
        return False
    return True
