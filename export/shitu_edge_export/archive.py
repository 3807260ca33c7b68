"""Archives: unpacked whole or not at all, and nothing but plain files and folders inside the folder asked for."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from pathlib import Path
from typing import IO, NoReturn, cast

from shitu_edge.system.files import open_regular

from .errors import ExportError
from .folders import appearing

_MAX_BYTES = 1 << 30
_MAX_MEMBERS = 1000
_MAX_BETWEEN = 1 << 15
"""Bytes of headers before a member: `tarfile` reads them into memory, and 10 KiB ahead."""
_MAX_END = 1 << 20
_DAMAGED = (ArithmeticError, EOFError, ValueError, gzip.BadGzipFile, tarfile.TarError, zlib.error)


def extract(archive: Path, folder: Path, *, limit_bytes: int = _MAX_BYTES) -> None:
    """Unpack a .tar or .tar.gz into a folder that appears only when it is complete.

    Args:
        archive: recognized by its content, not by its name.
        folder: must be empty if it exists.
        limit_bytes: largest sum of the files' sizes.

    Raises:
        ExportError: the archive is damaged, cut off, over a limit, or has a member that is not a plain file or folder
            or leads elsewhere; or there is no room. Nothing is left of it.
    """
    try:
        with open_regular(archive) as stream, appearing(folder) as hidden:
            _unpack(stream, archive, hidden, limit_bytes)
            if not any(path.is_file() for path in hidden.rglob("*")):
                raise ExportError(f"{archive} holds no files")
    except _DAMAGED as error:
        what = f"{archive} is damaged, cut off or not a .tar or .tar.gz archive"
        raise ExportError(f"{what} ({ascii(error)[:200]}); load it again") from error
    except OSError as error:
        raise ExportError(f"{archive} cannot be unpacked into {folder}: {error.strerror or error}") from error


def _unpack(stream: IO[bytes], archive: Path, folder: Path, left: int) -> None:
    packed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    content = _Metered(gzip.GzipFile(fileobj=stream) if packed else stream, archive)
    names: set[str] = set()

    def refuse(name: str, why: str) -> NoReturn:
        raise ExportError(f"{archive} is not unpacked: {name[:200]!r} {why}")

    content.left = _MAX_BETWEEN
    with tarfile.open(fileobj=cast(IO[bytes], content), mode="r|", tarinfo=_Header) as tar:  # "r|" never seeks back
        while member := tar.next():
            if not member.isdir() and (not member.isreg() or member.issparse()):
                refuse(member.name, "is neither a file nor a folder")
            name = os.path.normpath(member.name)
            if member.name.startswith("/") or name in names:
                refuse(member.name, "is there twice" if name in names else "leads out of the folder")
            names.add(name)
            left -= member.size
            if left < 0 or len(names) > _MAX_MEMBERS:
                limit = f"more than {_MAX_MEMBERS} members" if left >= 0 else "more bytes than the limit"
                raise ExportError(f"{archive} is not unpacked: it has {limit}")
            content.left = member.size + _MAX_BETWEEN
            try:
                tar.extract(member, folder, filter="data")
            except tarfile.FilterError:
                refuse(member.name, "leads out of the folder")
            content.left = _MAX_BETWEEN
    content.left = _MAX_END
    while content.read(_MAX_BETWEEN):  # to the end, where gzip has its checksum
        pass


class _Metered(io.RawIOBase):
    """A stream of which `left` more bytes may be read."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, archive: Path) -> None:
        self._stream = stream
        self._archive = archive
        self.left = 0

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes."""
        content = self._stream.read(min(size, self.left + 1))
        self.left -= len(content)
        if self.left < 0:
            raise ExportError(f"{self._archive} is not unpacked: it has a header or an end that is too long")
        return content


class _Header(tarfile.TarInfo):
    """A member's header; a damaged one is an error, while `tarfile` takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _Header:
        """Read the next one."""
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined, unused-ignore]  # zeros: it is the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
