"""Archives: ordinary ones are unpacked, hostile ones refused, damaged ones told, and nothing is left of a failure."""

from __future__ import annotations

import gzip
import io
import os
import random
import resource
import shutil
import subprocess
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shitu_edge_export.archive import extract
from shitu_edge_export.errors import ExportError

FILES = {"model/a": b"12345" * 200, "model/empty": b"", "d" * 120: b"last", "e/图": random.Random(1).randbytes(5000)}
KINDS = ("tar", "tar.gz")


def tar_of(*members: tuple[str, bytes], type: bytes = tarfile.REGTYPE, format: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar of these members, the last of them of this type."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.type = type if name == members[-1][0] else tarfile.REGTYPE
            info.size, info.linkname = len(content), "/etc/passwd"
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def archive_of(kind: str, *members: tuple[str, bytes]) -> bytes:
    members = members or tuple(FILES.items())
    return gzip.compress(tar_of(*members), mtime=0) if kind == "tar.gz" else tar_of(*members)


Unpack = Callable[..., dict[str, bytes]]


@pytest.fixture
def unpack(tmp_path: Path) -> Unpack:
    """Unpack bytes; whatever happens, all that is there afterward is the folder, or nothing."""
    archive, place = tmp_path / "archive", tmp_path / "outer" / "inner"
    place.mkdir(parents=True)

    def unpack(content: bytes, **options: Any) -> dict[str, bytes]:
        archive.write_bytes(content)
        folder = place / "unpacked"
        try:
            extract(archive, folder, **options)
            return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        except ExportError:
            assert not folder.exists()
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            assert sorted(tmp_path.rglob("*")) == [archive, place.parent, place]

    return unpack


@pytest.mark.parametrize("kind", KINDS)
def test_an_ordinary_archive(unpack: Unpack, kind: str) -> None:
    assert unpack(archive_of(kind)) == FILES


@pytest.mark.parametrize("format", ["gnu", "pax", "ustar"])
def test_what_the_system_s_tar_writes(unpack: Unpack, tmp_path: Path, format: str) -> None:
    source = tmp_path / "source"
    for name, content in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    command = ["tar", "--format", format, "-C", str(source), "-cf", "-", "model", "e"]
    written = subprocess.run(command, check=True, capture_output=True).stdout
    shutil.rmtree(source)
    assert unpack(written) == {name: content for name, content in FILES.items() if "/" in name}


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "//evil", "../" * 50 + "\n"])
@pytest.mark.parametrize("kind", KINDS)
def test_names_that_lead_elsewhere(unpack: Unpack, name: str, kind: str) -> None:
    with pytest.raises(ExportError, match="leads out of the folder") as told:
        unpack(archive_of(kind, ("first", b""), (name, b"evil"), ("last", b"")))
    assert str(told.value).isprintable()


def test_names_that_mean_something_elsewhere(unpack: Unpack) -> None:
    """Plain names here; on Windows the filter refuses them."""
    for name in ("..\\x", "C:/evil", "c:evil"):
        assert unpack(tar_of((name, b"x"))) == {name: b"x"}
    with pytest.raises(ExportError, match="damaged"):
        unpack(tar_of(("图_", b"")).replace("path=图_".encode(), "path=图\0".encode()))


@pytest.mark.parametrize(
    "type", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"S", b"V"]
)
@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_links_and_devices_are_refused(unpack: Unpack, type: bytes, format: int) -> None:
    with pytest.raises(ExportError, match="'link' is neither a file nor a folder"):
        unpack(tar_of(("x", b""), ("link", b""), type=type, format=format))


@pytest.mark.parametrize("name", ["x", "./x", ".//x"])
@pytest.mark.parametrize("kind", KINDS)
def test_names_that_are_there_twice(unpack: Unpack, name: str, kind: str) -> None:
    with pytest.raises(ExportError, match="is there twice"):
        unpack(archive_of(kind, ("x", b"one"), (name, b"two")))
    with pytest.raises(ExportError, match=r"File exists|Not a directory"):
        unpack(archive_of(kind, ("x", b"one"), (name + "/y", b"two")))


@pytest.mark.parametrize("kind", KINDS)
def test_members_and_bytes_have_limits(unpack: Unpack, kind: str) -> None:
    many = [(str(number), b"") for number in range(1001)]
    assert len(unpack(archive_of(kind, *many[1:]))) == 1000
    with pytest.raises(ExportError, match="more than 1000 members"):
        unpack(archive_of(kind, *many))
    size = sum(map(len, FILES.values()))
    assert unpack(archive_of(kind), limit_bytes=size) == FILES
    with pytest.raises(ExportError, match="more bytes than the limit"):
        unpack(archive_of(kind), limit_bytes=size - 1)


def test_bombs(unpack: Unpack) -> None:
    content = archive_of("tar.gz", ("zeros", bytes(30 << 20)))
    assert len(content) < 100_000
    with pytest.raises(ExportError, match="more bytes than the limit"):
        unpack(content, limit_bytes=10_000_000)


def block(kind: bytes, content: bytes, said: int | None = None) -> bytes:
    """Return a header of this type that says how long its content is, and the content."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(content) if said is None else said
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


LONG = b"1" * (16 << 20)
SPARSE = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n25 GNU.sparse.realsize=1\n"


def old_sparse() -> bytes:
    """Return a member of GNU's old sparse kind, whose list of parts goes on for 16 MiB."""
    header = bytearray(block(tarfile.GNUTYPE_SPARSE, b""))
    header[482] = 1  # more of the list follows
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + (bytes(504) + b"\1" + bytes(7)) * (1 << 15)


TOO_LONG: dict[str, Callable[[], bytes]] = {
    "GNU's long name": lambda: block(tarfile.GNUTYPE_LONGNAME, LONG),
    "GNU's long link": lambda: block(tarfile.GNUTYPE_LONGLINK, LONG),
    "GNU's long name that is not there": lambda: block(tarfile.GNUTYPE_LONGNAME, b"", 1 << 32),
    "pax facts": lambda: block(tarfile.XHDTYPE, b"16777228 a=" + LONG),
    "pax facts of all": lambda: block(tarfile.XGLTYPE, LONG),
    "many of them": lambda: block(tarfile.XGLTYPE, b"10 a=bcde\n" * 400) * 20,
    "pax parts": lambda: block(tarfile.XHDTYPE, SPARSE) + block(tarfile.REGTYPE, b"9999999\n" + b"0\n" * (8 << 20)),
    "GNU's parts": old_sparse,
    "zeros behind the end": lambda: tar_of(("x", b"x")) + bytes(16 << 20),
}


@pytest.mark.parametrize("name", TOO_LONG)
@pytest.mark.parametrize("packed", [False, True])
def test_headers_take_no_memory(unpack: Unpack, name: str, packed: bool) -> None:
    content = TOO_LONG[name]()
    content = gzip.compress(content, 1, mtime=0) if packed else content
    tracemalloc.start()
    with pytest.raises(ExportError, match=r"is too long|cut off"):
        unpack(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_the_longest_names_there_are(unpack: Unpack) -> None:
    deep = "/".join(["d" * 200] * 15)
    for content in (tar_of((deep, b"x")), tar_of((deep, b"x"), format=tarfile.GNU_FORMAT)):
        assert unpack(content) == {deep: b"x"}


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "archive")
    with pytest.raises(ExportError, match="is a pipe, device or socket"):
        extract(tmp_path / "archive", tmp_path / "folder")


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_that_is_cut_off_anywhere(unpack: Unpack, kind: str) -> None:
    content = archive_of(kind)
    end = len(content) if kind != "tar" else len(content.rstrip(b"\0")) // 512 * 512 + 512
    lengths = {*range(0, end, 61), end - 1, *(range(0, end + 1, 512) if kind == "tar" else ())}
    for length in sorted(lengths):
        with pytest.raises(ExportError, match="damaged, cut off or not"):
            unpack(content[:length])


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_flip(unpack: Unpack, kind: str) -> None:
    """Nothing but an ExportError, and nothing outside (which `unpack` asserts); with a checksum no wrong content."""
    good = archive_of(kind)
    refused = 0
    for seed in range(150):
        rng = random.Random(seed)
        damaged = bytearray(good)
        for _ in range(rng.choice([1, 1, 2, 10, 100])):
            damaged[rng.randrange(len(good.rstrip(b"\0")))] ^= rng.randrange(1, 256)
        try:
            found = unpack(bytes(damaged))
        except ExportError:
            refused += 1
        else:
            assert kind == "tar" or set(found.values()) <= set(FILES.values())
    assert refused > 75


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x1f\x8b", gzip.compress(b"text" * 999), b"<html>" * 999])
def test_what_is_no_archive(unpack: Unpack, content: bytes) -> None:
    with pytest.raises(ExportError, match=r"damaged, cut off or not a \.tar or \.tar\.gz archive .*load it"):
        unpack(content)
    with pytest.raises(ExportError, match="holds no files"):
        unpack(bytes(10240))


def test_what_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(archive_of("tar"))
    (tmp_path / "mine").write_bytes(b"mine")
    before = sorted(tmp_path.rglob("*"))
    for folder in (tmp_path, tmp_path / "mine", tmp_path / "mine" / "folder"):
        with pytest.raises(ExportError, match=r"is in the way; name another|cannot be written"):
            extract(tmp_path / "archive", folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk(unpack: Unpack) -> None:
    """The system's limit stands in for one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    content = archive_of("tar.gz", ("small", bytes(1000)), ("large", bytes(50_000)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(ExportError, match=r"cannot be unpacked into .*unpacked: File too large"):
            unpack(content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
