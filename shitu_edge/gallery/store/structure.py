"""Checks of a gallery file's structure, and connections with limits.

A file from elsewhere may hold views, triggers, generated columns and virtual tables, whose SQL would run here, without
end or beyond memory; forged pages may form loops. So a file's structure is compared with `schema.py` before anything
else is read, each statement has a limit, and SQLite is told to trust nothing in the file
(https://sqlite.org/security.html).
"""

from __future__ import annotations

import operator
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import DamagedError
from .held import beside
from .schema import (
    FORMATS,
    MOST_BYTES,
    MOST_ITEMS,
    ORIGINS,
    ORIGINS_FORMAT,
    SCHEMA,
    SETTINGS,
    SETTINGS_FORMAT,
)

_STRUCTURE = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
_SHOWN = 60
_READ_AT_ONCE = 100
LEAST_ROW_BYTES = 32
"""Least size of a queried row: entries, revisions, settings and origins hold a digest."""

_LIMITS = {
    "SQLITE_LIMIT_LENGTH": MOST_BYTES,
    "SQLITE_LIMIT_SQL_LENGTH": 20_000,
    "SQLITE_LIMIT_COLUMN": 100,
    "SQLITE_LIMIT_EXPR_DEPTH": 50,
    "SQLITE_LIMIT_COMPOUND_SELECT": 5,
    "SQLITE_LIMIT_FUNCTION_ARG": 8,
    "SQLITE_LIMIT_ATTACHED": 0,
    "SQLITE_LIMIT_LIKE_PATTERN_LENGTH": 50,
    "SQLITE_LIMIT_TRIGGER_DEPTH": 0,
    "SQLITE_LIMIT_WORKER_THREADS": 0,
}
_CONFIGURATION = {
    "SQLITE_DBCONFIG_DEFENSIVE": True,
    "SQLITE_DBCONFIG_TRUSTED_SCHEMA": False,
    "SQLITE_DBCONFIG_ENABLE_TRIGGER": False,
    "SQLITE_DBCONFIG_ENABLE_VIEW": False,
    "SQLITE_DBCONFIG_DQS_DDL": False,
    "SQLITE_DBCONFIG_DQS_DML": False,
}

_STEP = 1000
"""Instructions of SQLite's virtual machine between two checks of a statement's cost."""
_STEPS, _STEPS_PER_BYTE = 2_000_000, 10
"""Per byte of the file. Verifying the densest gallery, with one number per embedding, takes 1.2."""
_SECONDS, _SECONDS_PER_BYTE = 0.5, 1e-7
"""CPU time of the thread. On a server, all of `verify` takes 6e-9 per byte."""
_PATIENCE = 8
"""Divisor of the limits after a statement was interrupted: the file is probably forged."""


class Guarded(sqlite3.Connection):
    """A connection with limits on values and on the cost of statements."""

    def guard(self, size: int) -> None:
        """Set the limits for a file of `size` bytes, before anything is read."""
        self._cost = _Cost(size)
        self.set_progress_handler(self._cost, _STEP)
        if hasattr(self, "setlimit"):  # Python 3.11
            for name, most in _LIMITS.items():
                self.setlimit(getattr(sqlite3, name), most)
        if hasattr(self, "setconfig"):  # Python 3.12
            for name, on in _CONFIGURATION.items():
                self.setconfig(getattr(sqlite3, name), on)
        self.execute("PRAGMA trusted_schema = OFF")
        self.execute("PRAGMA cell_size_check = ON")

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run a statement; it is interrupted if it costs far more than the file's size justifies."""
        self._cost.begin()
        return super().execute(sql, parameters)


class _Cost:
    """The cost of a statement, in instructions and CPU time."""

    def __init__(self, size: int) -> None:
        self._most_steps = _STEPS + _STEPS_PER_BYTE * size
        self._most_seconds = _SECONDS + _SECONDS_PER_BYTE * size
        self.begin()

    def begin(self) -> None:
        """Reset for another statement."""
        self._steps = 0
        self._thread, self._began = threading.get_ident(), time.thread_time()

    def __call__(self) -> bool:
        """Return whether the limit is exceeded."""
        if threading.get_ident() != self._thread:  # each thread has its own clock
            self._thread, self._began = threading.get_ident(), time.thread_time()
        self._steps += _STEP
        too_much = self._steps > self._most_steps or time.thread_time() - self._began > self._most_seconds
        if too_much:
            self._most_steps //= _PATIENCE
            self._most_seconds /= _PATIENCE
        return too_much


def size_on_disk(path: Path) -> int:
    """Return the bytes of a file and its log."""
    return _size(path) + log_bytes(path)


def log_bytes(path: Path) -> int:
    """Return the bytes of a file's log."""
    return _size(beside(path, "-wal"))


def _size(file: Path) -> int:
    try:
        return os.path.getsize(file)
    except OSError:
        return 0


def check_structure(connection: sqlite3.Connection, path: Path) -> None:
    """Check that a file has exactly the tables and indexes of its format. Raises `DamagedError` if it does not."""
    with _one_state(connection):
        fault = next(_faults(connection), None)
    if fault:
        raise DamagedError(path, fault)


def has_tables(connection: sqlite3.Connection, *names: str) -> bool:
    """Return whether these tables are defined as in a gallery, so that reading them is safe."""
    found = connection.execute(_STRUCTURE).fetchall()
    query = "SELECT count(*) FROM sqlite_master WHERE rootpage BETWEEN 2 AND ? AND name = ?"
    [pages] = connection.execute("PRAGMA page_count").fetchone()
    somewhere = all(connection.execute(query, (pages, name)).fetchone() == (1,) for name in names)
    return somewhere and all(found.count(row) == 1 for row in _model(ORIGINS_FORMAT) if row[1] in names)


def allow_rows(connection: sqlite3.Connection, most: int) -> None:
    """Set the largest row, in bytes, that a connection reads."""
    if hasattr(connection, "setlimit"):  # Python 3.11
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, most)  # type: ignore[attr-defined]


def bytes_held(connection: sqlite3.Connection) -> int:
    """Return the bytes of a file with its log."""
    pages, size = (connection.execute(f"PRAGMA page_{what}").fetchone()[0] for what in ("count", "size"))
    return int(pages * size)


def columns(
    connection: sqlite3.Connection, query: str, values: Sequence[Any] = (), *, by_id: bool = True
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield a query's columns, some rows at a time; forged pages may repeat rows or share long values.

    Raises:
        ValueError: the rows need more bytes than the file has; or, with `by_id`, the ids in the first column do not
            ascend or exceed `MOST_ITEMS`.
    """
    before, room = 0, bytes_held(connection)
    rows = connection.execute(query, values)
    try:
        while some := rows.fetchmany(_READ_AT_ONCE):
            found = list(zip(*some, strict=True))
            room -= LEAST_ROW_BYTES * len(some) + sum(map(_length, found))
            if room < 0:
                raise ValueError("its rows need more bytes than the file has")
            if by_id:
                ids = found[0]
                if not all(map(operator.lt, (before, *ids), ids)) or ids[-1] >= MOST_ITEMS:
                    raise ValueError("its ids are out of order")
                before = ids[-1]
            yield found
    finally:  # an open cursor in a traceback would keep the file open
        with suppress(sqlite3.ProgrammingError):  # the connection is closed
            rows.close()


def bounded(
    connection: sqlite3.Connection, query: str, values: Sequence[Any] = (), *, by_id: bool = True
) -> list[tuple[Any, ...]]:
    """Return a query's rows; see `columns`."""
    found = columns(connection, query, values, by_id=by_id)
    return [row for some in found for row in zip(*some, strict=True)]


def _length(column: tuple[Any, ...]) -> int:
    """Return the total length of a column's texts and blobs."""
    kinds = set(map(type, column))
    if kinds == {str} or kinds == {bytes}:
        return sum(map(len, column))
    return 0 if kinds == {int} else sum(len(value) for value in column if isinstance(value, (str, bytes)))


def _faults(connection: sqlite3.Connection) -> Iterator[str]:
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if version not in FORMATS:
        yield f"its format is {version}"
        return
    found, model = connection.execute(_STRUCTURE).fetchall(), _model(version)
    if found == model:
        return
    names = [row[1] for row in found]
    for row in model:
        if row[1] not in names:
            yield f"the {row[0]} {row[1]} is missing"
        elif row not in found:
            yield f"the {row[0]} {row[1]} is not defined as in a gallery"
    for row in found:
        if row not in model or found.count(row) > 1:
            yield f"the {str(row[0])[:_SHOWN]} {str(row[1])[:_SHOWN]!r} does not belong to a gallery"


@contextmanager
def _one_state(connection: sqlite3.Connection) -> Iterator[None]:
    """Read one state of the file, which another process may be giving a table."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@cache
def _model(version: int) -> list[tuple[str, str, str, str]]:
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(SCHEMA)
        for needed_from, statements in ((SETTINGS_FORMAT, SETTINGS), (ORIGINS_FORMAT, ORIGINS)):
            for statement in statements if version >= needed_from else ():
                model.execute(statement)
        return model.execute(_STRUCTURE).fetchall()
