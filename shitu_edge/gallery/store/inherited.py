"""Connections to gallery files, and what is to be done about those that a fork has carried into a child.

SQLite believes there that it holds their locks, which do not come along: a connection opened beside them takes none of
its own, and when the parent closes the file, what the child commits goes into a log that is deleted
(https://sqlite.org/howtocorrupt.html, 2.6). So the child closes them before it opens the file, as long as the parent
has it open: then SQLite cannot get the exclusive lock by which a last close would fold in and delete the log.
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
"""The bytes that whoever has a file in WAL mode open keeps a shared lock on (`os.h` of SQLite)."""


class Connection(Guarded):
    """A guarded connection that knows its file and process.

    `lock` is what each use holds; None says that whoever opened the connection is using it.
    """

    file: FileId
    lock: threading.Lock | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.home = Home()
        keep_in_children(self)

    def opened(self, path: Path) -> None:
        """Note which file it is."""
        self.file = file_id(path)
        _open.add(self)

    def close(self) -> None:
        """Close it; in a process that was forked off since, leave it alone."""
        if self.home.is_here:
            _open.discard(self)
            super().close()


_open: set[Connection] = set()


def close_inherited(path: Path) -> None:
    """Close what a fork has carried along of a file that is to be opened.

    Raises:
        ForkError: it was in use at the fork, or nobody else has the file open any more.
    """
    inherited = [connection for connection in list(_open) if not connection.home.is_here]
    if not inherited or not path.exists():
        return
    file = file_id(path)
    inherited = [connection for connection in inherited if connection.file == file]
    if inherited and (any(map(_is_in_use, inherited)) or _may_lock(path)):
        raise ForkError(
            f"{path}: was open before this process was forked off, so it cannot be opened here; start a new process "
            "(multiprocessing: spawn), or open it after the fork alone"
        )
    for connection in inherited:
        _open.discard(connection)
        sqlite3.Connection.close(connection)


def _is_in_use(connection: Connection) -> bool:
    return connection.lock is None or connection.lock.locked()


def _may_lock(path: Path) -> bool:
    """Return whether a last close would get its exclusive lock: no other process has the file open."""
    import fcntl  # there is one where processes fork

    try:
        with path.open("r+b") as stream:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST, os.SEEK_SET)
    except OSError:
        return False
    return True
