"""Files in the making: beside the file they will become, under a name of their own until they are whole."""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import GalleryError

_ABANDONED_AFTER_S = 24 * 3600


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Yield a name beside `path` to write to; what is left under it at the end is deleted.

    So is what a killed process left here over a day ago. Names are random, since process numbers come again: a
    container's first process is always 1.
    """
    if not path.name:
        raise GalleryError(f"{path or '.'}: is no name of a file")
    if not os.path.isdir(path.parent):
        raise GalleryError(f"{path}: there is no folder {path.parent}")
    _drop_abandoned(path)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}.partial")
    try:
        yield partial
    finally:
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):  # of a file that is none: missing, or its name is too long
                partial.with_name(partial.name + suffix).unlink()


def publish(partial: Path, path: Path) -> None:
    """Give a finished file its name, unless there is a file of that name by now.

    Raises:
        GalleryError: the log of an earlier gallery of that name is there, which SQLite would apply to this one.
        FileExistsError: there is such a file.
        OSError: the folder cannot be written.
    """
    log = path.with_name(f"{path.name}-wal")
    if os.path.lexists(log):
        raise GalleryError(f"{path}: its log {log.name} is left of an earlier gallery; remove it first")
    if os.name == "nt":
        os.rename(partial, path)  # where renaming replaces nothing
        return
    try:
        os.link(partial, path)
    except (PermissionError, NotImplementedError):  # a file system without links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        os.rename(partial, path)
    _sync_folder(path)


def replace(partial: Path, path: Path) -> None:
    """Give a finished file its name, durably; a file of that name is no more.

    Raises:
        OSError: the folder cannot be written.
    """
    os.replace(partial, path)
    _sync_folder(path)


def _sync_folder(path: Path) -> None:
    """Have the name of a file survive a power cut."""
    with suppress(OSError):  # Windows opens no folders, and some file systems sync none
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _drop_abandoned(path: Path) -> None:
    ours = re.compile(re.escape(path.name) + r"\.[0-9a-f]+\.partial(-wal|-shm)?")
    try:
        files = [file for file in path.parent.iterdir() if ours.fullmatch(file.name)]
    except OSError:
        return  # a folder that is missing or closed to us will be named by whoever writes there
    for file in files:
        with suppress(OSError):  # another process may be faster
            if file.stat().st_mtime < time.time() - _ABANDONED_AFTER_S:
                file.unlink()
