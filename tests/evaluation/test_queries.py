"""Labeled images in the formats of annotation tools, each made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shitu_edge.errors import GalleryError
from shitu_edge.evaluation import LabeledBox, LabeledPhoto, read_queries

SIZE = (40, 20)
"""Width and height."""


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE, (9, 90, 200)).save(path)


def boxes(photo: LabeledPhoto) -> list[tuple[list[float], str | None]]:
    """Return the boxes in pixels, and the labels."""
    assert photo.boxes is not None
    pixels = photo.boxes_xyxy(*SIZE).round(3).tolist()
    return [(box, thing.label) for box, thing in zip(pixels, photo.boxes, strict=True)]


EXPECTED = [([10.0, 5.0, 30.0, 15.0], "Oat milk"), ([0.0, 0.0, 4.0, 4.0], "Tea")]


def scenes(folder: Path) -> Path:
    image(folder / "a.png")
    things = [{"box_xyxy": box, "label": label} for box, label in EXPECTED]
    (folder / "scenes.json").write_text(json.dumps({"a.png": things}), encoding="utf-8")
    return folder


def coco(folder: Path) -> Path:
    image(folder / "images" / "a.png")
    content = {
        "images": [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "gone.png"}],
        "categories": [{"id": 3, "name": "Oat milk"}, {"id": 5, "name": "Tea"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": [10, 5, 20, 10], "iscrowd": 0},
            {"image_id": 7, "category_id": 5, "bbox": [0, 0, 4, 4]},
            {"image_id": 7, "category_id": 5, "bbox": [0, 0, 40, 20], "iscrowd": 1},
        ],
    }
    (folder / "labels.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "labels.json"


def yolo(folder: Path) -> Path:
    image(folder / "images" / "a.png")
    (folder / "labels").mkdir()
    (folder / "labels" / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n0 0.05 0.1 0.1 0.2\n", encoding="utf-8")
    (folder / "data.yaml").write_text("train: images\nnc: 2\nnames:\n  0: Tea\n  1: 'Oat milk'\n", encoding="utf-8")
    return folder


def yolo_beside(folder: Path) -> Path:
    image(folder / "a.png")
    (folder / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n0 0.05 0.1 0.1 0.2\n", encoding="utf-8")
    (folder / "classes.txt").write_text("Tea\nOat milk\n", encoding="utf-8")
    return folder


def voc(folder: Path) -> Path:
    image(folder / "JPEGImages" / "a.png")
    (folder / "Annotations").mkdir()
    things = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax>"
        f"<ymax>{y2}</ymax></bndbox></object>"
        for (x1, y1, x2, y2), label in EXPECTED
    )
    (folder / "Annotations" / "a.xml").write_text(f"<annotation>{things}</annotation>", encoding="utf-8")
    return folder


@pytest.mark.parametrize("make", [scenes, coco, yolo, yolo_beside, voc], ids=lambda make: make.__name__)
def test_boxes_are_the_same_in_every_format(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    (photo,) = read_queries(make(tmp_path))
    assert photo.path.is_file()
    assert photo.label is None
    assert boxes(photo) == EXPECTED


@pytest.mark.parametrize(
    "names", ["names: [Tea, 'Oat milk']", 'names:\n- Tea\n- "Oat milk"\nnc: 2', "names: {0: Tea, 1: Oat milk}"]
)
def test_class_names_of_a_data_yaml(tmp_path: Path, names: str) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(names, encoding="utf-8")
    (photo,) = read_queries(tmp_path)
    assert boxes(photo) == EXPECTED


def test_folder_per_label_and_label_file(tmp_path: Path) -> None:
    for name in ("Tea/1.png", "Oat milk/2.png"):
        image(tmp_path / "set" / name)
    found = read_queries(tmp_path / "set")
    assert [(photo.source, photo.label, photo.boxes) for photo in found] == [
        ("Oat milk/2.png", "Oat milk", None),
        ("Tea/1.png", "Tea", None),
    ]
    (tmp_path / "set" / "list.txt").write_text("Tea/1.png\tTea\n", encoding="utf-8")
    assert [photo.label for photo in read_queries(tmp_path / "set" / "list.txt")] == ["Tea"]


def test_an_unknown_object_has_no_label_in_scenes(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "scenes.json").write_text('{"a.png": [{"box_xyxy": [0, 0, 9, 9], "label": null}]}', encoding="utf-8")
    for source in (tmp_path, tmp_path / "scenes.json"):
        (photo,) = read_queries(source)
        assert boxes(photo) == [([0, 0, 9, 9], None)]


def test_relative_boxes_become_pixels_of_any_size() -> None:
    photo = LabeledPhoto(Path("x"), "x", None, (LabeledBox((0.25, 0, 0.5, 1), "Tea"),), relative=True)
    assert photo.boxes_xyxy(400, 100).tolist() == [[100, 0, 200, 100]]
    assert LabeledPhoto(Path("x"), "x", None, (), relative=True).boxes_xyxy(10, 10).shape == (0, 4)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scenes.json", "[1]", "scenes.json: the file: expected an object"),
        ("scenes.json", '{"../a.png": []}', "expected an image in the file's folder"),
        ("scenes.json", '{"/etc/passwd": []}', "expected an image in the file's folder"),
        ("scenes.json", '{"a.png": [{"box_xyxy": [0, 0, 9, 9], "label": ""}]}', "scenes.json"),
        ("x.json", "[]", "x.json: is not a COCO file"),
        ("x.json", '{"images": [], "annotations": [], "categories": []}', "lists no images"),
        ("x.json", '{"images": [{"id": 1, "file_name": "no.png"}], "annotations": [], "categories": []}', "no.png"),
        ("x.json", '{"images": [], "annotations": [{"bbox": [1, 2]}], "categories": []}', "is not a COCO file"),
        ("x.json", "[" * 100_000, "x.json"),
        ("x.json", '{"images": [{"id": 1e999, "file_name": "a"}], "annotations": [], "categories": []}', "x.json"),
        ("scenes.json", '{"": []}', "expected an image in the file's folder"),
        ("scenes.json", '{".": []}', "expected an image in the file's folder"),
        ("classes.txt", "Tea", "no image has a label file"),
        ("x.xml", "<a>", "no image belongs"),
    ],
)
def test_what_is_in_none_of_the_formats_is_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    image(tmp_path / "a.png")
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(GalleryError, match=message) as failure:
        read_queries(tmp_path)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("line", ["2 0.5 0.5 0.1 0.1", "x 0 0 0 0", "0 0.5 0.5", "-1 0 0 1 1"])
def test_line_of_no_class_is_named(tmp_path: Path, line: str) -> None:
    yolo_beside(tmp_path)
    (tmp_path / "a.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n", encoding="utf-8")
    with pytest.raises(GalleryError, match=r"a\.txt, line 2: expected `class cx cy w h`"):
        read_queries(tmp_path)


def test_xml_that_would_expand_is_refused(tmp_path: Path) -> None:
    voc(tmp_path)
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><annotation>&c;</annotation>'
    (tmp_path / "Annotations" / "a.xml").write_text(bomb, encoding="utf-8")
    with pytest.raises(GalleryError, match="document type"):
        read_queries(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_box_that_is_not_a_number_is_refused(tmp_path: Path, value: float) -> None:
    path = coco(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["annotations"][0]["bbox"][0] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(GalleryError, match=r"labels\.json"):
        read_queries(path)


def test_parts_of_an_object_are_not_the_object(tmp_path: Path) -> None:
    voc(tmp_path)
    part = "<part><name>cap</name><bndbox><xmin>4</xmin><ymin>5</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>"
    whole = "<name>Tea</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox>"
    (tmp_path / "Annotations" / "a.xml").write_text(f"<annotation><object>{whole}{part}</object></annotation>")
    (photo,) = read_queries(tmp_path)
    assert boxes(photo) == [EXPECTED[1]]


def test_images_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    voc(tmp_path)
    image(tmp_path / "more" / "a.png")
    with pytest.raises(GalleryError, match=r"a\.xml: belongs to .* or .*; give each image a name of its own"):
        read_queries(tmp_path)


@pytest.mark.parametrize(
    "names", ["names:  # two\n  0: Tea  # 茶\n# and\n  1: Oat milk", "names: [Tea, Oat milk]  # all"]
)
def test_comments_in_a_data_yaml(tmp_path: Path, names: str) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(names, encoding="utf-8")
    (photo,) = read_queries(tmp_path)
    assert boxes(photo) == EXPECTED


def test_numbers_that_a_data_yaml_leaves_out_are_no_class(tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").write_text("names:\n  0: Tea\n  2: Oat milk\n", encoding="utf-8")
    with pytest.raises(GalleryError, match=r"a\.txt, line 1: expected `class cx cy w h`"):
        read_queries(tmp_path)
