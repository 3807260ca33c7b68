"""Archives: unpacked whole or not at all, and nothing but plain files and folders, where they belong.

Not defended against: headers made to cost `tarfile` or `zipfile` much time or memory. Archives come from an address
that the user chose, not from anyone who can send one.
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
from typing import IO, NoReturn, cast

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
            _unpack(stream, _Unpacking(archive, hidden, limit_bytes))
            if not any(path.is_file() for path in hidden.rglob("*")):
                raise ExportError(f"{archive} holds no files")
    except _DAMAGED as error:
        what = f"{archive} is damaged, cut off or not a .tar, .tar.gz or .zip archive"
        raise ExportError(f"{what} ({ascii(error)[:200]}); load it again") from error
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


class _Unpacking:
    """What has been unpacked so far; refuses what is not to be."""

    def __init__(self, archive: Path, folder: Path, limit_bytes: int) -> None:
        self._archive = archive
        self._folder = folder
        self._left = limit_bytes
        self._names: set[tuple[str, ...]] = set()

    def add(self, name: str, content: IO[bytes] | None) -> None:
        """Write a file, or make a folder where there is no content."""
        path = self._folder.joinpath(*self._parts(name))
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            while chunk := content.read(_AT_ONCE):
                self._left -= len(chunk)
                if self._left < 0:
                    raise ExportError(f"{self._archive} unpacks to more bytes than the limit")
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


def _unpack(stream: IO[bytes], unpacking: _Unpacking) -> None:
    magic = stream.read(4)
    stream.seek(0)
    if magic == b"PK\3\4":
        _unpack_zip(stream, unpacking)
    elif magic[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=stream) as content:
            _unpack_tar(cast(IO[bytes], content), unpacking)
    else:
        _unpack_tar(stream, unpacking)


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
                unpacking.add(name, content)


class _Header(tarfile.TarInfo):
    """A member's header; a damaged one is an error, while `tarfile` takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Header:
        """Read the next one."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined, unused-ignore]  # zeros: it is the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def _unpack_tar(stream: IO[bytes], unpacking: _Unpacking) -> None:
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as archive:  # "r|" never seeks back: no endless loops
        for member in archive:
            if member.isdir():
                unpacking.add(member.name, None)
                continue
            content = archive.extractfile(member) if member.isreg() and not member.issparse() else None
            if content is None:
                unpacking.refuse(member.name, "is neither a file nor a folder")
            with content:
                unpacking.add(member.name, content)
    while stream.read(_AT_ONCE):  # to the end, where gzip has its checksum
        pass
