"""A file while it is being loaded: the bytes that are there, what they are a part of, and how it takes its place.

The bytes lie beside the target as `.partial`, and as `.partial.json` where they come from. Of two processes that load
the same file at once, one may have to start again.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from typing import NoReturn

from shitu_edge.digest import file_sha256
from shitu_edge.files import read_json

from .errors import ExportError

_MAX_BYTES = 1 << 30
_MAX_NOTE = 1 << 16

ELSEWHERE = "try another server (--mirror) or a folder that holds the file (--from-dir)"
"""What can be done about a file that is not there or not what it should be."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """What the bytes are a part of; the validator tells this version at this address from another one."""

    url: str
    validator: str | None
    sha256: str | None


class Partial:
    """The beginning of a file, perhaps an empty one; `size` is how many bytes of it there are."""

    def __init__(self, target: Path, url: str, sha256: str | None) -> None:
        self._target = target
        self._path = target.with_name(f"{target.name}.partial")
        self._note = target.with_name(f"{target.name}.partial.json")
        self._url = url
        self._sha256 = sha256
        self._origin = self._read_note()
        self._stream: FileIO | None = None
        self.size = 0
        with _writing(self._path):
            target.parent.mkdir(parents=True, exist_ok=True)
            if self.resumable and self._path.exists():
                self._stream = FileIO(self._path, "r+")
                self.size = self._stream.seek(0, os.SEEK_END)

    @property
    def resumable(self) -> bool:
        """Whether the digest or the server can tell that what is loaded next belongs to the same file."""
        same_digest = self._origin and self._origin.sha256 == self._sha256 is not None
        return bool(same_digest) or self.validator is not None

    @property
    def validator(self) -> str | None:
        """What the server at the address called this version."""
        return self._origin.validator if self._origin and self._origin.url == self._url else None

    def restart(self, validator: str | None) -> None:
        """Forget the bytes, and note what those to come are a part of."""
        self.close()
        self._origin = _Origin(self._url, validator, self._sha256)
        self.size = 0
        with _writing(self._path):
            self._path.unlink(missing_ok=True)  # not emptied: another process may be writing it
            self._note.write_text(json.dumps(asdict(self._origin)), encoding="utf-8")
            self._stream = FileIO(self._path, "x")

    def append(self, chunk: bytes) -> None:
        """Write what comes next, as much as there is room for."""
        self.check(self.size + len(chunk))
        assert self._stream is not None, "neither restarted nor resumed"
        rest = memoryview(chunk)
        while rest:
            with _writing(self._path):
                written = self._stream.write(rest)
            self.size += written
            rest = rest[written:]

    def check(self, size: int) -> None:
        """Refuse a file of so many bytes, or more, if that is too many."""
        if size > _MAX_BYTES:
            self._refuse(f"larger than the limit of {_MAX_BYTES} bytes")

    def finish(self) -> str:
        """Put the file into its place if it has the digest wanted, else remove it; return its SHA-256."""
        assert self._stream is not None, "neither restarted nor resumed"
        with _writing(self._target):
            os.fsync(self._stream.fileno())
            if not os.path.samestat(os.fstat(self._stream.fileno()), self._path.stat()):
                raise ExportError(f"{self._path} was replaced by another process; run the command again")
            sha256 = file_sha256(self._path)
            if self._sha256 not in (None, sha256):
                self._refuse(f"wrong SHA-256: expected {self._sha256}, found {sha256}")
            os.replace(self._path, self._target)
            self._note.unlink(missing_ok=True)
        return sha256

    def discard(self) -> None:
        """Leave nothing."""
        self.close()
        self._origin = None
        self.size = 0
        for path in (self._path, self._note):
            with suppress(OSError):
                path.unlink()

    def close(self) -> None:
        """Leave the bytes to a later run."""
        if self._stream is not None:
            self._stream.close()

    def _refuse(self, why: str) -> NoReturn:
        self.discard()
        raise ExportError(f"{self._url}: {why}; {ELSEWHERE}")

    def _read_note(self) -> _Origin | None:
        try:
            return _Origin(**read_json(self._note, _MAX_NOTE))
        except (OSError, ValueError, TypeError):  # none, or cut off
            return None


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what can go wrong with a disk into one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ExportError(f"{path.parent}: the disk is full; make room and run the command again") from error
        raise ExportError(f"{path} cannot be written: {error.strerror or error}") from error
