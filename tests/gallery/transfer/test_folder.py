"""A gallery as a folder and back again, and folders that are no such thing."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import stat
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.errors import FingerprintError, GalleryError
from shitu_edge.gallery import Gallery, NewGalleryItem
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.transfer.folder import export_folder, import_folder
from shitu_edge.inputs.sources import find_images
from tests.gallery.rows import DIM, create, new_items, older_labels, relabel, unit_rows

Facts = list[tuple[str, str, bytes]]

LABELS = (
    *("tea", '5" display', '"quoted"', '"', '""', '"a" b', "a,b;c", "'", "\\", "#x", "%09", "%", "a%0Ab", "=1+1"),
    *(
        "牛奶",
        "🥛",
        "Caf\u00e9",
        "قهوة",
        "می\u200cخواهم",
        "ทดสอบ",
        "\x1f.",
        "  in   ",
        "None",
        "\ufeffa",
        "x" * 200,
    ),
)
OLDER_LABELS = ("a\tb", "a\0b", "a\u2028b", "a\x85b", "a\x0bb", "a\x1cb", "x" * 201)
"""Of galleries before labels had one form."""
SOURCES = (
    "",
    "a.jpg",
    "b c.jpg",
    'q".jpg',
    "t\tb.jpg",
    "n\nl.jpg",
    "../up.jpg",
    "/etc/passwd",
    "牛/奶.jpg",
    " x ",
    "#",
    "\\\\u",
)


def _facts(path: Path) -> Facts:
    """Labels, sources and embeddings, in order."""
    with Gallery.open(path, background=False) as gallery:
        entries = gallery.items()
        rows = gallery.embeddings([entry.id for entry in entries])
        return [(entry.label, entry.source, row.tobytes()) for entry, row in zip(entries, rows, strict=True)]


def _gallery(path: Path, texts: list[tuple[str, str]], seed: int = 0) -> Path:
    with create(path) as gallery:
        gallery.add(
            NewGalleryItem(label, source, row)
            for (label, source), row in zip(texts, unit_rows(len(texts), seed=seed), strict=True)
        )
    return path


def _exported(path: Path, folder: Path, images: Path | None = None) -> int:
    """Export a gallery; return how many images were copied."""
    with Gallery.open(path, background=False) as gallery:
        return export_folder(gallery, folder, images=images).images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An exported gallery of six items."""
    _exported(_gallery(tmp_path / "shop", [(f"label {i}", f"{i}.jpg") for i in range(6)]), tmp_path / "folder")
    return tmp_path / "folder"


# -- there and back


@pytest.mark.parametrize("seed", range(4))
def test_a_gallery_survives_the_way_there_and_back(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    letters = "ab%0129A \"'\\,;牛é\u0301🥛"
    texts = [
        (label, source)
        for label, source in (
            (("".join(chance.choices(letters, k=8)) + "z"), "".join(chance.choices(letters, k=6))) for _ in range(50)
        )
    ]
    path = _gallery(tmp_path / "shop", texts, seed)
    with Gallery.open(path, background=False) as gallery:
        gallery.remove([3, 7, 50])
        relabel(gallery, [4], "renamed")
    assert _exported(path, tmp_path / "folder") == 0
    assert import_folder(tmp_path / "folder", tmp_path / "new") == 47
    assert _facts(tmp_path / "new") == _facts(path)
    assert verify(tmp_path / "new").faults == ()


@pytest.mark.parametrize("label", LABELS, ids=ascii)
def test_labels_of_any_kind(tmp_path: Path, label: str) -> None:
    path = _gallery(tmp_path / "shop", [("first", "0.jpg"), (label, "1.jpg"), ("last", "2.jpg")])
    _exported(path, tmp_path / "folder")
    import_folder(tmp_path / "folder", tmp_path / "new")
    assert _facts(tmp_path / "new") == _facts(path)


@pytest.mark.parametrize(
    "source",
    [*SOURCES, "car\rriage", "%09", "%2509", "%", "\ufeffa.jpg", "a\0b", "x" * 3000],
    ids=lambda s: ascii(s)[:20],
)
@pytest.mark.parametrize("images", [False, True], ids=["without", "with images"])
def test_sources_of_any_kind(tmp_path: Path, source: str, images: bool) -> None:
    path = _gallery(tmp_path / "shop", [("tea", source), ("last", "2.jpg")])
    (tmp_path / "products").mkdir()
    assert _exported(path, tmp_path / "folder", tmp_path / "products" if images else None) == 0
    import_folder(tmp_path / "folder", tmp_path / "new")
    assert _facts(tmp_path / "new") == _facts(path)


@pytest.mark.parametrize("label", OLDER_LABELS, ids=lambda label: ascii(label)[:20])
def test_labels_of_older_galleries_are_refused_by_line_or_lose_their_further_columns(
    tmp_path: Path, label: str
) -> None:
    with older_labels():
        path = _gallery(tmp_path / "shop", [("tea", "0.jpg"), (label, "1.jpg")])
    _exported(path, tmp_path / "folder")
    if "\t" in label:
        import_folder(tmp_path / "folder", tmp_path / "new")
        assert [label for label, _, _ in _facts(tmp_path / "new")] == ["tea", "a"]
    else:
        with pytest.raises(GalleryError, match=r"labels\.tsv, line 2: the label (holds|has line breaks|has 201)"):
            import_folder(tmp_path / "folder", tmp_path / "new")


def test_an_empty_gallery(tmp_path: Path) -> None:
    create(tmp_path / "shop").close()
    assert _exported(tmp_path / "shop", tmp_path / "folder") == 0
    assert import_folder(tmp_path / "folder", tmp_path / "new") == 0
    assert _facts(tmp_path / "new") == []


def test_more_than_is_written_at_once(tmp_path: Path) -> None:
    path = _gallery(tmp_path / "shop", [(f"label {i}", f"{i}.jpg") for i in range(2345)])
    seen: list[tuple[int, int]] = []
    with Gallery.open(path, background=False) as gallery:
        export_folder(gallery, tmp_path / "folder", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1000, 2345), (2000, 2345), (2345, 2345)]
    import_folder(tmp_path / "folder", tmp_path / "new")
    assert _facts(tmp_path / "new") == _facts(path)


def test_the_files_are_what_other_programs_read(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == ["embeddings.npy", "gallery.json", "labels.tsv"]
    assert json.loads((folder / "gallery.json").read_text()) == {
        "extractor": "tiny",
        "fingerprint": "f" * 32,
        "dim": DIM,
    }
    assert (folder / "labels.tsv").read_text() == "".join(f"{i}.jpg\tlabel {i}\n" for i in range(6))
    np.testing.assert_array_equal(np.load(folder / "embeddings.npy"), unit_rows(6))


def test_into_a_gallery_that_is_there(folder: Path, tmp_path: Path) -> None:
    path = _gallery(tmp_path / "other", [("tea", "tea.jpg"), ("milk", "")], seed=9)
    before = _facts(path)
    assert import_folder(folder, path, author="ann") == 6
    assert _facts(path) == before + _facts(tmp_path / "shop")
    with Gallery.open(path, background=False) as gallery:
        line = gallery.history.log()[0]
    assert (line.id, line.author, line.note, line.added) == (3, "ann", "imported from folder", 6)


# -- images


def test_images_are_found_by_the_label_file(tmp_path: Path) -> None:
    products = tmp_path / "products"
    (products / "teas").mkdir(parents=True)
    for name in ("teas/green.JPG", "milk.png", "no suffix", "1.jpg"):
        (products / name).write_text(name)
    names = [
        ("tea", "teas/green.JPG"),
        ("牛奶", "milk.png"),
        ("x", "no suffix"),
        ("tea", "1.jpg"),
        ("gone", "gone.jpg"),
    ]
    path = _gallery(tmp_path / "shop", names)
    assert _exported(path, tmp_path / "folder", products) == 4
    found = find_images(tmp_path / "folder" / "labels.tsv").images
    assert [image.label for image in found] == [label for label, _ in names]
    assert [image.path.read_text() for image in found[:4]] == [name for _, name in names[:4]]
    assert found[4].source == "gone.jpg"
    assert {image.path.parent for image in found[:4]} == {tmp_path / "folder" / "images"}
    import_folder(tmp_path / "folder", tmp_path / "new")
    assert [(label, row) for label, _, row in _facts(tmp_path / "new")] == [
        (label, row) for label, _, row in _facts(path)
    ]


@pytest.mark.parametrize("label", LABELS, ids=ascii)
def test_a_label_file_with_images_builds_the_same_labels(tmp_path: Path, label: str) -> None:
    (tmp_path / "1.jpg").write_text("image")
    path = _gallery(tmp_path / "shop", [(label, "1.jpg"), ("last", "1.jpg")])
    assert _exported(path, tmp_path / "folder", tmp_path) == 2
    found = find_images(tmp_path / "folder" / "labels.tsv").images
    assert [(image.label, image.path.read_text()) for image in found] == [
        (label, "image") for label, _, _ in _facts(path)
    ]


@pytest.mark.parametrize(
    "source", ["../secret.txt", "a/../../secret.txt", "a/..", "{}/secret.txt", ".", "a", "a/", "./../secret.txt"]
)
def test_sources_never_lead_outside(tmp_path: Path, source: str) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "products" / "a").mkdir(parents=True)
    name = source.format(tmp_path)
    path = _gallery(tmp_path / "shop", [("tea", name)])
    assert _exported(path, tmp_path / "folder", tmp_path / "products") == 0
    assert not (tmp_path / "folder" / "images").exists()
    import_folder(tmp_path / "folder", tmp_path / "new")
    assert _facts(tmp_path / "new") == _facts(path)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes")
def test_links_and_pipes_in_the_folder_of_images(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    products = tmp_path / "products"
    products.mkdir()
    (products / "link.jpg").symlink_to(tmp_path / "secret.txt")
    (products / "folder").symlink_to(tmp_path)
    (products / "dangling.jpg").symlink_to("nothing")
    os.mkfifo(products / "pipe.jpg")
    names = ["link.jpg", "folder/secret.txt", "dangling.jpg", "pipe.jpg"]
    path = _gallery(tmp_path / "shop", [("tea", name) for name in names])
    assert _exported(path, tmp_path / "folder", products) <= 2, "links may be followed, but to nothing and into no pipe"


def test_a_suffix_that_makes_a_name_too_long(tmp_path: Path) -> None:
    name = "." + "x" * 253
    (tmp_path / f"a{name}").write_text("image")
    path = _gallery(tmp_path / "shop", [(f"label {i}", f"a{name}") for i in range(101)])
    assert _exported(path, tmp_path / "folder", tmp_path) in (0, 101)


# -- writing that fails


def test_a_folder_that_is_there_is_refused(folder: Path, tmp_path: Path) -> None:
    before = (folder / "labels.tsv").read_bytes()
    (tmp_path / "empty").mkdir()
    for target in (folder, tmp_path / "empty", tmp_path / "shop", tmp_path / "none" / "folder", tmp_path / ("x" * 300)):
        with pytest.raises(GalleryError, match="cannot be created") as refusal:
            _exported(tmp_path / "shop", target)
        assert "\n" not in str(refusal.value)
    assert (folder / "labels.tsv").read_bytes() == before
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), GalleryError("no"), OSError(errno.ENOSPC, "No space left")], ids=repr
)
def test_an_export_that_fails_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    path = _gallery(tmp_path / "shop", [(f"label {i}", f"{i}.jpg") for i in range(1500)])

    def fail(done: int, total: int) -> None:
        if done == total:
            raise error

    expected = GalleryError if isinstance(error, OSError) else type(error)
    with Gallery.open(path, background=False) as gallery, pytest.raises(expected):
        export_folder(gallery, tmp_path / "folder", progress=fail)
    assert [file.name for file in tmp_path.iterdir()] == ["shop"]


def test_a_image_that_cannot_be_copied_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1.jpg").write_text("image")
    path = _gallery(tmp_path / "shop", [("tea", "1.jpg")])

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(GalleryError, match="folder: cannot be written: No space left"):
        _exported(path, tmp_path / "folder", tmp_path)
    assert not (tmp_path / "folder").exists()


# -- damaged folders


def _edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return edit


def _saved(array: object, **options: bool) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        np.save(folder / "embeddings.npy", array, **options)  # type: ignore[arg-type]

    return save


def _facts_with(**values: object) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        facts = json.loads((folder / "gallery.json").read_text()) | values
        (folder / "gallery.json").write_text(
            json.dumps({key: value for key, value in facts.items() if value is not ...})
        )

    return write


def _changed_row(value: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    rows = unit_rows(6)
    rows[4, 3] = value
    return rows


def _header(text: bytes) -> Callable[[bytes], bytes]:
    def change(_: bytes) -> bytes:
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + unit_rows(6).tobytes()

    return change


def _shape(text: bytes) -> Callable[[bytes], bytes]:
    return _header(b"{'descr':'<f4','fortran_order':False,'shape':" + text + b"}\n")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "no embeddings": lambda folder: (folder / "embeddings.npy").unlink(),
    "no labels": lambda folder: (folder / "labels.tsv").unlink(),
    "no facts": lambda folder: (folder / "gallery.json").unlink(),
    "float64": _saved(unit_rows(6).astype(np.float64)),
    "float16": _saved(unit_rows(6).astype(np.float16)),
    "big-endian": _saved(unit_rows(6).astype(">f4")),
    "complex": _saved(unit_rows(6).astype(np.complex64)),
    "text": _saved(np.array(["a"] * 6)),
    "records": _saved(np.zeros(6, [("a", "f4", DIM)])),
    "pickled": _saved(np.array([[None] * DIM] * 6), allow_pickle=True),
    "a row fewer": _saved(unit_rows(5)),
    "a row more": _saved(unit_rows(7)),
    "a number fewer": _saved(unit_rows(6, DIM - 1)),
    "one row": _saved(unit_rows(6)[0]),
    "no dimension": _saved(np.float32(1)),
    "three dimensions": _saved(unit_rows(6)[None]),
    "no rows": _saved(np.empty((0, DIM), np.float32)),
    "other way round": _saved(np.ascontiguousarray(unit_rows(6).T)),
    "fortran order claimed": _edit("embeddings.npy", lambda content: content.replace(b"False", b"True ")),
    "NaN": _saved(_changed_row(float("nan"))),
    "infinity": _saved(_changed_row(float("inf"))),
    "no unit row": _saved(_changed_row(0.9)),
    "zero row": _saved(unit_rows(6) * np.array([[1], [1], [1], [1], [1], [0]], np.float32)),
    "truncated": _edit("embeddings.npy", lambda content: content[:-1]),
    "truncated header": _edit("embeddings.npy", lambda content: content[:50]),
    "truncated magic": _edit("embeddings.npy", lambda content: content[:4]),
    "empty array file": _edit("embeddings.npy", lambda _: b""),
    "no array file": _edit("embeddings.npy", lambda _: b"hello" * 100),
    "pickle": _edit("embeddings.npy", lambda _: b"\x80\x04cos\nsystem\n(S'touch run'\ntR."),
    "header of another shape": _edit("embeddings.npy", _shape(b"(1<<62,16)")),
    "header of negative shape": _edit("embeddings.npy", _shape(b"(-6,16)")),
    "header of huge shape": _edit(
        "embeddings.npy", _shape(b"(6,9223372036854775807)")
    ),
    "header of huger shape": _edit(
        "embeddings.npy", _shape(b"(99999999999999999999,16)")
    ),
    "header of code": _edit("embeddings.npy", _header(b"__import__('os').system('touch run')\n")),
    "header of brackets": _edit("embeddings.npy", _header(b"(" * 9000 + b"\n")),
    "header of one bracket": _edit("embeddings.npy", _header(b"{'descr':'<f4',(\n")),
    "header of quotes": _edit("embeddings.npy", _header(b"{'''\n")),
    "header of minuses": _edit("embeddings.npy", _header(b"-" * 9000 + b"1\n")),
    "header of NUL": _edit("embeddings.npy", _header(b"\0\n")),
    "header of an odd type": _edit("embeddings.npy", _header(b"{'descr':('<f4',),'fortran_order':0,'shape':(6,16)}")),
    "header of list as type": _edit("embeddings.npy", _header(b"{'descr':[[]],'fortran_order':0,'shape':(6,16)}")),
    "header with numbers as keys": _edit("embeddings.npy", _header(b"{1:2,'descr':'<f4'}\n")),
    "a line fewer": _edit("labels.tsv", lambda content: content[: content.rindex(b"5.jpg")]),
    "a line more": _edit("labels.tsv", lambda content: content + b"6.jpg\tx\n"),
    "no tab": _edit("labels.tsv", lambda content: content.replace(b"\t", b" ", 1)),
    "blank line": _edit("labels.tsv", lambda content: content.replace(b"\n", b"\n\n", 1)),
    "empty label": _edit("labels.tsv", lambda content: content.replace(b"label 2", b"")),
    "blank label": _edit("labels.tsv", lambda content: content.replace(b"label 2", b"  ")),
    "UTF-16": _edit("labels.tsv", lambda content: content.decode().encode("utf-16")),
    "Latin-1": _edit("labels.tsv", lambda content: content.replace(b"label 2", b"caf\xe9")),
    "facts that are no JSON": _edit("gallery.json", lambda _: b"{"),
    "facts in Latin-1": _edit("gallery.json", lambda content: content.replace(b"tiny", b"caf\xe9")),
    "facts in brackets": _edit("gallery.json", lambda _: b"[" * 100_000),
    "no fact": _edit("gallery.json", lambda _: b"null"),
    "no dim": _facts_with(dim=...),
    "dim of 0": _facts_with(dim=0),
    "dim of -16": _facts_with(dim=-16),
    "dim as text": _facts_with(dim="16"),
    "dim as truth": _facts_with(dim=True),
    "another dim": _facts_with(dim=8),
    "a huge dim": _facts_with(dim=10**30),
    "extractor as number": _facts_with(extractor=1),
    "extractor as no Unicode": _facts_with(extractor="\ud800"),
    "an unknown fact": _facts_with(more="x\ny"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
def test_damaged_folders(
    folder: Path, tmp_path: Path, damage: Callable[[Path], None], there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "target"
    if there:
        with create(target) as gallery:
            gallery.add(new_items(unit_rows(2, seed=3)))
    damage(folder)
    before = _facts(target) if there else None
    with pytest.raises(GalleryError) as refusal:
        import_folder(folder, target)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).strip()
    if there:
        assert _facts(target) == before
    names = {"folder", "shop", *(["target"] if there else [])}
    assert {file.name for file in tmp_path.iterdir()} == names, "no half gallery is left, and no code was run"


def test_rows_in_fortran_order_are_the_same_rows(folder: Path, tmp_path: Path) -> None:
    np.save(folder / "embeddings.npy", np.asfortranarray(unit_rows(6)))
    import_folder(folder, tmp_path / "new")
    assert _facts(tmp_path / "new") == _facts(tmp_path / "shop")


@pytest.mark.parametrize("name", ["gallery.json", "labels.tsv", "embeddings.npy"])
@pytest.mark.parametrize("kind", ["pipe", "endless", "sparse"])
def test_files_that_never_end(folder: Path, tmp_path: Path, name: str, kind: str) -> None:
    (folder / name).unlink()
    if kind == "pipe":
        os.mkfifo(folder / name)
    elif kind == "endless":
        (folder / name).symlink_to("/dev/zero")
    else:
        with (folder / name).open("wb") as stream:
            stream.truncate(1 << 36)
    tracemalloc.start()
    with pytest.raises(GalleryError, match=f"{name}[:,] ") as refusal:
        import_folder(folder, tmp_path / "new")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "new").exists()


def test_many_short_lines_take_no_memory(folder: Path, tmp_path: Path) -> None:
    (folder / "labels.tsv").write_bytes(b"\tx\n" * (1 << 20))
    tracemalloc.start()
    with pytest.raises(GalleryError, match=r"found more in labels\.tsv than in embeddings\.npy"):
        import_folder(folder, tmp_path / "new")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


def test_a_line_that_never_ends(folder: Path, tmp_path: Path) -> None:
    (folder / "labels.tsv").write_bytes(b"0.jpg\t" + b"x" * (1 << 21))
    with pytest.raises(GalleryError, match=r"labels\.tsv, line 1: expected image<TAB>label"):
        import_folder(folder, tmp_path / "new")


def test_an_archive_of_arrays(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", rows=unit_rows(6))
    (tmp_path / "rows.npz").rename(folder / "embeddings.npy")
    with pytest.raises(GalleryError, match="expected float32"):
        import_folder(folder, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required additional header parsing:UserWarning")
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_random_damage_is_refused_or_harmless(folder: Path, tmp_path: Path) -> None:
    """A flip in a label or a low bit of a number may pass: a folder has no digests. Nothing else is ever raised."""
    chance = random.Random(11)
    contents = {file: file.read_bytes() for file in sorted(folder.iterdir())}
    for _ in range(150):
        for file, content in contents.items():
            flipped = bytearray(content)
            place = chance.randrange(min(len(content), 300))
            flipped[place] = chance.choice([0, 10, 13, 9, 34, 40, 255, 128, *range(256)])
            file.write_bytes(flipped)
            try:
                import_folder(folder, tmp_path / "new")
            except GalleryError:
                assert not (tmp_path / "new").exists()
            else:
                (tmp_path / "new").unlink()
            file.write_bytes(content)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "shop"]


def test_a_folder_of_another_extractor(folder: Path, tmp_path: Path) -> None:
    with Gallery.create(
        tmp_path / "other", extractor="big", fingerprint="e" * 32, dim=DIM, background=False
    ) as gallery:
        gallery.add(new_items(unit_rows(2)))
    before = _facts(tmp_path / "other")
    with pytest.raises(FingerprintError, match="was made with extractor big"):
        import_folder(folder, tmp_path / "other")
    assert _facts(tmp_path / "other") == before


def test_what_is_no_folder(folder: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "shop", tmp_path / ("x" * 300), tmp_path):
        with pytest.raises(GalleryError) as refusal:
            import_folder(path, tmp_path / "new")
        assert "\n" not in str(refusal.value)
    assert not (tmp_path / "new").exists()


def test_an_import_where_nothing_can_be_written(folder: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "new", tmp_path, folder / "labels.tsv", tmp_path / ("x" * 300)):
        with pytest.raises(GalleryError) as refusal:
            import_folder(folder, path)
        assert "\n" not in str(refusal.value)
    assert stat.S_ISREG((folder / "labels.tsv").stat().st_mode)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "shop"]
