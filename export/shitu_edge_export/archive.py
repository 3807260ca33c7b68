"""Archives: unpacked whole or not at all, and nothing but plain files and folders, where they belong.

Not defended against: an archive made to cost time, or memory up to the limit of bytes, in the headers that `tarfile`
and `zipfile` read. The archives come from an address that the user chose, not from anyone who can send one.
"""

from __future__ import annotations

import gzip
import os
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, NoReturn, Protocol

from .errors import ExportError

_MAX_BYTES = 1 << 30
_MAX_MEMBERS = 1000
_AT_ONCE = 1 << 20
_DAMAGED = (  # what is raised on content that makes no sense
    ArithmeticError,
    EOFError,
    RuntimeError,
    ValueError,
    gzip.BadGzipFile,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


def extract(archive: Path, folder: Path, *, limit_bytes: int = _MAX_BYTES) -> None:
    """Unpack a .tar, .tar.gz or .zip into a folder that appears only when it is complete.

    Args:
        archive: the file; its content tells what it is, not its name.
        folder: where the members go, with their folders as in the archive; must be empty if it exists.
        limit_bytes: how many bytes may be unpacked, by what really comes and not by what the headers say.

    Raises:
        ExportError: the archive is damaged, cut off or none at all, is over a limit, has a member that is neither a
            plain file nor a folder or whose name leads elsewhere, or there is no room. Nothing is left of it.
    """
    try:
        with archive.open("rb") as stream, _appearing(folder) as hidden:
            unpacking = _Unpacking(archive, hidden, limit_bytes)
            _unpack(stream, unpacking)
            if not any(path.is_file() for path in hidden.rglob("*")):
                raise ExportError(f"{archive} holds no files")
    except _DAMAGED as error:
        why = ascii(str(error) or type(error).__name__)[1:200]
        raise ExportError(
            f"{archive} is damaged, cut off or not a .tar, .tar.gz or .zip archive ({why}); load it again"
        ) from error
    except OSError as error:
        raise ExportError(f"{archive} cannot be unpacked into {folder}: {error.strerror or error}") from error


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Lend a folder beside the one wanted that takes its place in the end, and is removed when something fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        hidden = Path(scratch, "new")
        hidden.mkdir()
        yield hidden
        os.rename(hidden, folder)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Unpacking:
    """What has been unpacked so far; refuses what is not to be."""

    def __init__(self, archive: Path, folder: Path, limit_bytes: int) -> None:
        self._archive = archive
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._names: set[tuple[str, ...]] = set()

    def count(self, size: int) -> None:
        """Take so many bytes more into account."""
        self._bytes += size
        if self._bytes > self._limit_bytes:
            raise ExportError(f"{self._archive} unpacks to more than the limit of {self._limit_bytes} bytes")

    def add(self, name: str, content: _Readable | None) -> None:
        """Write a file, or make a folder where there is no content."""
        path = self._folder.joinpath(*self._parts(name))
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            while chunk := content.read(_AT_ONCE):
                file.write(chunk)

    def refuse(self, name: str, why: str) -> NoReturn:
        """Refuse the archive because of a member."""
        raise ExportError(f"{self._archive} is not unpacked: {name[:200]!r} {why}")

    def _parts(self, name: str) -> tuple[str, ...]:
        """Return the folders and the name of a member that lies inside and is not there yet."""
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if name.startswith("/") or ".." in parts or any(part[1:2] == ":" for part in parts):
            self.refuse(name, "leads out of the folder")
        if "\0" in name or "\\" in name:
            self.refuse(name, "has a NUL or a backslash in its name")
        if parts in self._names:
            self.refuse(name, "is there twice")
        self._names.add(parts)
        if len(self._names) > _MAX_MEMBERS:
            raise ExportError(f"{self._archive} has more than {_MAX_MEMBERS} members")
        return parts


class _Counted:
    """A stream whose bytes are counted."""

    def __init__(self, stream: _Readable, unpacking: _Unpacking) -> None:
        self._stream = stream
        self._unpacking = unpacking

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, fewer at the end."""
        data = self._stream.read(size)
        self._unpacking.count(len(data))
        return data


def _unpack(stream: BinaryIO, unpacking: _Unpacking) -> None:
    magic = stream.read(4)
    stream.seek(0)
    if magic == b"PK\3\4":
        _unpack_zip(stream, unpacking)
    elif magic[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=stream) as content:
            _unpack_tar(_Counted(content, unpacking), unpacking)
    else:
        _unpack_tar(_Counted(stream, unpacking), unpacking)


def _unpack_zip(stream: IO[bytes], unpacking: _Unpacking) -> None:
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            name = member.orig_filename  # the other one ends before a NUL
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                unpacking.refuse(name, "is neither a file nor a folder")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a limit
                unpacking.refuse(name, "is compressed in another way than deflate")
            if name.endswith("/"):
                unpacking.add(name, None)
                continue
            with archive.open(member) as content:
                unpacking.add(name, _Counted(content, unpacking))


class _Header(tarfile.TarInfo):
    """A member's header; a damaged one is an error, while `tarfile` takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Header:
        """Read the next one."""
        try:
            return super().fromtarfile(archive)  # type: ignore[return-value]
        except tarfile.EOFHeaderError:  # the block of zeros that is the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def _unpack_tar(stream: _Counted, unpacking: _Unpacking) -> None:
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as archive:
        for member in archive:
            if member.isdir():
                unpacking.add(member.name, None)
            elif member.isreg() and not member.issparse():
                with archive.extractfile(member) as content:
                    unpacking.add(member.name, content)
            else:
                unpacking.refuse(member.name, "is neither a file nor a folder")
    while stream.read(_AT_ONCE):  # to the end, where gzip has its checksum
        pass
