"""A gallery file as an image in memory: of one revision, without SQLite's locks, files or right to write.

What is committed is appended to the log, and moved into the file some time later. A log is emptied, or begun again
under another header, only when all of it is in the file. So the file is read first and then its log: if the log has
the same header before and after both, it holds all that anybody moved into the file meanwhile, and its pages are laid
over the file's. Where there is no log, or an empty one, nothing moves, and a second look shows that nothing did.
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
"""Within which two changes may give a file the same time: a few of the system's ticks; FAT keeps two seconds."""
_CHUNK = 1 << 20
_MODES = slice(18, 20)
"""Where a file's header says whether it has a write-ahead log: 2, or none: 1 (https://sqlite.org/fileformat.html)."""


def version(path: Path) -> Version:
    """Return what changes whenever the file or its log has; just after a change, when times cannot tell, at every call.

    Raises:
        GalleryError: the file is not there.
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
    """Read a file that is held (`held.py`) into memory, and open that.

    Raises:
        GalleryError: it cannot be read, or changes faster than that.
    """
    with _readable(path):
        return _opened(read_image(path))


def mark_as_logged(path: Path) -> None:
    """Give a file that was copied of an image, and that nobody has open, the mark of one with a log.

    Raises:
        OSError: it cannot be written.
    """
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
        raise GalleryError(f"{path}: takes more memory to be read than there is") from error


class Images:
    """The images of one file that is held. Safe from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._kept: tuple[Version, Guarded] | None = None
        self._closed = False

    @contextmanager
    def opened(self, *, keep: bool = False) -> Iterator[Guarded]:
        """Give an image of the file as it is now; `keep` it for whoever reads next, if the file is then as it was.

        Raises:
            GalleryError: see `open_image`.
        """
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
        """Drop what is kept."""
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
    """Return the content of a file that is held, with what its log holds; see `open_image`."""
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
    """Return whether a file still has the content that was read of it."""
    stream.seek(0)
    start = 0
    while chunk := stream.read(_CHUNK):
        if chunk != image[start : start + len(chunk)]:
            return False
        start += len(chunk)
    return start == len(image)


def _log(path: Path, most: int = -1) -> bytes:
    """Return what a file's log begins with; nothing where it has none, or none that has begun."""
    try:
        with open_regular(beside(path, "-wal")) as stream:
            log = stream.read(most)
    except FileNotFoundError:
        return b""
    return log if len(log) >= HEADER_BYTES else b""


def _is_in_change(path: Path) -> bool:
    """Return whether a file that somebody has turned from its log to a rollback journal is not whole."""
    try:
        with open_regular(beside(path, "-journal")) as stream:
            return any(stream.read(8))
    except FileNotFoundError:
        return False


def lay_over(image: bytearray, log: bytes) -> None:
    """Give a file the pages of its log; of a forged one, no more than there are."""
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
    """Open an image from a temporary file, which is gone when it is closed, or, on Windows, left to the system."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="shitu-image-", dir=memory, ignore_cleanup_errors=True) as folder:
        file = Path(folder, "gallery")
        file.write_bytes(image)
        return connect(file, FROZEN)
