"""Folders and label files: what is used, what is named, and what is refused before the work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.inputs.found import FoundImages
from shitu_edge.inputs.label_folders import LabelFrom
from shitu_edge.inputs.sources import find_images

from .test_folders import JPEG, LINKS, write

LATIN_AND_CHINESE = [("苹果汁 1升", "pics/Apple.jpg"), ("蜂蜜", "pics/蜂蜜 500克.jpg")]


def _found(source: Path) -> list[tuple[str, str]]:
    return [(image.label, image.source) for image in find_images(source).images]


def _reasons(found: FoundImages) -> dict[str, str]:
    return {skipped.source: skipped.reason for skipped in found.skipped}


# -- folders


def test_folder_per_label(tmp_path: Path) -> None:
    write(tmp_path, "milk/2.jpg", "milk/1", "牛奶 250 ml/a b.jpg", "milk/side/left/3.JPG")
    found = find_images(tmp_path)
    assert _found(tmp_path) == [
        ("milk", "milk/1"),
        ("milk", "milk/2.jpg"),
        ("milk", "milk/side/left/3.JPG"),
        ("牛奶 250 ml", "牛奶 250 ml/a b.jpg"),
    ]
    assert found.images[0].path == tmp_path / "milk" / "1"
    assert found.labels == {"milk", "牛奶 250 ml"}
    assert (found.skipped, found.notes) == ((), ())


def test_what_is_not_used_is_named_and_labels_without_images_are_known(tmp_path: Path) -> None:
    write(tmp_path, "tea/1.jpg", "5.jpg", "tea/.2.jpg", ".hidden/3.jpg")
    write(tmp_path, "tea/notes.txt", "README", ".directory", content=b"text")
    (tmp_path / "empty").mkdir()
    (tmp_path / "@eaDir").mkdir()
    found = find_images(tmp_path)
    assert _found(tmp_path) == [("tea", "tea/1.jpg")]
    assert found.labels == {"tea", "empty"}
    assert _reasons(found) == {
        ".hidden": "is hidden",
        "5.jpg": "is not in a subfolder named after its label",
        "README": "is not an image",
        "tea/.2.jpg": "is hidden",
        "tea/notes.txt": "is not an image",
    }


def test_hidden_parents_do_not_matter(tmp_path: Path) -> None:
    write(tmp_path, ".shop/tea/1.jpg")
    assert _found(tmp_path / ".shop") == [("tea", "tea/1.jpg")]


@LINKS
def test_linked_labels_are_read_inside_and_named_outside(tmp_path: Path) -> None:
    write(tmp_path / "products", "tea/1.jpg", "tea/more/2.jpg")
    write(tmp_path / "elsewhere", "1.jpg")
    (tmp_path / "products" / "green tea").symlink_to("tea")
    (tmp_path / "products" / "cola").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "products" / "gone").symlink_to("nowhere")
    (tmp_path / "products" / "tea" / "up").symlink_to(tmp_path / "products")
    found = find_images(tmp_path / "products")
    assert _found(tmp_path / "products") == [
        *(("green tea", "green tea/1.jpg"), ("green tea", "green tea/more/2.jpg")),
        *(("tea", "tea/1.jpg"), ("tea", "tea/more/2.jpg")),
    ]
    assert found.labels == {"tea", "green tea", "cola"}
    assert _reasons(found)["cola"] == f"is a link out of {tmp_path / 'products'}"
    assert _reasons(found)["gone"] == "is a broken link"


def test_folders_of_folders_are_refused_since_any_level_may_be_the_labels(tmp_path: Path) -> None:
    write(tmp_path, "train/Fruit/Apple/1.jpg", "train/Fruit/Pear/2.jpg", "test/Fruit/Apple/3.jpg")
    (tmp_path / "docs").mkdir()
    with pytest.raises(GalleryError, match=r"such as test/Fruit/Apple/3\.jpg; the upper .* 2 labels \(test, train\)"):
        find_images(tmp_path)
    choices = r"parent gives 'Apple', top gives 'Fruit', path gives 'Fruit / Apple'"
    named = r"1 label \(Fruit\)\. Name a folder .* such as .*train[\\/]Fruit, or use --label-from .*"
    with pytest.raises(GalleryError, match=f"{named}: {choices}$"):
        find_images(tmp_path / "train")
    assert _found(tmp_path / "train" / "Fruit") == [("Apple", "Apple/1.jpg"), ("Pear", "Pear/2.jpg")]


@pytest.mark.parametrize(
    ("level", "labels"),
    [
        ("parent", ["Apple", "Pear", "Apple"]),
        ("top", ["Fruit", "Fruit", "Loose"]),
        ("path", ["Fruit / Apple", "Fruit / Pear", "Loose / Apple"]),
    ],
)
def test_the_level_of_the_labels_can_be_chosen(tmp_path: Path, level: LabelFrom, labels: list[str]) -> None:
    write(tmp_path, "Fruit/Apple/1.jpg", "Fruit/Pear/2.jpg", "Loose/Apple/3.jpg", "4.jpg")
    (tmp_path / "Fruit" / "Kiwi").mkdir()
    found = find_images(tmp_path, label_from=level)
    assert [image.label for image in found.images] == labels
    empty = {"parent": {"Kiwi"}, "top": set(), "path": {"Fruit / Kiwi"}}[level]
    assert found.labels == {*labels, *empty}
    assert _reasons(found) == {"4.jpg": "is not in a subfolder named after its label"}
    assert found.notes == ()


def test_a_file_has_its_own_labels(tmp_path: Path) -> None:
    file = _labels(tmp_path, "pics/Apple.jpg\ttea\n")
    with pytest.raises(GalleryError, match="is a file, which holds the labels; --label-from is for folders"):
        find_images(file, label_from="top")


def test_one_flat_folder_does_not_make_labels_of_the_others(tmp_path: Path) -> None:
    write(tmp_path, "samples/0.jpg", "train/Apple/1.jpg", "test/Apple/2.jpg")
    with pytest.raises(GalleryError, match=r"the upper folders would give 2 labels \(test, train\)"):
        find_images(tmp_path)


def test_a_label_whose_images_all_lie_deeper_is_noted(tmp_path: Path) -> None:
    write(tmp_path, "milk/1.jpg", "tea/front/1.jpg", "tea/back/2.jpg")
    found = find_images(tmp_path)
    assert [image.label for image in found.images] == ["milk", "tea", "tea"]
    assert found.notes == ("tea: all images lie in subfolders; the label is that of the folder",)


def test_folder_without_images(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg")
    write(tmp_path, "tea/notes.txt", content=b"text")
    expected = (
        r"no images in it; expected a subfolder per label; 1\.jpg: is not in a subfolder .*; tea/notes\.txt: is not an"
    )
    with pytest.raises(GalleryError, match=expected):
        find_images(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="file names that are no Unicode")
def test_folder_name_in_another_encoding_is_refused_with_the_remedy(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/" + "可乐".encode("gbk")
    os.mkdir(folder)
    Path(os.fsdecode(folder), "1.jpg").write_bytes(JPEG)
    message = r"as GBK it reads '可乐'\); rename it, or all: convmv -f GBK -t UTF-8 -r --notest "
    with pytest.raises(GalleryError, match=message):
        find_images(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not allow")
def test_folder_name_that_is_no_label_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "tea/1.jpg", "co\x1bla/1.jpg")
    with pytest.raises(GalleryError, match=r"the label holds a control character, U\+001B"):
        find_images(tmp_path)


def test_folders_of_one_label_are_joined(tmp_path: Path) -> None:
    write(tmp_path, "Cafe\u0301/1.jpg", "Caf\u00e9/2.jpg", "Caf\u00e9\u200b/3.jpg")
    found = find_images(tmp_path)
    assert sorted(image.path.name for image in found.images) == ["1.jpg", "2.jpg", "3.jpg"]
    assert found.labels == {"Caf\u00e9"}


# -- label files


def _labels(folder: Path, content: bytes | str) -> Path:
    """Write a label file beside two images."""
    write(folder, "pics/Apple.jpg", "pics/蜂蜜 500克.jpg")
    file = folder / "labels.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_label_file(tmp_path: Path, newline: str, start: str) -> None:
    lines = ["gallery/1.jpg\t牛奶", "", "gallery/two words.jpg\toat milk 1 l", "   ", "a.jpg\t tea, green \t2\tx"]
    file = _labels(tmp_path, start + newline.join(lines) + newline)
    write(tmp_path, "gallery/1.jpg", "gallery/two words.jpg")
    assert _found(file) == [
        ("牛奶", "gallery/1.jpg"),
        ("oat milk 1 l", "gallery/two words.jpg"),
        ("tea, green", "a.jpg"),
    ]
    found = find_images(file)
    assert found.images[0].path == tmp_path / "gallery" / "1.jpg"
    assert found.labels == {"牛奶", "oat milk 1 l", "tea, green"}
    assert found.notes == ()


def test_label_file_keeps_absolute_paths(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "1.jpg")
    file = _labels(tmp_path, f"{tmp_path / 'elsewhere' / '1.jpg'}\ttea")
    assert find_images(file).images[0].path == tmp_path / "elsewhere" / "1.jpg"


@pytest.mark.parametrize(
    "content",
    [
        "{0}\t{1}\n{2}\t{3}\n",
        "{0},{1}\n{2},{3}\n",
        "{0};{1}\r\n{2};{3}\r\n",
        '"{0}","{1}"\n"{2}","{3}"\n',
        '"{0}"\t"{1}"\n"{2}"\t"{3}"\n',
        "{0},{1},x\n{2},{3},\n",
        "{0}, {1}\n{2}, {3}\n",
        "./{0}\t{1}\n./{2}\t{3}\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_label_files_as_spreadsheets_write_them(tmp_path: Path, content: str, encoding: str) -> None:
    (label, path), (other_label, other_path) = LATIN_AND_CHINESE
    file = _labels(tmp_path, content.format(path, label, other_path, other_label).encode(encoding))
    assert [(label, source.removeprefix("./")) for label, source in _found(file)] == LATIN_AND_CHINESE
    assert all(image.path.is_file() for image in find_images(file).images)
    assert find_images(file).notes == ()


@pytest.mark.parametrize("header", ["图片路径{0}标签", "path{0}label", "image_path{0}category", '"Bild"{0}"Produkt"'])
@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
def test_a_header_is_told_by_a_path_that_names_no_file(tmp_path: Path, header: str, delimiter: str) -> None:
    lines = [header.format(delimiter), *(f"{path}{delimiter}{label}" for label, path in LATIN_AND_CHINESE)]
    found = find_images(_labels(tmp_path, "\n".join(lines)))
    assert [(image.label, image.source) for image in found.images] == LATIN_AND_CHINESE
    (note,) = found.notes
    assert "the first line is read as a header: " in note


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["id,Label,PATH", "1,{1},{0}", "2,{3},{2}"], "PATH (the path), Label (the label)"),
        (["Product;image_name", "{1};{0}", "{3};{2}"], "image_name (the path), Product (the label)"),
        (["filename\tprice\tclass", "{0}\t\t{1}", "{2}\t9\t{3}"], "filename (the path), class (the label)"),
    ],
)
def test_a_header_says_which_columns_are_meant(tmp_path: Path, lines: list[str], told: str) -> None:
    (label, path), (other_label, other_path) = LATIN_AND_CHINESE
    text = "\n".join(lines).format(path, label, other_path, other_label)
    found = find_images(_labels(tmp_path, text))
    assert [(image.label, image.source) for image in found.images] == LATIN_AND_CHINESE
    assert found.notes == (f"{tmp_path / 'labels.txt'}: the first line is read as a header: {told}",)


def test_a_line_without_the_named_columns_is_named(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r"line 2: expected columns path \(the path\), label .*, found '1\\tx'"):
        find_images(_labels(tmp_path, "id\tlabel\tpath\n1\tx\n"))


@pytest.mark.parametrize("encoding", ["gbk", "gb18030"])
def test_chinese_text_that_is_not_utf_8_is_read_as_gbk(tmp_path: Path, encoding: str) -> None:
    lines = [f"{path}\t{label}" for label, path in LATIN_AND_CHINESE]
    found = find_images(_labels(tmp_path, "\r\n".join(lines).encode(encoding)))
    assert [(image.label, image.source) for image in found.images] == LATIN_AND_CHINESE
    (note,) = found.notes
    assert note.endswith("labels.txt: is not UTF-8; read as GBK, such as 'pics/Apple.jpg 苹果汁 1升'")


def test_a_first_line_whose_file_is_missing_or_has_no_suffix_is_no_header(tmp_path: Path) -> None:
    lines = "gone.jpg\ttea\npics/Apple.jpg\tjuice\n"
    assert _found(_labels(tmp_path, lines)) == [("tea", "gone.jpg"), ("juice", "pics/Apple.jpg")]
    write(tmp_path, "photo")
    assert _found(_labels(tmp_path, "photo\ttea\n")) == [("tea", "photo")]


@pytest.mark.parametrize(
    ("field", "label"),
    [
        ('"Saft ""1"""', 'Saft "1"'),
        ('"Saft, süß"', "Saft, süß"),
        ('"Bio" Milch', '"Bio" Milch'),
        ('5" Display', '5" Display'),
        ('"Zoll', '"Zoll'),
    ],
)
def test_quotes_are_those_of_csv_or_belong_to_the_label(tmp_path: Path, field: str, label: str) -> None:
    write(tmp_path, "a.jpg")
    assert _found(_labels(tmp_path, f"a.jpg\t{field}\nb.jpg\ttea\n")) == [(label, "a.jpg"), ("tea", "b.jpg")]


@pytest.mark.skipif(os.name == "nt", reason="there they are paths as they stand")
def test_paths_of_windows_are_found(tmp_path: Path) -> None:
    write(tmp_path, "a\\b.jpg")
    file = _labels(tmp_path, "pics\\Apple.jpg\ttea\r\na\\b.jpg\tcola\r\npics\\gone.jpg\tmilk\r\n")
    assert _found(file) == [("tea", "pics/Apple.jpg"), ("cola", "a\\b.jpg"), ("milk", "pics/gone.jpg")]


@pytest.mark.parametrize("line", ["b.jpg tea", "b.jpg\t", "b.jpg\t  ", "\ttea"])
def test_line_that_is_not_path_tab_label_is_named_by_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(GalleryError, match=r"labels\.txt, line 3: expected path<TAB>label, found"):
        find_images(_labels(tmp_path, f"a.jpg\ttea\n\n{line}\nc.jpg\ttea\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.jpg,Milk\nb.jpg,Milk, 1 l\n", r"line 2: expected 2 columns as in the first line, found 3; quote labels"),
        ('a.jpg,"Milk\n1 l"\n', "line 1: is not CSV: "),
        ("a.jpg\tte\x1ba\n", r"line 1: the label holds a control character, U\+001B"),
        ("a.jpg\ttea\nb.jpg\t" + "x" * 201, "line 2: the label has 201 characters, expected at most 200"),
        ("a.jpg\ttea\nb.jpg\t\u200b\n", "line 2: the label is empty"),
        ("a.jpg\tKäse".encode("latin-1"), "is not UTF-8 text .*save it as UTF-8"),
        ("a.jpg\tmilk\nb.jpg\ttea", r"none of its 2 images found: looked in .* for a\.jpg, for example; correct the"),
        ("pics/Apple.jpg\tx\n" + "gone/1.jpg\tx\n" * 9, r"only 1 of its 10 images found: .* for gone/1\.jpg"),
        ("a.jpg\ttea".encode("utf-16-le"), "holds NUL characters"),
        (JPEG, "is an image: `gallery add` takes images, with --label for their product"),
        (b"", "lists no images"),
        (b"\n\n  \n", "lists no images"),
        ("\ufeff", "lists no images"),
    ],
)
def test_label_files_that_are_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(GalleryError, match=message) as refusal:
        find_images(_labels(tmp_path, content))
    assert str(refusal.value).startswith(str(tmp_path / "labels.txt"))
    assert "\n" not in str(refusal.value)


def test_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="cannot be read: File name too long"):
        find_images(tmp_path / ("x" * 300))


def test_missing_source(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r"nothing: cannot be read: No such file"):
        find_images(tmp_path / "nothing")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.txt")
    with pytest.raises(GalleryError, match="is a pipe, device or socket, not a regular file"):
        find_images(tmp_path / "labels.txt")


# -- inputs as they come from shops


@pytest.mark.shared_data
def test_products_as_they_come(shared: Path) -> None:
    found = find_images(shared / "data" / "odd" / "products")
    assert found.labels == {"可乐", "Empty", "Upper", "Tomato juice"}
    assert _reasons(found) == {"loose.jpg": "is not in a subfolder named after its label"}
    assert [image.source for image in found.images if image.label in ("可乐", "Upper")] == [
        *("Upper/IMG.JPG", "Upper/dir.jpg/x.jpeg", "可乐/IMG_0001.HEIC", "可乐/IMG_0002.avif"),
    ]


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name",
    [
        *("utf8_bom_crlf.txt", "header.txt", "third_column.txt", "utf16_excel.txt", "csv_utf8_excel.csv"),
        *("backslash.txt", "gbk_crlf.txt"),
    ],
)
def test_label_files_as_they_come(shared: Path, name: str) -> None:
    found = find_images(shared / "data" / "odd" / "labels" / name)
    assert [(image.label, image.path.is_file()) for image in found.images] == [
        *(("苹果汁 1升", True), ("蜂蜜", True), ("可口可乐 330ml", True), ("雀巢咖啡", False)),
    ]
    assert len(found.notes) == (name in ("header.txt", "gbk_crlf.txt"))


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ctrl.txt", r"line 1: the label holds a control character, U\+001B"),
    ],
)
def test_label_files_as_they_come_that_are_refused(shared: Path, name: str, message: str) -> None:
    with pytest.raises(GalleryError, match=message):
        find_images(shared / "data" / "odd" / "labels" / name)
