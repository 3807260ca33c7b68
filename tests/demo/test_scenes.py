"""The layout of products and scenes, and the judgment of answers, by hand-made answers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from shitu_edge import GalleryError, RecognizedItem, ShituError
from shitu_edge.demo.scenes import Expected, find_photos, judge
from shitu_edge.results import Box
from tests.answers import item

HERE: Box = (0, 0, 100, 100)
THERE: Box = (200, 0, 300, 100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two products and two scenes, one of them in a subfolder."""
    for name in ("gallery/Oat drink 1 l/1.jpg", "gallery/红茶/1.png", "scenes/a.jpg", "scenes/more/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    return tmp_path


def test_folders_are_products_and_scenes(folder: Path) -> None:
    photos = find_photos(folder)
    assert [(image.label, image.source) for image in photos.gallery] == [
        ("Oat drink 1 l", "Oat drink 1 l/1.jpg"),
        ("红茶", "红茶/1.png"),
    ]
    assert [(scene.name, scene.expected) for scene in photos.scenes] == [("a.jpg", None), ("more/b.png", None)]


def test_a_label_file_names_the_products(folder: Path) -> None:
    (folder / "gallery" / "labels.txt").write_text("红茶/1.png\tTea / red\n", encoding="utf-8")
    assert [image.label for image in find_photos(folder).gallery] == ["Tea / red"]


def test_expectations_are_read(folder: Path) -> None:
    things = [{"box_xyxy": [0, 0, 100, 100], "label": "红茶"}, {"box_xyxy": [200, 0, 300, 100], "label": None}]
    (folder / "scenes" / "scenes.json").write_text(json.dumps({"more/b.png": things}), encoding="utf-8")
    nothing_known, known = find_photos(folder).scenes
    assert nothing_known.expected is None
    assert known.expected == (Expected(HERE, "红茶"), Expected(THERE, None))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "scenes.json: is not JSON"),
        ("[]", "expected an object"),
        ('{"c.jpg": []}', "c.jpg: no such image in this folder"),
        (
            '{"a.jpg": [{"box_xyxy": [1, 2, 3], "label": null}]}',
            r"scenes.json: a.jpg\[0\].box_xyxy: expected a list of 4",
        ),
        ('{"a.jpg": [{"box_xyxy": [1, 2, 3, 4], "label": "Milk"}]}', "'Milk' is not a product of the gallery"),
        ('{"a.jpg": [{"box_xyxy": [1, 2, 3, 1e308], "label": null}]}', r"a.jpg\[0\].box_xyxy: expected a number from"),
    ],
)
def test_expectations_that_cannot_be_meant(folder: Path, content: str, message: str) -> None:
    (folder / "scenes" / "scenes.json").write_text(content, encoding="utf-8")
    with pytest.raises(GalleryError, match=message):
        find_photos(folder)


@pytest.mark.parametrize("kind", ["pipe", "endless", "sparse"])
def test_expectations_that_never_end(folder: Path, kind: str) -> None:
    path = folder / "scenes" / "scenes.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 1 << 36)
    with pytest.raises(GalleryError, match=r"scenes\.json: cannot be read: is (a pipe, device|larger than)"):
        find_photos(folder)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([], "no such folder; expected a folder with gallery/"),
        (["scenes"], "gallery: no such folder; expected"),
        (["gallery"], "scenes: no such folder; expected"),
        (["gallery", "scenes"], "gallery: no images in it; expected a subfolder per label"),
    ],
)
def test_what_is_no_layout_says_what_is(tmp_path: Path, made: list[str], message: str) -> None:
    for name in made:
        (tmp_path / "photos" / name).mkdir(parents=True)
    with pytest.raises(ShituError, match=message):
        find_photos(tmp_path / "photos")


def test_no_scenes(folder: Path) -> None:
    for scene in (folder / "scenes").rglob("*.*"):
        scene.unlink()
    with pytest.raises(ShituError, match="scenes: no images in this folder"):
        find_photos(folder)


def test_what_is_expected_is_right() -> None:
    expected = (Expected(HERE, "Oat drink 1 l"), Expected(THERE, None))
    verdict = judge([item(THERE, None), item((10, 0, 100, 100), "Oat drink 1 l")], expected)
    assert verdict.right
    assert verdict.meant == (expected[1], expected[0])
    assert (verdict.missed, verdict.products, verdict.named, verdict.unknown_objects, verdict.unknown) == (
        (),
        1,
        1,
        1,
        1,
    )


OAT, STRANGER = Expected(HERE, "Oat drink 1 l"), Expected(THERE, None)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], OAT),
        ([], STRANGER),
        ([item(HERE, "红茶")], OAT),
        ([item(HERE, None)], OAT),
        ([item(HERE, "Oat drink 1 l", "ambiguous")], OAT),
        ([item(THERE, "Oat drink 1 l")], STRANGER),
        ([item(THERE, "Oat drink 1 l")], OAT),
        ([item((51, 0, 151, 100), "Oat drink 1 l")], OAT),  # IoU 49 / 151
        ([item((0, 0, 100, 49), "Oat drink 1 l")], OAT),  # IoU 0.49
        ([item(HERE, "Oat drink 1 l"), item(THERE, "Oat drink 1 l")], OAT),  # one more than there is
        ([item(HERE, "Oat drink 1 l"), item((5, 5, 100, 100), "Oat drink 1 l")], OAT),
    ],
)
def test_what_is_not_expected_is_wrong(items: list[RecognizedItem], expected: Expected) -> None:
    assert not judge(items, [expected]).right


def test_an_unknown_thing_more_is_no_fault() -> None:
    verdict = judge([item(HERE, "Oat drink 1 l"), item(THERE, None)], [OAT])
    assert verdict.right
    assert verdict.meant == (OAT, None)


def test_the_closest_box_is_the_thing() -> None:
    beside = Expected((20, 0, 120, 100), "红茶")
    verdict = judge([item((18, 0, 118, 100), "红茶"), item((2, 0, 102, 100), "Oat drink 1 l")], [OAT, beside])
    assert verdict.meant == (beside, OAT)
    assert verdict.right
