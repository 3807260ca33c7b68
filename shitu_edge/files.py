"""Files from outside and files for others: read with a bound, written aside and renamed."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def open_regular(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a regular file for reading; a FIFO or a device, which may never end, is refused without waiting for it.

    Raises:
        OSError: it cannot be opened, or is not a regular file; `strerror` is a reason for people.
    """
    name = os.fspath(path)
    descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as stream:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, device or socket"
            raise OSError(errno.EINVAL, f"is {kind}, not a regular file", name)
        yield stream


def read_bounded(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: it cannot be read, is not a regular file, or holds more than `max_bytes`.
    """
    with open_regular(path) as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"is larger than {max_bytes} bytes", os.fspath(path))
    return content


def file_inside(folder: Path, name: str) -> Path | None:
    """Return the regular file that a name from outside means below a folder; None if it is none, or lies elsewhere.

    Absolute names, `..` and links are followed, as long as they end below the folder.
    """
    try:
        found = Path(os.path.realpath(folder / name))
        return found if found.is_relative_to(os.path.realpath(folder)) and found.is_file() else None
    except (OSError, ValueError):  # a name that no file can have
        return None


def write_aside(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file under another name and rename it into place, so that a full disk leaves what was there before.

    A link is followed; a pipe or device, such as `/dev/stdout`, is written to.

    Raises:
        OSError: it cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        target.write_bytes(content)
        return
    aside = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.partial")
    try:
        with aside.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, target)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
