"""SQLite's errors as `GalleryError`, with their cause: damage, a full disk, missing permissions."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import DamagedError, GalleryError
from .held import beside
from .schema import PAGE_BYTES

_DAMAGE = ("malformed", "not a database", "Could not decode to UTF-8", "string or blob too big")
_UNABLE = ("disk I/O error", "disk is full", "unable to open", "readonly")
_READ_ONLY = "is read-only here, so it cannot be changed"
_PROBE_BYTES = 65536
WRONG_TYPE = (TypeError, ValueError, LookupError, AttributeError, OverflowError)
"""Errors caused by values of the wrong type in a file."""


@contextmanager
def mapped_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into `GalleryError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise mapped(path, error) from error


def mapped(path: Path, error: sqlite3.Error) -> GalleryError:
    """Return the `GalleryError` for an error of SQLite's."""
    message = " ".join(str(error).split())  # it may quote what is damaged
    if "not a database" in message and path.stat().st_size % PAGE_BYTES:
        return GalleryError(f"{path}: is not a gallery: not a SQLite file")
    if any(word in message for word in _DAMAGE):
        return DamagedError(path, message)
    if "interrupted" in message:
        return DamagedError(path, "its pages form a loop")
    if "locked" in message:
        return GalleryError(f"{path}: is locked: another process is still changing it; try again")
    if "disk is full" in message:
        return GalleryError(f"{path}: the disk is full")
    return GalleryError(f"{path}: {(hindrance(path) if is_unable(error) else None) or message}")


def is_unable(error: sqlite3.Error) -> bool:
    """Return whether an error says that the log, its index or a change cannot be written."""
    return any(word in str(error) for word in _UNABLE)


def hindrance(path: Path) -> str | None:
    """Return why a gallery cannot be written; None if unknown."""
    return _protection(path) or _disk_fault(beside(path, "").parent)


def check_writable(path: Path) -> None:
    """Check write permission; raises `GalleryError`. A try by SQLite would leave files that lock out others."""
    if not os.access(path, os.W_OK):
        raise GalleryError(f"{path}: {_READ_ONLY}")


def _protection(path: Path) -> str | None:
    if not os.access(path, os.W_OK):
        return _READ_ONLY
    for suffix in ("-wal", "-shm"):
        left = beside(path, suffix)
        if left.exists() and not os.access(left, os.W_OK):
            remedy = "delete it once no program has the gallery open"
            if suffix == "-wal" and left.stat().st_size:
                remedy = f"it holds changes: have {_owner(left)} open the gallery once to merge them"
            return f"cannot be changed: {left.name} next to it belongs to {_owner(left)} and is read-only; {remedy}"
    folder = beside(path, "").parent
    if not os.access(folder, os.W_OK):
        return f"cannot be changed: its folder {folder} is read-only here"
    return None


def _disk_fault(folder: Path) -> str | None:
    """Return why 64 KiB cannot be written to a folder, such as a quota; None if they can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return f"the disk is full ({error.strerror})" if full else f"cannot be written: {error.strerror}"
    return None


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError, NotImplementedError):  # a user without a name, a file that is gone, Windows
        return f"user {path.stat().st_uid}" if path.exists() else "another user"


@contextmanager
def odd_content(path: Path) -> Iterator[None]:
    """Turn errors caused by values of the wrong type in the file into `DamagedError`."""
    try:
        yield
    except WRONG_TYPE as error:
        raise DamagedError(path, f"unexpected content in a gallery file ({error})") from error
