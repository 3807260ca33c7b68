from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import find_pictures
from shitu_edge.gallery.sources import picture_inside

SUFFIXES = (".jpg", ".png")


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def _found(source: Path) -> list[tuple[str, str]]:
    return [(picture.label, picture.source) for picture in find_pictures(source, SUFFIXES)]


def test_folder_per_label(tmp_path: Path) -> None:
    _touch(tmp_path, "milk/2.jpg", "milk/1.png", "牛奶 250 ml/a b.jpg", "milk/side/left/3.JPG")
    assert _found(tmp_path) == [
        ("milk", "milk/1.png"),
        ("milk", "milk/2.jpg"),
        ("milk", "milk/side/left/3.JPG"),
        ("牛奶 250 ml", "牛奶 250 ml/a b.jpg"),
    ]
    assert find_pictures(tmp_path, SUFFIXES)[0].path == tmp_path / "milk" / "1.png"


def test_what_is_no_picture_of_a_label_is_passed_over(tmp_path: Path) -> None:
    _touch(
        tmp_path, "tea/1.jpg", "tea/.2.jpg", "tea/notes.txt", "tea/jpg", ".hidden/3.jpg", "tea/.thumbs/4.jpg", "5.jpg"
    )
    (tmp_path / "tea" / "folder.jpg").mkdir()
    assert _found(tmp_path) == [("tea", "tea/1.jpg")]


def test_hidden_parents_do_not_matter(tmp_path: Path) -> None:
    _touch(tmp_path, ".shop/tea/1.jpg")
    assert _found(tmp_path / ".shop") == [("tea", "tea/1.jpg")]


def test_folder_without_pictures(tmp_path: Path) -> None:
    _touch(tmp_path, "1.jpg", "tea/notes.txt")
    with pytest.raises(GalleryError, match=r"no pictures in it; expected a subfolder per label with \.jpg, \.png"):
        find_pictures(tmp_path, SUFFIXES)


@pytest.mark.skipif(sys.platform != "linux", reason="file names that are no Unicode")
def test_folder_name_in_another_encoding_is_found(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/" + "牛奶".encode("gbk")
    os.mkdir(folder)
    Path(os.fsdecode(folder), "1.jpg").write_bytes(b"")
    [(label, _)] = _found(tmp_path)
    assert os.fsencode(label) == "牛奶".encode("gbk")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_label_file(tmp_path: Path, newline: str, start: str) -> None:
    lines = ["gallery/1.jpg\t牛奶", "", "gallery/two words.jpg\toat milk 1 l", "   ", "a.jpg\t tea\twith tab "]
    file = tmp_path / "labels.txt"
    file.write_bytes((start + newline.join(lines) + newline).encode())
    assert _found(file) == [
        ("牛奶", "gallery/1.jpg"),
        ("oat milk 1 l", "gallery/two words.jpg"),
        ("tea\twith tab", "a.jpg"),
    ]
    assert find_pictures(file, SUFFIXES)[0].path == tmp_path / "gallery" / "1.jpg"


def test_label_file_keeps_absolute_paths(tmp_path: Path) -> None:
    picture = tmp_path / "elsewhere" / "1.jpg"
    file = tmp_path / "labels.txt"
    file.write_text(f"{picture}\ttea", encoding="utf-8")
    assert find_pictures(file, SUFFIXES)[0].path == picture


@pytest.mark.parametrize("line", ["b.jpg tea", "b.jpg\t", "b.jpg\t  ", "\ttea"])
def test_line_that_is_not_path_tab_label_is_named_by_number(tmp_path: Path, line: str) -> None:
    file = tmp_path / "labels.txt"
    file.write_text(f"a.jpg\ttea\n\n{line}\nc.jpg\ttea\n", encoding="utf-8")
    with pytest.raises(GalleryError, match=r"labels\.txt, line 3: expected path<TAB>label, found"):
        find_pictures(file, SUFFIXES)


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", "\ufeff".encode()])
def test_label_file_without_pictures(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(content)
    with pytest.raises(GalleryError, match="lists no pictures"):
        find_pictures(file, SUFFIXES)


def test_label_file_in_another_encoding(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes("a.jpg\t牛奶".encode("gbk"))
    with pytest.raises(GalleryError, match=r"labels\.txt: is neither a folder nor UTF-8 text"):
        find_pictures(file, SUFFIXES)


def test_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="cannot be read: File name too long"):
        find_pictures(tmp_path / ("x" * 300), SUFFIXES)


def test_missing_source(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r"nothing: cannot be read: No such file"):
        find_pictures(tmp_path / "nothing", SUFFIXES)


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_pictures_of_sources_lie_inside_the_folder(tmp_path: Path) -> None:
    folder, outside = tmp_path / "products", tmp_path / "secret.jpg"
    (folder / "tea").mkdir(parents=True)
    for file in (outside, folder / "tea" / "1.jpg"):
        file.write_text("picture")
    (folder / "out.jpg").symlink_to(outside)
    (folder / "in.jpg").symlink_to(folder / "tea" / "1.jpg")
    (folder / "round.jpg").symlink_to(folder / "round.jpg")
    (folder / "up").symlink_to(tmp_path)
    there = (folder / "tea" / "1.jpg").resolve()
    for source in ("tea/1.jpg", "./tea/1.jpg", "in.jpg", str(folder / "tea" / "1.jpg"), "up/products/tea/1.jpg"):
        assert picture_inside(folder, source) == there
    for source in (
        "",
        ".",
        "tea",
        "../secret.jpg",
        str(outside),
        "out.jpg",
        "up/secret.jpg",
        "round.jpg",
        "a\0b",
        "2.jpg",
    ):
        assert picture_inside(folder, source) is None
    assert picture_inside(tmp_path / "none", "1.jpg") is None
