"""Labeled boxes as items to enroll; the formats themselves are read in tests/evaluation/test_queries.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.inputs.sources import find_images
from tests.evaluation.test_queries import EXPECTED, SIZE, coco, image, scenes, voc, yolo, yolo_beside


@pytest.mark.parametrize("make", [scenes, coco, yolo, yolo_beside, voc], ids=lambda make: make.__name__)
def test_each_labeled_box_is_an_item(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    found = find_images(make(tmp_path))
    scale = SIZE * 2 if found.images[0].relative else (1, 1, 1, 1)
    boxes = []
    for item in found.images:
        assert item.box_xyxy is not None
        assert item.path.is_file()
        boxes.append(([round(side * by, 3) for side, by in zip(item.box_xyxy, scale, strict=True)], item.label))
    assert boxes == EXPECTED
    assert found.labels == {"Oat milk", "Tea"}


def test_images_without_a_use_are_named(tmp_path: Path) -> None:
    yolo(tmp_path)
    image(tmp_path / "images" / "plain.png")
    image(tmp_path / "images" / "empty.png")
    (tmp_path / "labels" / "empty.txt").touch()
    reasons = {one.source: one.reason for one in find_images(tmp_path).skipped}
    assert reasons == {"images/plain.png": "has no annotation", "images/empty.png": "has no box"}


def test_unknown_objects_and_missing_images_are_named(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    things = [{"box_xyxy": [0, 0, 20, 20], "label": label} for label in ("Tea", None)]
    (tmp_path / "scenes.json").write_text(json.dumps({"a.png": things}), encoding="utf-8")
    found = find_images(tmp_path / "scenes.json")
    assert [item.label for item in found.images] == ["Tea"]
    assert [(one.source, one.reason) for one in found.skipped] == [("a.png", "has a box without a label")]
    (tmp_path / "more").mkdir()
    assert [(one.source, one.reason) for one in find_images(coco(tmp_path / "more")).skipped] == [
        ("gone.png", "is listed, but not there")
    ]


def test_images_of_coco_elsewhere_are_one_error(tmp_path: Path) -> None:
    file = coco(tmp_path)
    (tmp_path / "images" / "a.png").unlink()
    with pytest.raises(GalleryError, match=r"none of its 2 images found: looked in .*images for a\.png, for example"):
        find_images(file)


def test_class_names_or_xml_beside_label_folders_are_no_annotations(tmp_path: Path) -> None:
    image(tmp_path / "Tea" / "1.png")
    (tmp_path / "classes.txt").write_text("Tea\n", encoding="utf-8")
    (tmp_path / "catalog.xml").write_text("<catalog/>", encoding="utf-8")
    (item,) = find_images(tmp_path).images
    assert (item.label, item.box_xyxy) == ("Tea", None)
