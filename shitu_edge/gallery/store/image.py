"""A gallery file copied into memory: one revision, read without SQLite's locks, files or write permission.

Commits are appended to the log and moved into the file later. A log is emptied, or restarted under another header,
only when all of it is in the file. So the file is read first, then its log: if the log has the same header before and
after both, it holds everything that was moved into the file meanwhile, and its pages replace the file's. Without a log,
a second read shows that the file did not change.
"""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from ...errors import GalleryError
from ...system.files import open_regular
from .connection import FROZEN, connect
from .held import beside, content, file_id
from .structure import Guarded
from .wal import HEADER_BYTES, read_committed

Version = tuple[int, ...]

_WAIT_S = 10.0
_STEP_NS, _COARSE_STEP_NS = 50_000_000, 2_000_000_000
"""Two changes this close may give a file the same time: a few system ticks; FAT keeps two seconds."""
_CHUNK = 1 << 20
_MODES = slice(18, 20)
"""Where a file's header says whether it has a write-ahead log: 2, or none: 1 (https://sqlite.org/fileformat.html)."""


def version(path: Path) -> Version:
    """Return sizes and times of the file and its log; just after a change a new value per call, as times are coarse.

    Raises:
        GalleryError: the file is missing.
    """
    with _readable(path):
        found = path.stat()
    facts, newest = [found.st_size, found.st_mtime_ns], found.st_mtime_ns
    with suppress(OSError):
        log = beside(path, "-wal").stat()
        if log.st_size:
            facts += [log.st_size, log.st_mtime_ns]
            newest = max(newest, log.st_mtime_ns)
    now = time.time_ns()
    step = _STEP_NS if newest % 1_000_000_000 else _COARSE_STEP_NS
    return (-1, *facts, now) if abs(now - newest) < step else (-1, *facts)


def open_image(path: Path) -> Guarded:
    """Read a held file (`held.py`) into memory and open the copy.

    Raises:
        GalleryError: it cannot be read, or changes faster than it is read.
    """
    with _readable(path):
        return _opened(read_image(path))


def mark_as_logged(path: Path) -> None:
    """Set the WAL flag in a copy of an image, which nobody has open."""
    with path.open("rb+") as stream:
        stream.seek(_MODES.start)
        stream.write(b"\2\2")
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GalleryError(f"{error.filename or path}: cannot be read: {error.strerror}") from error
    except MemoryError as error:
        raise GalleryError(f"{path}: does not fit into memory") from error


class Images:
    """Images of one held file. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._kept: tuple[Version, Guarded] | None = None
        self._closed = False

    @contextmanager
    def opened(self, *, keep: bool = False) -> Iterator[Guarded]:
        """Yield an image of the file as it is now; `keep` it for the next reader if the file is unchanged then."""
        read_at, image = self._current()
        try:
            yield image
        finally:
            with self._lock:
                keep &= not (self._closed or self._kept)
                if keep:
                    self._kept = read_at, image
            if not keep:
                image.close()

    def close(self) -> None:
        """Close the kept image."""
        with self._lock:
            self._closed, kept, self._kept = True, self._kept, None
        if kept:
            kept[1].close()

    def _current(self) -> tuple[Version, Guarded]:
        with self._lock:
            kept, self._kept = self._kept, None
        now = version(self._path)
        if kept and kept[0] == now:
            return kept
        if kept:
            kept[1].close()
        return now, open_image(self._path)


def read_image(path: Path) -> bytearray:
    """Return the content of a held file with its log applied; see `open_image`."""
    file, last = file_id(path), time.monotonic() + _WAIT_S
    while True:
        header = _log(path, HEADER_BYTES)
        with content(path, file) as stream:
            image = _read(stream)
            log = _log(path)
            if header:
                still = log[:HEADER_BYTES] == header == _log(path, HEADER_BYTES)
            else:
                still = not log and not _is_in_change(path) and _is_same(stream, image)
        if file_id(path) != file:
            raise OSError(errno.ESTALE, "was replaced by another file; open it again", str(path))
        if still:
            lay_over(image, log)
            return image
        if time.monotonic() > last:
            raise GalleryError(f"{path}: changes faster than it can be read; try again")
        time.sleep(random.uniform(0, 0.01))


def _read(stream: FileIO) -> bytearray:
    image = bytearray(os.fstat(stream.fileno()).st_size)
    filled = 0
    with memoryview(image) as view:
        while taken := stream.readinto(view[filled:]):
            filled += taken
    del image[filled:]
    return image


def _is_same(stream: FileIO, image: bytearray) -> bool:
    """Return whether a file still has the content that was read."""
    stream.seek(0)
    start = 0
    while chunk := stream.read(_CHUNK):
        if chunk != image[start : start + len(chunk)]:
            return False
        start += len(chunk)
    return start == len(image)


def _log(path: Path, most: int = -1) -> bytes:
    """Return the first bytes of a file's log; none if it is missing or empty."""
    try:
        with open_regular(beside(path, "-wal")) as stream:
            log = stream.read(most)
    except FileNotFoundError:
        return b""
    return log if len(log) >= HEADER_BYTES else b""


def _is_in_change(path: Path) -> bool:
    """Return whether a rollback journal, used instead of the log, shows a transaction in progress."""
    try:
        with open_regular(beside(path, "-journal")) as stream:
            return any(stream.read(8))
    except FileNotFoundError:
        return False


def lay_over(image: bytearray, log: bytes) -> None:
    """Apply a log's pages to a file; a forged log cannot enlarge it beyond both sizes."""
    committed = read_committed(log)
    if committed is None:
        return
    size = committed.page_bytes
    end = min(size * committed.pages, len(image) + len(log))
    image[end:] = bytes(max(0, end - len(image)))
    for page, place in committed.places.items():
        if size * page <= end:
            image[(page - 1) * size : page * size] = log[place : place + size]


def _opened(image: bytearray) -> Guarded:
    image[_MODES] = b"\1\1"
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=Guarded)
    if not hasattr(connection, "deserialize"):  # Python 3.10
        connection.close()
        return _opened_aside(image)
    try:
        connection.guard(len(image))
        connection.deserialize(image)
    except BaseException:
        connection.close()
        raise
    return connection


def _opened_aside(image: bytearray) -> Guarded:
    """Open an image from a temporary file, deleted at once (on Windows by the system)."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="shitu-image-", dir=memory, ignore_cleanup_errors=True) as folder:
        file = Path(folder, "gallery")
        file.write_bytes(image)
        return connect(file, FROZEN)
