"""Unfinished files: written next to their target under a temporary name, renamed when complete."""

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
    """Yield a temporary path next to `path`; files whose names begin with it are deleted at the end.

    Files that killed processes left over a day ago are deleted too. The name holds the process, so that a clock jump of
    a day does not make a file look abandoned, and is random, as processes in other containers have the same numbers.
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


def finished(partial: Path) -> Path:
    """Return the path that a temporary path of `unfinished` stands for, also of one inside another."""
    return partial.with_name(re.sub(rf"(?:\.[0-9a-f]+-[0-9a-f]+-{_HASH}\.partial)+$", "", partial.name) or partial.name)


def publish(partial: Path, path: Path) -> None:
    """Rename a finished file to `path`, which must not exist.

    Raises:
        GalleryError: the log of an earlier gallery exists, which SQLite would apply to this one.
        FileExistsError: `path` exists.
        OSError: the folder cannot be written.
    """
    log = path.with_name(f"{path.name}-wal")
    if os.path.lexists(log):
        raise GalleryError(f"{path}: the log {log.name} of an earlier gallery is in the way; delete it first")
    if os.name == "nt":
        os.rename(partial, path)  # renaming replaces nothing there
        return
    try:
        os.link(partial, path)
    except (PermissionError, NotImplementedError):  # a file system without links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        os.rename(partial, path)
    _sync_folder(path)


def replace(partial: Path, path: Path) -> None:
    """Rename a finished file to `path`, durably, replacing it; raises `OSError`."""
    os.replace(partial, path)
    _sync_folder(path)


def _sync_folder(path: Path) -> None:
    """Make a renaming survive a power cut."""
    with suppress(OSError):  # Windows and some file systems cannot sync folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _drop_abandoned(path: Path) -> None:
    """Delete what killed processes left: unfinished files, their logs, and unfinished files of those."""
    ours = re.compile(
        rf"(\.{_HASH}\.hnsw)?\.{_NAME}\.partial(\.{_NAME}\.partial|\.{_HASH}\.hnsw)*(-wal|-shm|-journal)?"
    )
    for file in _beginning_with(path):
        rest = file.name[len(path.name) :]
        if ours.fullmatch(rest) and not any(map(_is_running, re.findall(_NAME, rest))):
            with suppress(OSError):  # another process may do it first
                if file.stat().st_mtime < time.time() - _ABANDONED_AFTER_S:
                    file.unlink()


def _beginning_with(path: Path) -> list[Path]:
    try:
        return [file for file in path.parent.iterdir() if file.name.startswith(path.name)]
    except OSError:
        return []  # a later write names a folder that cannot be read


def _is_running(name: str) -> bool:
    """Return whether the process in a temporary name is running."""
    process, _, started = name.rpartition("-")[0].partition("-")
    return bool(started) and _started(int(process, 16)) == int(started, 16)


def _started(process: int) -> int | None:
    """Return a process's start in ticks since boot; None if it is not running or not visible."""
    try:
        state, *facts = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):  # only Linux has it
        return None
    return None if state == "Z" else int(facts[18])
