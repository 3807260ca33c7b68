"""Digests of large files."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from .files import open_regular

_AT_ONCE = 1 << 20


def file_sha256(path: Path, max_bytes: int | None = None) -> str:
    """Return the SHA-256 of a regular file's content in hexadecimal.

    Raises:
        OSError: it cannot be read, is not a regular file, or holds more than `max_bytes`.
    """
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        if max_bytes is not None and os.fstat(stream.fileno()).st_size > max_bytes:
            raise OSError(errno.EFBIG, f"is larger than {max_bytes} bytes", os.fspath(path))
        while chunk := stream.read(_AT_ONCE):
            digest.update(chunk)
    return digest.hexdigest()
