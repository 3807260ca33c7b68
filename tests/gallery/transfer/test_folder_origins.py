"""Origins in an exported folder, and back again."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, Origin
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.store.schema import MOST_PICTURE
from shitu_edge.gallery.transfer.folder import Exported, export_folder, import_folder
from shitu_edge.inputs.sources import find_images
from tests.gallery.rows import create, new_items, unit_rows

JPEG, WEBP = b"\xff\xd8\xff jpeg", b"RIFF\x10\0\0\0WEBP" + bytes(60_000)
MADE = {
    2: Origin((0.5, 0.0, 10.0, 20.25), "detected", "a" * 64, JPEG, (1.0, 2.0, 3.0, 4.0)),
    3: Origin((0.0, 0.0, 1.0, 1.0), "box", ""),
    4: Origin(None, "whole", "b" * 64, WEBP),
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A gallery of the items 1 to 5 and 7, three of them with an origin; the image of 4 is in a folder."""
    items = new_items(unit_rows(7))
    with create(tmp_path / "shop") as gallery:
        gallery.add(replace(item, origin=MADE.get(number)) for number, item in enumerate(items, start=1))
        gallery.remove([6])
    (tmp_path / "products").mkdir()
    (tmp_path / "products" / "3.jpg").write_bytes(b"the source")
    return tmp_path / "shop"


def _exported(path: Path, folder: Path, images: Path | None = None) -> Exported:
    with Gallery.open(path, background=False) as gallery:
        return export_folder(gallery, folder, images=images)


@pytest.fixture
def folder(shop: Path, tmp_path: Path) -> Path:
    """It, exported with images and pictures."""
    assert _exported(shop, tmp_path / "folder", tmp_path / "products") == Exported(images=1, pictures=1)
    return tmp_path / "folder"


def _origins(path: Path) -> dict[int, Origin]:
    with Gallery.open(path, background=False) as gallery:
        return gallery.origins(range(99))


def test_a_picture_stands_in_for_a_missing_image(folder: Path) -> None:
    lines = (folder / "labels.tsv").read_text().splitlines()
    assert lines[:4] == ["0.jpg\tlabel 0", "pictures/2.jpg\tlabel 1", "2.jpg\tlabel 2", "images/4.jpg\tlabel 3"]
    assert (folder / "images" / "4.jpg").read_bytes() == b"the source"
    assert (folder / "pictures" / "2.jpg").read_bytes() == JPEG
    assert (folder / "pictures" / "4.webp").read_bytes() == WEBP
    assert len(list(folder.glob("*/*"))) == 3
    found = find_images(folder / "labels.tsv").images
    assert [image.path.is_file() for image in found] == [False, True, False, True, False, False]


def test_origins_survive_the_way_there_and_back(shop: Path, folder: Path, tmp_path: Path) -> None:
    assert import_folder(folder, tmp_path / "new") == 6
    assert _origins(tmp_path / "new") == _origins(shop) == MADE
    assert verify(tmp_path / "new").faults == ()


def test_without_images_only_facts_are_exported(shop: Path, tmp_path: Path) -> None:
    assert _exported(shop, tmp_path / "folder") == Exported(0, 0)
    names = ["embeddings.npy", "gallery.json", "labels.tsv", "origins.jsonl"]
    assert sorted(file.name for file in (tmp_path / "folder").iterdir()) == names
    first = json.loads((tmp_path / "folder" / "origins.jsonl").read_text().splitlines()[0])
    assert first == {
        "line": 2, "box_xyxy": [0.5, 0.0, 10.0, 20.25], "crop": "detected", "source_sha256": "a" * 64,
        "product_xyxy": None, "picture": None,
    }  # fmt: skip
    import_folder(tmp_path / "folder", tmp_path / "new")
    assert _origins(tmp_path / "new") == {
        number: replace(made, picture=b"", product_xyxy=None) for number, made in MADE.items()
    }


def test_a_gallery_without_origins_is_exported_as_before(tmp_path: Path) -> None:
    with create(tmp_path / "shop") as gallery:
        gallery.add(new_items(unit_rows(2)))
    assert _exported(tmp_path / "shop", tmp_path / "folder", tmp_path) == Exported(0, 0)
    assert sorted(file.name for file in (tmp_path / "folder").iterdir()) == [
        "embeddings.npy", "gallery.json", "labels.tsv",
    ]  # fmt: skip


def test_many_origins(tmp_path: Path) -> None:
    """More than are read at once, of items and of origins."""
    items = new_items(unit_rows(1203))
    with create(tmp_path / "shop") as gallery:
        gallery.add(replace(item, origin=MADE.get(number % 5)) for number, item in enumerate(items, start=1))
        expected = gallery.origins(range(1204))
    assert _exported(tmp_path / "shop", tmp_path / "folder", tmp_path) == Exported(0, 481)
    import_folder(tmp_path / "folder", tmp_path / "new")
    with Gallery.open(tmp_path / "new", background=False) as gallery:
        assert gallery.origins(range(1204)) == expected


@pytest.mark.parametrize(
    ("number", "changes", "message"),
    [
        (0, {"line": 0}, "origins.jsonl, line 1: expected a line after 0, found 0"),
        (1, {"line": 2}, "origins.jsonl, line 2: expected a line after 2, found 2"),
        (2, {"line": 7}, "origins.jsonl names line 7 of labels.tsv, which has fewer"),
        (2, {"line": 10**400}, "which has fewer|Exceeds the limit"),
        (0, {"line": "2"}, "origins.jsonl, line 1: is not from `gallery export`: line: expected a whole number"),
        (0, {"more": 1}, "is not from `gallery export`: more: unknown"),
        (0, {"crop": "other"}, "is not from `gallery export`: crop: expected one of 'whole'"),
        (0, {"source_sha256": "A"}, "expected an origin's source_sha256"),
        (0, {"source_sha256": "a" * 3000}, "is longer than 2048 bytes"),
        (0, {"box_xyxy": [1, 0, 0, 1]}, "expected an origin's box_xyxy"),
        (0, {"picture": None}, "expected an origin's picture with its product_xyxy, found no picture"),
        (0, {"picture": "pictures/3.jpg"}, "there is no picture 'pictures/3.jpg'"),
        (0, {"picture": "pictures"}, "there is no picture 'pictures'"),
        (0, {"picture": "../products/3.jpg"}, "there is no picture '../products/3.jpg'"),
        (0, {"picture": "/etc/passwd"}, "there is no picture '/etc/passwd'"),
        (0, {"picture": "a\0\n\x1b"}, "there is no picture"),
        (0, {"picture": "labels.tsv"}, "expected an origin's picture as a JPEG or WebP file"),
        (0, {"picture": "large"}, f"of at most {MOST_PICTURE} bytes, found {MOST_PICTURE + 1}"),
    ],
    ids=range(18),
)
def test_what_no_export_writes(
    folder: Path, tmp_path: Path, number: int, changes: dict[str, Any], message: str
) -> None:
    (folder / "large").write_bytes(JPEG + bytes(MOST_PICTURE * 2))
    path = folder / "origins.jsonl"
    lines = path.read_text().splitlines()
    lines[number] = json.dumps({**json.loads(lines[number]), **changes})
    path.write_text("\n".join(lines))
    with pytest.raises(GalleryError, match=message) as refusal:
        import_folder(folder, tmp_path / "new")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["origins.jsonl", "pictures/2.jpg"])
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
    with pytest.raises(GalleryError) as refusal:
        import_folder(folder, tmp_path / "new")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "new").exists()


def test_random_damage_is_refused_or_harmless(folder: Path, tmp_path: Path) -> None:
    """A folder has no digests, so a flip in a number may pass. Nothing but a `GalleryError` is ever raised."""
    chance, path = random.Random(7), folder / "origins.jsonl"
    content = path.read_bytes()
    for _ in range(150):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] = chance.choice([0, 10, 13, 9, 34, 92, 123, 255, *range(256)])
        path.write_bytes(flipped)
        try:
            import_folder(folder, tmp_path / "new")
        except GalleryError as error:
            assert "\n" not in str(error)  # noqa: PT017
            assert not (tmp_path / "new").exists()
        else:
            assert verify(tmp_path / "new").faults == ()
            (tmp_path / "new").unlink()
