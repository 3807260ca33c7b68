"""Gallery files open in this process, and the threads that are changing one.

Closing any descriptor of a file drops all locks of this process on it (POSIX), also those of SQLite's connections,
whose write-ahead log another process would then delete. So only SQLite opens a gallery that may be open here, except
`content`, whose descriptor stays open as long as any connection may be.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import GalleryError

FileId = tuple[int, int]


@dataclass(slots=True)
class _Held:
    holders: int = 0
    content: io.FileIO | None = None
    reading: threading.Lock = field(default_factory=threading.Lock)


class _Here:
    """State of this process."""

    def __init__(self) -> None:
        self.begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.begin)

    def begin(self) -> None:
        """Forget everything: files of its parent are not open in a forked process."""
        self.files: dict[FileId, _Held] = {}
        self.writers: set[tuple[FileId, int]] = set()
        self.lock = threading.Lock()


_here = _Here()


def file_id(path: Path) -> FileId:
    """Return a file's identity (device and inode)."""
    found = path.stat()
    return found.st_dev, found.st_ino


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a file's log (`-wal`) or its index (`-shm`); links are followed, except on Windows."""
    real = path if os.name == "nt" else Path(os.path.realpath(path))
    return real.with_name(f"{real.name}{suffix}")


def hold(file: FileId) -> None:
    """Count a file as open once more; call before opening it."""
    with _here.lock:
        _here.files.setdefault(file, _Held()).holders += 1


def let_go(file: FileId) -> None:
    """Count a file as open once less; call after closing it."""
    with _here.lock:
        held = _here.files.get(file)
        if held is None:
            return  # opened before this process was forked
        held.holders -= 1
        if not held.holders:
            del _here.files[file]
            if held.content:
                held.content.close()


@contextmanager
def holding(file: FileId) -> Iterator[None]:
    """Count a file as open inside the block."""
    hold(file)
    try:
        yield
    finally:
        let_go(file)


def is_open_here(path: Path) -> bool:
    """Return whether this process has a file open."""
    try:
        file = file_id(path)
    except OSError:
        return False
    with _here.lock:
        return file in _here.files


@contextmanager
def content(path: Path, file: FileId) -> Iterator[io.FileIO]:
    """Yield an open file at its beginning, to one thread at a time. Raises `OSError` if it cannot be opened."""
    with _here.lock:
        held = _here.files[file]
        stream = held.content = held.content or io.FileIO(path)
    with held.reading:
        stream.seek(0)
        yield stream


@contextmanager
def changing(path: Path, file: FileId) -> Iterator[None]:
    """Prevent a thread from waiting for its own change.

    Raises:
        GalleryError: this thread is changing the file already.
    """
    writer = file, threading.get_ident()
    with _here.lock:
        if writer in _here.writers:
            raise GalleryError(
                f"{path}: this thread is already changing it; use that change, or end its `with` block first"
            )
        _here.writers.add(writer)
    try:
        yield
    finally:
        with _here.lock:
            _here.writers.discard(writer)
