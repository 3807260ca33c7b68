"""Archives from strangers: unpacked whole or not at all, and nothing but plain files and folders.

The tar headers are read here, one after the other, because `tarfile` itself reads a header of any size into memory and
does not come back from some that are damaged; `zipfile` gets a file that refuses to be read in large pieces.
"""

from __future__ import annotations

import errno
import gzip
import os
import re
import secrets
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import NoReturn

from .errors import ExportError

_MAX_BYTES = 8 << 30
_MAX_MEMBERS = 10_000
_MAX_DEPTH = 32
_MAX_EXTENDED = 1 << 16  # bytes of a header that holds a long name
_MAX_HEADERS = 4 * _MAX_MEMBERS  # with those that hold long names
_MAX_PADDING = 16 << 20  # after the end of a tar, to fill its last record
_MAX_PIECE = 8 << 20  # the largest piece that is read is the directory of a zip; 10 000 members need a tenth of it
_AT_ONCE = 1 << 20
_BLOCK = tarfile.BLOCKSIZE

_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME)
_TAR_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.GNUTYPE_LONGLINK: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_ZIP_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_DAMAGED = (  # what zlib, gzip and zipfile raise on content that makes no sense
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def extract(archive: Path, folder: Path, *, limit_bytes: int = _MAX_BYTES) -> None:
    """Unpack a .tar, .tar.gz or .zip into a folder that appears only when it is complete.

    Args:
        archive: the file; its content tells what it is, not its name.
        folder: where the members go, with their folders as in the archive; must be empty if it exists.
        limit_bytes: how many bytes all files may be together, by what is unpacked and not by what the headers say.

    Raises:
        ExportError: the archive is damaged, cut off or none at all, is over a limit, has a member that is neither a
            plain file nor a folder or whose name leads elsewhere, or there is no room. Nothing is left of it.
    """
    try:
        stream = _InPieces(archive)
    except OSError as error:
        raise ExportError(f"{archive} cannot be read: {error.strerror or error}") from error
    with stream, _appearing(folder.absolute()) as hidden:
        unpacked = _Unpacked(archive, hidden, limit_bytes)
        magic = _Content(archive, stream.read).some(4)
        stream.seek(0)
        if magic == b"PK\3\4":
            _unpack_zip(stream, unpacked)
        elif magic[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=stream) as content:
                _unpack_tar(_Content(archive, content.read), unpacked)
        else:
            _unpack_tar(_Content(archive, stream.read), unpacked)
        if not unpacked.files:
            raise ExportError(f"{archive} holds no files")


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Lend a folder beside the one wanted that takes its place in the end, and is removed when something fails."""
    hidden = folder.parent / f".{folder.name[:50]}.{secrets.token_hex(4)}.partial"
    try:
        if os.path.lexists(folder) and (not os.path.isdir(folder) or any(folder.iterdir())):
            raise ExportError(f"{folder} exists already, expected the name of a folder to be made")
        folder.parent.mkdir(parents=True, exist_ok=True)
        hidden.mkdir()
        yield hidden
        os.rename(hidden, folder)
    except OSError as error:
        raise ExportError(f"{folder} cannot be made: {error.strerror or error}") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


class _InPieces(FileIO):
    """A file that is read in pieces of limited size: a directory of a zip may call itself as large as the disk."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes, fewer at the end."""
        if size is None or size < 0:
            size = _MAX_PIECE
        if size > _MAX_PIECE:
            raise zipfile.BadZipFile(f"a piece of {size} bytes")
        return super().read(size)


class _Content:
    """Bytes of an archive in their order; whatever reading meets in a damaged one becomes one line."""

    def __init__(self, archive: Path, read: Callable[[int], bytes]) -> None:
        self._archive = archive
        self._read = read

    def some(self, size: int) -> bytes:
        """Return so many bytes, fewer at the end."""
        with _damage_told(self._archive):
            return self._read(size)

    def exactly(self, size: int) -> bytes:
        """Return so many bytes."""
        data = self.some(size)
        if len(data) < size:
            raise _damage(self._archive, "it ends too early")
        return data

    def chunks(self, size: int, to_end: bool = False) -> Iterator[bytes]:
        """Yield so many bytes, and meet the end if it has to come then."""
        while size:
            chunk = self.exactly(min(size, _AT_ONCE))
            size -= len(chunk)
            yield chunk
        if to_end and self.some(1):
            raise _damage(self._archive, "a member is longer than it says")


@contextmanager
def _damage_told(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise _damage(archive, " ".join(str(error).split())[:200] or type(error).__name__) from error


def _damage(archive: Path, why: str) -> ExportError:
    return ExportError(f"{archive} is damaged, cut off or not a .tar, .tar.gz or .zip archive: {why}; load it again")


class _Unpacked:
    """What has been unpacked so far; refuses what is not to be."""

    def __init__(self, archive: Path, folder: Path, limit_bytes: int) -> None:
        self.archive = archive
        self.files = 0
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._names: set[tuple[str, ...]] = set()

    def add_folder(self, name: str) -> None:
        """Make a folder."""
        parts = self._parts(name)
        with self._writing(name):
            self._folder.joinpath(*parts).mkdir(parents=True, exist_ok=True)

    def add_file(self, name: str, chunks: Iterator[bytes]) -> None:
        """Write a file."""
        parts = self._parts(name)
        if not parts:
            self.refuse(name, "is a file without a name")
        path = self._folder.joinpath(*parts)
        with self._writing(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as stream:
                for chunk in chunks:
                    self._bytes += len(chunk)
                    if self._bytes > self._limit_bytes:
                        raise ExportError(f"{self.archive} unpacks to more than the limit of {self._limit_bytes} bytes")
                    stream.write(chunk)
        self.files += 1

    def refuse(self, name: str, why: str) -> NoReturn:
        """Refuse the archive because of a member."""
        raise ExportError(f"{self.archive} is not unpacked: {name[:200]!r} {why}")

    def _parts(self, name: str) -> tuple[str, ...]:
        """Return the folders and the name of a member that lies inside and is not there yet."""
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if name.startswith("/") or ".." in parts or any(re.match("[A-Za-z]:", part) for part in parts):
            self.refuse(name, "leads out of the folder")
        if "\0" in name or "\\" in name:
            self.refuse(name, "has a NUL or a backslash in its name")
        if len(parts) > _MAX_DEPTH:
            self.refuse(name, f"lies more than {_MAX_DEPTH} folders deep")
        if parts in self._names:
            self.refuse(name, "is there twice")
        self._names.add(parts)
        if len(self._names) > _MAX_MEMBERS:
            raise ExportError(f"{self.archive} has more than {_MAX_MEMBERS} members")
        return parts

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # ValueError: a name that the file system's encoding does not have
            why = error.strerror if isinstance(error, OSError) else str(error)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                why = f"the disk is full after {self._bytes} bytes; make room in {self._folder.parent}"
            raise ExportError(f"{self.archive}: {name[:200]!r} cannot be written: {why}") from error


def _unpack_zip(stream: FileIO, unpacked: _Unpacked) -> None:
    with _damage_told(unpacked.archive):
        archive = zipfile.ZipFile(stream)
    with archive:
        for member in archive.infolist():
            name = member.orig_filename  # the other one ends before a NUL
            _check_zip_member(member, name, unpacked)
            if name.endswith("/"):
                unpacked.add_folder(name)
                continue
            with _damage_told(unpacked.archive):
                content = archive.open(member)
            with content:
                unpacked.add_file(name, _Content(unpacked.archive, content.read).chunks(member.file_size, to_end=True))


def _check_zip_member(member: zipfile.ZipInfo, name: str, unpacked: _Unpacked) -> None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        unpacked.refuse(name, f"is {_ZIP_KINDS.get(kind, 'neither a file nor a folder')}")
    if member.flag_bits & 1:
        unpacked.refuse(name, "is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a limit
        unpacked.refuse(name, "is compressed in another way than deflate")


def _unpack_tar(content: _Content, unpacked: _Unpacked) -> None:
    for member in _tar_members(content, unpacked):
        if member.type == tarfile.DIRTYPE:
            unpacked.add_folder(member.name)
        elif member.type in _PLAIN:
            unpacked.add_file(member.name, content.chunks(member.size))
            content.exactly(-member.size % _BLOCK)
        else:
            unpacked.refuse(member.name, f"is {_TAR_KINDS.get(member.type, 'neither a file nor a folder')}")
    padding = 0
    while chunk := content.some(_AT_ONCE):  # to the end, where gzip has its checksum
        padding += len(chunk)
        if padding > _MAX_PADDING:
            raise _damage(unpacked.archive, "it goes on after its end")


def _tar_members(content: _Content, unpacked: _Unpacked) -> Iterator[tarfile.TarInfo]:
    """Yield the members with their long names; the one who takes them reads their data."""
    name: str | None = None
    size: int | None = None
    for _ in range(_MAX_HEADERS):
        with _damage_told(unpacked.archive):
            member = _tar_header(content, unpacked)
            if member is None:
                return
            if member.type in _EXTENDED:
                data = _extended(content, member)
                if member.type == tarfile.GNUTYPE_LONGNAME:
                    name = data.rstrip(b"\0").decode()
                elif member.type == tarfile.XHDTYPE:
                    name, size = _pax_name_and_size(data)
                continue
        member.name = member.name if name is None else name
        member.size = member.size if size is None else size
        name = size = None
        yield member
    raise ExportError(f"{unpacked.archive} has more than {_MAX_HEADERS} headers")


def _tar_header(content: _Content, unpacked: _Unpacked) -> tarfile.TarInfo | None:
    """Return the next header, None at the end."""
    block = content.some(_BLOCK)
    try:
        member = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except tarfile.HeaderError as error:
        if len(block) == _BLOCK and not any(block):
            return None
        raise ValueError(f"{error}") from error
    if member.size < 0:
        raise ValueError("a negative size")
    return member


def _extended(content: _Content, member: tarfile.TarInfo) -> bytes:
    """Return the data of a header that describes the next one."""
    if member.size > _MAX_EXTENDED:
        raise ValueError(f"a header of {member.size} bytes")
    return content.exactly(member.size + -member.size % _BLOCK)[: member.size]


def _pax_name_and_size(data: bytes) -> tuple[str | None, int | None]:
    """Return what a pax header says of the next member: records of `length key=value` and a line feed."""
    records: dict[bytes, bytes] = {}
    while data and data[0]:
        length = re.match(rb"\d{1,6}(?= )", data)
        record = data[: int(length[0])] if length else b""
        key, equals, value = record[length.end() + 1 : -1].partition(b"=") if length else (b"", b"", b"")
        if not length or len(record) != int(length[0]) or not equals or record[-1:] != b"\n":
            raise ValueError("a pax header that is none")
        records[key] = value
        data = data[len(record) :]
    if any(key.startswith(b"GNU.sparse") for key in records):
        raise ValueError("sparse files are not supported")
    size = records.get(b"size")
    if size is not None and not re.fullmatch(rb"\d{1,18}", size):
        raise ValueError("a size that is no number")
    return records[b"path"].decode() if b"path" in records else None, None if size is None else int(size)
