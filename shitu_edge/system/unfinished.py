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
_HASH = "[0-9a-f]{16}"
_NAME = "[0-9a-f]+(?:-[0-9a-f]+-[0-9a-f]+)?"


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Yield a name beside `path` to write to; what is left under it, and beside it, at the end is deleted.

    So is what a killed process left here over a day ago. A name says which process it is of, so that a clock that jumps
    by a day does not pass a file off as abandoned that is being written; and it is random, since processes in other
    containers have the same numbers.
    """
    if not path.name:
        raise GalleryError(f"{path or '.'}: is not a file name")
    if not os.path.isdir(path.parent):
        raise GalleryError(f"{path}: there is no folder {path.parent}")
    _drop_abandoned(path)
    process = os.getpid()
    partial = path.with_name(f"{path.name}.{process:x}-{_started(process) or 0:x}-{secrets.token_hex(8)}.partial")
    try:
        yield partial
    finally:
        for file in _beginning_with(partial):
            with suppress(OSError):
                file.unlink()


def publish(partial: Path, path: Path) -> None:
    """Give a finished file its name, unless there is a file of that name by now.

    Raises:
        GalleryError: the log of an earlier gallery of that name is there, which SQLite would apply to this one.
        FileExistsError: there is such a file.
        OSError: the folder cannot be written.
    """
    log = path.with_name(f"{path.name}-wal")
    if os.path.lexists(log):
        raise GalleryError(f"{path}: the log {log.name} of an earlier gallery is in the way; delete it first")
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
    """Delete what killed processes left: files in the making, their logs, and what was made beside them in turn."""
    ours = re.compile(
        rf"(\.{_HASH}\.hnsw)?\.{_NAME}\.partial(\.{_NAME}\.partial|\.{_HASH}\.hnsw)*(-wal|-shm|-journal)?"
    )
    for file in _beginning_with(path):
        rest = file.name[len(path.name) :]
        if ours.fullmatch(rest) and not any(map(_is_running, re.findall(_NAME, rest))):
            with suppress(OSError):  # another process may be faster
                if file.stat().st_mtime < time.time() - _ABANDONED_AFTER_S:
                    file.unlink()


def _beginning_with(path: Path) -> list[Path]:
    try:
        return [file for file in path.parent.iterdir() if file.name.startswith(path.name)]
    except OSError:
        return []  # a folder that is missing or closed to us will be named by whoever writes there


def _is_running(name: str) -> bool:
    """Return whether the process that gave a name is running here."""
    process, _, started = name.rpartition("-")[0].partition("-")
    return bool(started) and _started(int(process, 16)) == int(started, 16)


def _started(process: int) -> int | None:
    """Return when a process began, in ticks since the system did; None where it is not running, or cannot be seen."""
    try:
        state, *facts = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):  # Linux alone has it
        return None
    return None if state == "Z" else int(facts[18])
