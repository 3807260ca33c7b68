"""One process at a time that builds the graph of a gallery."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import GalleryError


@contextmanager
def sole_builder(path: Path) -> Iterator[bool]:
    """Yield whether nobody else builds the graph of a gallery, and keep others from it until the end.

    The lock is one of the operating system on a file beside the gallery, so it ends with the process however that ends.

    Raises:
        GalleryError: the file cannot be written.
    """
    name = path.with_name(f"{path.name}.building")
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise GalleryError(f"{path}: the index cannot be written: {error.strerror}") from error
    # Without a name any more, it is what another builder has just deleted, and would keep nobody out.
    alone = _lock(descriptor) and os.fstat(descriptor).st_nlink > 0
    try:
        yield alone
    finally:
        if alone:
            with suppress(OSError):  # Windows deletes no open file; an empty one does no harm
                name.unlink()
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Return whether nobody has a lock on a file; where there are no locks, nobody has."""
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
