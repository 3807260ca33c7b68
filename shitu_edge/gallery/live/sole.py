"""A lock: one process at a time builds a gallery's index."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import GalleryError, os_errors_as


@contextmanager
def sole_builder(path: Path) -> Iterator[bool]:
    """Yield True and hold the lock, or False if another process holds it.

    It is a lock of the operating system on a file next to the gallery, so it ends with the process.

    Raises:
        GalleryError: the file cannot be written.
    """
    name = path.with_name(f"{path.name}.building")
    with os_errors_as(GalleryError, path, "the index cannot be written"):
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
    # Without a name, it is a file that another builder has just deleted, and locks out nobody.
    alone = _lock(descriptor) and os.fstat(descriptor).st_nlink > 0
    try:
        yield alone
    finally:
        if alone:
            with suppress(OSError):  # Windows deletes no open file
                name.unlink()
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file; return False if another process has. File systems without locks give True."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True
