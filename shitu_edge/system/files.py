"""Reading files with a size limit, and writing them atomically."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any


@contextmanager
def open_regular(path: str | os.PathLike[str]) -> Iterator[BufferedReader]:
    """Open a regular file for reading; pipes and devices are refused without waiting for them.

    Raises:
        OSError: it cannot be opened, or is not a regular file; `strerror` is the reason.
    """
    name = os.fspath(path)
    descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, device or socket"
            raise OSError(errno.EINVAL, f"is {kind}, not a regular file", name)
    except OSError:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as stream:
        yield stream


def read_bounded(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: it cannot be read, is not a regular file, or holds more than `max_bytes`.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size  # read() allocates what it is asked for
        content = stream.read(size + 1) if size <= max_bytes else b""
        if size < len(content):  # it grows, or is in /proc
            content += stream.read(max_bytes + 1 - len(content))
    if max(size, len(content)) > max_bytes:
        raise OSError(errno.EFBIG, f"is larger than {max_bytes} bytes", os.fspath(path))
    return content


def file_inside(folder: Path, name: str) -> Path | None:
    """Return the regular file below a folder that an untrusted name refers to; None if there is none.

    Absolute names, `..` and links are followed if they end below the folder.
    """
    try:
        found = Path(os.path.realpath(folder / name))
        return found if found.is_relative_to(os.path.realpath(folder)) and found.is_file() else None
    except (OSError, ValueError):  # not a valid file name
        return None


def read_json(path: str | os.PathLike[str], max_bytes: int) -> Any:
    """Return the content of a JSON file; raises as `read_bounded` and `parse_json`."""
    return parse_json(read_bounded(path, max_bytes))


def parse_json(content: str | bytes) -> Any:
    """Return parsed JSON, which takes up to 35 bytes of memory per byte.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has numbers of thousands of digits; one line.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("is not JSON: it is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check early that `write_aside` can write a file; raises `OSError`."""
    with _named(path):
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            mode = stat.S_IFREG
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if stat.S_ISREG(mode):
            with aside(path) as partial:
                partial.touch(exist_ok=False)


def make_folder(path: str | os.PathLike[str]) -> None:
    """Create a folder if missing, and check that `write_aside` can write to it; raises `OSError`."""
    with _named(path):
        os.makedirs(path, exist_ok=True)
        with aside(Path(path, "file")) as partial:
            partial.touch(exist_ok=False)


def write_aside(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a temporary file and rename it, so that a full disk leaves the earlier file as it was.

    A link is followed; a pipe or device, such as `/dev/stdout`, is written to.

    Raises:
        OSError: it cannot be written.
    """
    with _named(path):
        if os.path.exists(path) and not os.path.isfile(path):
            Path(path).write_bytes(content)
            return
        with open_aside(path) as stream:
            stream.write(content)


@contextmanager
def open_aside(path: str | os.PathLike[str]) -> Iterator[BufferedWriter]:
    """Open a new file for writing that replaces another when the block ends, and is removed when the block fails."""
    with aside(path) as partial:
        with partial.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, os.path.realpath(path))


@contextmanager
def aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the path of a temporary file next to another; it is deleted in the end."""
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.partial")  # 255 bytes in any script
    try:
        yield partial
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Have errors name this file."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
