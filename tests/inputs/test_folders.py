"""Listing folders: content against names, links, pipes, and what systems leave behind."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from shitu_edge.errors import ImageError
from shitu_edge.inputs.folders import _SUFFIXES, Listing, images_in, list_images
from shitu_edge.stages.decode import FORMATS

LINKS = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


def encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(stream, kind)
    return stream.getvalue()


JPEG = encoded("JPEG")


def write(folder: Path, *names: str, content: bytes = JPEG) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def names(found: Listing, folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in found.images]


def reasons(found: Listing) -> dict[str, str]:
    return {skipped.source: skipped.reason for skipped in found.skipped}


def test_images_in_tells_images_by_content_or_name_at_any_depth(tmp_path: Path) -> None:
    write(tmp_path, "b.jpg", "a/photo", "a/b/IMG.JFIF", "图/1.jpeg", "x.txt")
    write(tmp_path, "a.heic", content=b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    write(tmp_path, "no suffix", content=encoded("PNG"))
    write(tmp_path, "damaged.png", "empty.jpg", content=b"")
    found = images_in(tmp_path)
    expected = ["a/b/IMG.JFIF", "a/photo", "a.heic", "b.jpg", "damaged.png", "empty.jpg", "no suffix", "x.txt"]
    assert names(found, tmp_path) == [*expected, "图/1.jpeg"]
    assert found.skipped == ()


def test_names_of_every_format_are_names_of_images() -> None:
    Image.init()
    suffixes = {suffix for suffix, kind in Image.EXTENSION.items() if kind in {*FORMATS, "MPO", "AVIF", "JPEG2000"}}
    rare = {".apng", ".dib", ".jpc", ".jpf", ".jpx", ".j2c", ".j2k", ".avifs"}
    assert suffixes - rare <= _SUFFIXES


def test_images_in_names_what_it_skips(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg", ".hidden.jpg", ".cache/2.jpg")
    write(tmp_path, "notes.txt", ".notes", content=b"text")
    write(tmp_path, "nothing", content=b"")
    found = images_in(tmp_path)
    assert names(found, tmp_path) == ["1.jpg"]
    assert reasons(found) == {
        ".hidden.jpg": "is hidden",
        ".cache": "is hidden",
        "notes.txt": "is not an image",
        "nothing": "is empty",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", "a/@eaDir/2.jpg", "SYNOPHOTO_THUMB_XL.jpg", "#recycle/1.jpg"),
        *("._1.jpg", ".DS_Store", "__MACOSX/._1.jpg", ".Trashes/1.jpg", ".Spotlight-V100/x", ".fseventsd/x"),
        *("Thumbs.db", "a/THUMBS.DB", "desktop.ini", "$RECYCLE.BIN/1.jpg", "System Volume Information/x"),
        *(".@__thumb/s1001.jpg", ".keep", "a/.nomedia"),
    ],
)
def test_images_in_does_not_mention_what_systems_leave_behind(tmp_path: Path, name: str) -> None:
    write(tmp_path, "real.jpg")
    write(tmp_path, name, content=JPEG if name.endswith(".jpg") else b"x")
    found = images_in(tmp_path)
    assert names(found, tmp_path) == ["real.jpg"]
    assert found.skipped == ()


@LINKS
def test_images_in_follows_links_inside_and_names_those_that_lead_out(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    write(folder, "real/1.jpg", "a/2.jpg")
    write(outside, "3.jpg")
    (folder / "a" / "linked folder").symlink_to(folder / "real")
    (folder / "a" / "linked.jpg").symlink_to("../real/1.jpg")
    (folder / "out").symlink_to(outside)
    (folder / "out.jpg").symlink_to(outside / "3.jpg")
    (folder / "gone.jpg").symlink_to("nothing")
    (folder / "loop").symlink_to("loop")
    found = images_in(folder)
    assert names(found, folder) == ["a/2.jpg", "a/linked.jpg", "real/1.jpg"]
    assert reasons(found) == {
        "a/linked folder": "is a link to a folder already read",
        "out": f"is a link out of {folder}",
        "out.jpg": f"is a link out of {folder}",
        "gone.jpg": "is a broken link",
        "loop": "is a broken link",
    }
    assert names(list_images(folder, Path("a")), folder) == ["a/2.jpg", "a/linked folder/1.jpg", "a/linked.jpg"]


@LINKS
def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """Thirty folders with two links each to the next would be 2 to the 30 ways."""
    write(tmp_path, "0/1.jpg")
    for number in range(30):
        (tmp_path / str(number)).mkdir(exist_ok=True)
        for name in ("left", "right"):
            (tmp_path / str(number) / name).symlink_to(tmp_path / str((number + 1) % 30))
    (tmp_path / "0" / "up").symlink_to("..")
    found = list_images(tmp_path, Path("0"))
    assert names(found, tmp_path) == ["0/1.jpg"]
    assert reasons(found)["0/up"] == "is a link to its own parent folder"
    assert len(found.skipped) <= 61


@LINKS
def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    write(tmp_path / "real", "a/1.jpg")
    (tmp_path / "link").symlink_to("real")
    assert names(images_in(tmp_path / "link"), tmp_path / "link") == ["a/1.jpg"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_pipes_are_named_and_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg")
    for name in ("pipe", "pipe.jpg"):
        os.mkfifo(tmp_path / name)
    found = images_in(tmp_path)
    assert names(found, tmp_path) == ["1.jpg"]
    assert set(reasons(found).values()) == {"cannot be read: is a pipe, device or socket, not a regular file"}


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg", "closed/2.jpg", "closed file")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "closed file").chmod(0)
    found = images_in(tmp_path)
    (tmp_path / "closed").chmod(0o755)
    assert set(reasons(found).values()) == {"cannot be read: Permission denied"}


@pytest.mark.skipif(sys.platform != "linux", reason="file names that are no Unicode")
def test_names_in_another_encoding_are_listed(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + "牛奶.jpg".encode("gbk"))).write_bytes(JPEG)
    assert len(images_in(tmp_path).images) == 1


def test_folders_without_images(tmp_path: Path) -> None:
    write(tmp_path, "notes.txt", "more.txt", content=b"text")
    with pytest.raises(ImageError, match=r": no images in this folder; more\.txt, notes\.txt: is not an image"):
        images_in(tmp_path)
    with pytest.raises(ImageError, match="none: no such folder of images"):
        images_in(tmp_path / "none")
