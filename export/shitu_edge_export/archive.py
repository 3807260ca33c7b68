"""Archives: unpacked whole or not at all, and nothing but plain files and folders, where they belong.

`tarfile` and `zipfile` read headers of any size into memory, so what they may read of one is limited.
"""

from __future__ import annotations

import gzip
import io
import math
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

from shitu_edge.system.files import open_regular

from .errors import ExportError

_MAX_BYTES = 1 << 30
_MAX_MEMBERS = 1000
_AT_ONCE = 1 << 20
_MAX_NAME, _MAX_HEADER, _MAX_LIST = 1 << 12, 1 << 15, 1 << 20
"""Bytes of what a tar says of one member in a block of its own, of all that comes before a member (`tarfile` reads
10 KiB ahead), and of a zip's list of members or of what lies behind a tar's end."""
_SAID_APART = frozenset(
    [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE]
)
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
        with open_regular(archive) as stream, _appearing(folder) as hidden:
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
        self.archive = archive
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
                    raise ExportError(f"{self.archive} unpacks to more bytes than the limit")
                file.write(chunk)

    def refuse(self, name: str, why: str) -> NoReturn:
        """Refuse the archive because of a member."""
        raise ExportError(f"{self.archive} is not unpacked: {name[:200]!r} {why}")

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
            raise ExportError(f"{self.archive} has more than {_MAX_MEMBERS} members")
        return parts


class _Metered(io.RawIOBase):
    """A stream of which so much may be read until the next `allow`."""

    def __init__(self, stream: IO[bytes], archive: Path) -> None:
        self._stream = stream
        self._archive = archive
        self._left: float = 0

    def allow(self, size: float) -> None:
        """Set how many bytes may be read from here on."""
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes, or all there are."""
        content = self._stream.read(size if 0 <= size <= self._left else int(min(self._left, _AT_ONCE)) + 1)
        self._left -= len(content)
        if self._left < 0:
            raise ExportError(f"{self._archive} is not unpacked: it has a header, a list or an end that is too long")
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._stream.tell()

    def seekable(self) -> bool:
        """Return that `seek` may be called."""
        return True


def _unpack(stream: IO[bytes], unpacking: _Unpacking) -> None:
    magic = stream.read(4)
    stream.seek(0)
    if magic == b"PK\3\4":
        _unpack_zip(_Metered(stream, unpacking.archive), unpacking)
    elif magic[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=stream) as content:
            _unpack_tar(_Metered(cast(IO[bytes], content), unpacking.archive), unpacking)
    else:
        _unpack_tar(_Metered(stream, unpacking.archive), unpacking)


def _unpack_zip(stream: _Metered, unpacking: _Unpacking) -> None:
    stream.allow(_MAX_LIST)
    with zipfile.ZipFile(cast(IO[bytes], stream)) as archive:
        stream.allow(math.inf)
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
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        """Refuse names and facts that take more than a path can, before they are read."""
        header = super().frombuf(buf, encoding, errors)
        if header.type in _SAID_APART and header.size > _MAX_NAME:
            raise tarfile.ReadError(f"a name or facts of {header.size} bytes")
        return header

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Header:
        """Read the next one."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined, unused-ignore]  # zeros: it is the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def _unpack_tar(stream: _Metered, unpacking: _Unpacking) -> None:
    file = cast(IO[bytes], stream)
    stream.allow(_MAX_HEADER)
    with tarfile.open(fileobj=file, mode="r|", tarinfo=_Header) as archive:  # "r|" never seeks back: no endless loops
        while member := archive.next():
            if member.isdir():
                unpacking.add(member.name, None)
            else:
                content = archive.extractfile(member) if member.isreg() and not member.issparse() else None
                if content is None:
                    unpacking.refuse(member.name, "is neither a file nor a folder")
                stream.allow(math.inf)
                with content:
                    unpacking.add(member.name, content)
            stream.allow(_MAX_HEADER)
    stream.allow(_MAX_LIST)
    while stream.read(_AT_ONCE):  # to the end, where gzip has its checksum
        pass
